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
	k     kept
	time  event.Time
	query string
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
			w.calls.lookups = append(w.calls.lookups, lookup{n.keep(d), d.e.Time, p.Query})
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
	if len(p.lookups) == 0 || p.lookups[0].time >= until {
		return
	}
	uses := p.uses()
	for len(p.lookups) > 0 && p.lookups[0].time < until {
		l := p.lookups[0]
		p.lookups = p.lookups[1:]
		n.decideLookup(p, n.back(l.k), uses[l.query])
	}
}

func (p *pairing) uses() map[string][]use {
	list := map[string][]use{}
	for i := range p.owners {
		o := &p.owners[i]
		if s := o.span(); s != nil && s.server != "" && o.kind >= ownerClient {
			list[s.server] = append(list[s.server], use{from: o.start, to: o.end, key: o.key(), because: o})
		}
	}
	for _, c := range p.calls {
		if c.x == nil || c.x.key.IsZero() {
			continue
		}
		if name := cmp.Or(c.x.p.HTTP.Host, c.x.u.s.sni()); name != "" {
			list[name] = append(list[name], use{from: c.start.Add(-usedWithin), to: c.start, key: c.x.key, x: c.x})
		}
	}
	return list
}

func (n *Node) decideLookup(p *pairing, d decision, uses []use) {
	var found *use
	var among []correlate.Candidate
	for i := range uses {
		u := &uses[i]
		if d.e.Time < u.from || d.e.Time > u.to {
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
		n.out.unmatched(d.e, correlate.Ambient)
		return
	case len(among) > 1, i.Confidence < n.cfg.Confidence:
		for j := range among {
			among[j].Confidence = math.Round(1000*i.Confidence/float64(len(among))) / 1000
		}
		n.doubtful(d.e, among[:min(len(among), correlate.MaxCandidates)])
		return
	}
	n.row(correlate.Row{Key: found.key, Event: d.e, Method: correlate.DNSName, Inferred: i, Late: d.late})
	if found.x != nil {
		n.cause(found.key, d.e, found.x.e.ID, correlate.DNSName)
	} else {
		n.out.Links = append(n.out.Links, n.because(d.e.ID, d.e.Time, found.because, i))
	}
}
