package bind

import (
	"cmp"
	"slices"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
)

// Offer is what one end of a connection knows of an exchange on it. It is
// repeated when the end learns the key.
type Offer struct {
	ID              event.ID // of the exchange's event
	Node            string
	Tuple           event.Tuple // local end first, after NAT
	Server          bool
	Ordinal, Stream uint32
	Start, End      event.Time
	// Opened and Closed bound the connection as this end knows it.
	Opened, Closed event.Time
	Cluster        string
	Key            correlate.Key
	Method         correlate.Method
}

// Answer is what the hub tells one end about the other.
type Answer struct {
	Node   string
	ID     event.ID // of the exchange that is told
	Peer   event.ID // of the exchange at the other end
	Key    correlate.Key
	Method correlate.Method
	First  bool // the ends have just been paired
}

// Hub pairs the two ends of exchanges across nodes, by the connection's tuple
// and the exchange's ordinal or stream id on it.
type Hub struct {
	cfg     window.Config
	waiting map[meeting][]*end
	ends    map[event.ID]*end
	expiry  fifo[*end]
	order   []int32
}

type meeting struct {
	cluster, node   string      // node: only where the address means something on one node alone
	tuple           event.Tuple // canonical
	ordinal, stream uint32
}

type end struct {
	offer Offer
	peer  *end
}

// skew is how far the clocks of two nodes may differ and their two views of
// one exchange still be paired.
const skew = 2 * time.Second

// NewHub returns an empty hub.
func NewHub(cfg window.Config) *Hub {
	return &Hub{cfg: cfg, waiting: make(map[meeting][]*end), ends: make(map[event.ID]*end)}
}

// Match takes in the offers of one round and appends what is to be told.
func (h *Hub) Match(offers []Offer, now event.Time, answers []Answer) []Answer {
	h.order = h.order[:0]
	for i := range offers {
		h.order = append(h.order, int32(i))
	}
	slices.SortFunc(h.order, func(i, j int32) int {
		a, b := &offers[i], &offers[j]
		if c := cmp.Compare(a.End, b.End); c != 0 {
			return c
		}
		if c := slices.Compare(a.ID[:], b.ID[:]); c != 0 {
			return c
		}
		return cmp.Compare(i, j) // an end that learns its key offers twice
	})
	for _, i := range h.order {
		answers = h.match(&offers[i], now, answers)
	}
	for at := now; h.expiry.due(&at); at = now {
		e := h.expiry.pop()
		delete(h.ends, e.offer.ID)
		key := e.offer.meeting()
		list := h.waiting[key]
		if i := slices.Index(list, e); i >= 0 {
			if list = slices.Delete(list, i, i+1); len(list) == 0 {
				delete(h.waiting, key)
			} else {
				h.waiting[key] = list
			}
		}
	}
	return answers
}

func (o *Offer) meeting() meeting {
	m := meeting{cluster: o.Cluster, tuple: o.Tuple.Canonical(), ordinal: o.Ordinal, stream: o.Stream}
	if a := o.Tuple.Dst.Addr(); a.IsLoopback() || a.IsLinkLocalUnicast() {
		m.node = o.Node
	}
	return m
}

// sameConnection reports whether two ends of one tuple can be of one
// connection: they were open at the same time. Ports are used again at once
// after a reset.
func (o *Offer) sameConnection(p *Offer) bool {
	return o.Opened <= p.Closed.Add(skew) && p.Opened <= o.Closed.Add(skew)
}

func (h *Hub) match(o *Offer, now event.Time, answers []Answer) []Answer {
	if e := h.ends[o.ID]; e != nil { // it has learnt its key
		if e.offer.Key == o.Key {
			return answers
		}
		e.offer.Key, e.offer.Method = o.Key, o.Method
		if p := e.peer; p != nil {
			answers = append(answers, Answer{p.offer.Node, p.offer.ID, o.ID, o.Key, o.Method, false})
		}
		return answers
	}
	e := &end{offer: *o}
	h.ends[o.ID] = e
	h.expiry.push(now.Add(h.cfg.AgentHorizon), e)
	key := o.meeting()
	list := h.waiting[key]
	best, fit := -1, 0
	for i, other := range list {
		if other.offer.Server == o.Server || other.offer.Tuple != o.Tuple.Reverse() {
			continue
		}
		if o.Method == correlate.TraceContext && other.offer.Method == correlate.TraceContext && o.Key != other.offer.Key {
			continue // both saw the wire, and not the same one
		}
		apart := max(other.offer.Start, o.Start).Sub(min(other.offer.End, o.End))
		if apart <= skew && o.sameConnection(&other.offer) {
			best = i
			fit++
		}
	}
	if fit != 1 { // nobody, or nobody can say which
		h.waiting[key] = append(list, e)
		return answers
	}
	p := list[best]
	e.peer, p.peer = p, e
	if list = slices.Delete(list, best, best+1); len(list) == 0 {
		delete(h.waiting, key)
	} else {
		h.waiting[key] = list
	}
	return append(answers,
		Answer{o.Node, o.ID, p.offer.ID, p.offer.Key, p.offer.Method, true},
		Answer{p.offer.Node, p.offer.ID, o.ID, o.Key, o.Method, true})
}
