package bind

import (
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/link"
	"github.com/sennit-io/sennit/schemas/event"
)

// heard is an HTTP message that a proxy saw, of no trace and no known socket. It
// waits for the span that tells of the same call.
type heard struct {
	k    kept
	id   event.ID
	time event.Time
	end  event.Time // of the call, as far as it is known
	link correlate.Link
	by   *correlate.Inference
}

// hear keeps a message for the search, and reports whether it is kept. With its
// answer the call is whole: out, it lies within a client's span; in, a server's
// span lies within it.
func (n *Node) hear(d decision, p *event.HTTPFlow) bool {
	whose := &p.DstWorkload
	if p.Egress {
		whose = &p.SrcWorkload
	}
	w := n.mayUse(whose)
	if w == nil {
		return false
	}
	search := &w.calls
	if !p.Egress {
		search = &w.flows
	}
	if len(search.heard) >= maxHeld {
		return false
	}
	search.ready(n, w)
	h := &heard{k: n.keep(d), id: d.e.ID, time: d.e.Time, end: d.e.Time}
	search.heard = append(search.heard, h)
	search.seen = max(search.seen, d.e.Time)
	n.pairDue = min(n.pairDue, search.next(n))
	if !p.Response {
		return true
	}
	start, parts := d.e.Time.Add(-time.Duration(p.LatencyNS)), []*heard{h}
	if d.request != nil {
		start = d.request.time
		for i := len(search.heard) - 1; i >= 0; i-- {
			if q := search.heard[i]; q.id == d.request.id {
				q.end = d.e.Time
				parts = append(parts, q)
				break
			}
		}
	}
	if start == d.e.Time {
		return true // nobody knows how long it took
	}
	head := p.HTTP
	if d.request != nil {
		q := d.request.http
		head.Method, head.Host, head.Path = q.Method, q.Host, q.Path
	}
	labels := [link.Labels]uint32{byHead: headLabel(&head)}
	if p.Egress {
		c := &call{start: start, end: d.e.Time, heard: parts}
		search.call(n, w, c, destination{name: head.Host, addr: p.Tuple.Dst}, link.Call{Labels: labels})
		return true
	}
	o := owner{kind: ownerFlow, start: start.Add(-slack), end: d.e.Time.Add(slack), id: d.e.ID, request: correlate.LocalKey(d.e.ID), heard: parts}
	search.own(n, w, o, class{kind: ownerFlow}, link.Owner{Single: true, Labels: labels})
	return true
}

// inferHeard makes messages part of the request of a span.
func (n *Node) inferHeard(parts []*heard, key correlate.Key, span event.SpanID, i *correlate.Inference) {
	for _, h := range parts {
		h.by = i
		h.link = correlate.Link{Key: key, Kind: correlate.LinkCause, From: h.id, Span: span, Method: i.Method, Time: h.time}
	}
}

// decideHeard ends the wait of the messages whose calls are decided.
func (n *Node) decideHeard(p *pairing, until event.Time) {
	kept := p.heard[:0]
	for _, h := range p.heard {
		switch {
		case h.end >= until:
			kept = append(kept, h)
		case h.by == nil:
			n.out.unmatched(n.back(h.k).e, correlate.Ambient)
		default:
			n.row(correlate.Row{Key: h.link.Key, Event: n.back(h.k).e, Method: h.by.Method, Late: h.k.late, Inferred: h.by})
			n.out.Links = append(n.out.Links, h.link)
		}
	}
	clear(p.heard[len(kept):])
	p.heard = kept
}
