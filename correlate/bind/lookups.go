package bind

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// lookup is a DNS message that waits for who uses the name.
type lookup struct {
	d decision
	p *event.DNS
}

// usedWithin is how soon after a lookup the name is used.
const usedWithin = 5 * time.Second

// decideDNS gives a lookup to its socket's request, else to that of whoever used
// the name.
func (n *Node) decideDNS(d decision, p *event.DNS) {
	s := n.sockets.byTuple(p.Tuple, d.e.Time, event.RoleClient)
	if s == nil && p.Query != "" {
		if w := n.mayUse(n.asker(d.e, p)); w != nil && len(w.calls.lookups) < maxHeld {
			w.calls.ready(n, w)
			w.calls.lookups = append(w.calls.lookups, lookup{d, p})
			w.calls.seen = max(w.calls.seen, d.e.Time)
			n.pairDue = min(n.pairDue, w.calls.next(n))
			return
		}
	}
	n.decideOnSocket(d, s, correlate.FiveTuple)
}

func (n *Node) asker(e *event.Event, p *event.DNS) *event.Workload {
	if p.Workload.Pod != "" || p.Workload.PodUID != "" {
		return &p.Workload
	}
	return n.dir.Pod(p.Tuple.Src.Addr(), e.Time)
}

// use is somebody who used a name at some time.
type use struct {
	from, to event.Time // of a lookup for it
	key      correlate.Key
	because  *owner // a span
	x        *exchange
}

// decideLookups gives the lookups that nobody can use any more to the request
// that used the name, if it is one.
func (n *Node) decideLookups(p *pairing, until event.Time) {
	until = until.Add(-usedWithin)
	if len(p.lookups) == 0 || p.lookups[0].d.e.Time >= until {
		return
	}
	uses := p.uses()
	for len(p.lookups) > 0 && p.lookups[0].d.e.Time < until {
		l := p.lookups[0]
		p.lookups = p.lookups[1:]
		n.decideLookup(p, l, uses[l.p.Query])
	}
}

func (p *pairing) uses() map[string][]use {
	list := map[string][]use{}
	for i := range p.owners {
		o := &p.owners[i]
		if s := o.span(); s != nil && s.Server != "" && o.kind >= ownerClient {
			list[s.Server] = append(list[s.Server], use{from: o.start, to: o.end, key: o.key(), because: o})
		}
	}
	for _, c := range p.calls {
		if c.x == nil || c.x.key.IsZero() {
			continue
		}
		if name := cmp.Or(c.x.p.HTTP.Host, c.x.s.conn.SNI); name != "" {
			list[name] = append(list[name], use{from: c.start.Add(-usedWithin), to: c.start, key: c.x.key, x: c.x})
		}
	}
	return list
}

func (n *Node) decideLookup(p *pairing, l lookup, uses []use) {
	var found *use
	var among []correlate.Candidate
	for i := range uses {
		u := &uses[i]
		if l.d.e.Time < u.from || l.d.e.Time > u.to {
			continue
		}
		if !slices.ContainsFunc(among, func(c correlate.Candidate) bool { return c.Key == u.key }) {
			among = append(among, correlate.Candidate{Key: u.key})
		}
		if found == nil || found.x == nil {
			found = u
		}
	}
	i := p.odds.inference(correlate.DNSName, 0)
	switch {
	case found == nil:
		n.out.unmatched(l.d.e, correlate.Ambient)
		return
	case len(among) > 1, i.Confidence < n.cfg.Confidence:
		for j := range among {
			among[j].Confidence = math.Round(1000*i.Confidence/float64(len(among))) / 1000
		}
		n.doubtful(l.d.e, among[:min(len(among), correlate.MaxCandidates)])
		return
	}
	n.row(correlate.Row{Key: found.key, Event: l.d.e, Method: correlate.DNSName, Inferred: i, Late: l.d.late})
	if found.x != nil {
		n.cause(found.key, l.d.e, found.x.e, correlate.DNSName)
	} else {
		n.out.Links = append(n.out.Links, n.because(l.d.e, found.because, i))
	}
}
