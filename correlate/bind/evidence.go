package bind

import (
	"cmp"
	"slices"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/hold"
	"github.com/sennit-io/sennit/schemas/event"
)

// decideOnSocket places evidence about a connection. It is kept once, with the
// socket; it becomes a step of its own where the socket is one request's alone
// at that moment.
func (n *Node) decideOnSocket(d decision, s *socket, method correlate.Method) {
	if s == nil {
		n.out.unmatched(d.e, correlate.Ambient)
		return
	}
	n.note(d.e, s)
	if p := s.owner; p != nil && p.works() {
		// The process that owns the socket works for one request.
		n.row(p.row(d, method, s.conn()))
		if p.exec != nil {
			n.cause(p.key, d.e, p.exec.id, method)
		}
		return
	}
	for _, x := range s.endedSince(d.e.Time) {
		if x.p.Ordinal != 0 && x.emitted && x.covers(d.e.Time) {
			n.place(d, x, method, false)
			return
		}
	}
	n.await(d, s)
}

// evidence is an event about a connection that waits for its request.
type evidence struct {
	ref    hold.Ref
	s      *socket
	time   event.Time
	next   uint32 // of the socket's
	method correlate.Method
	flags  evidenceFlags
}

type evidenceFlags uint8

const (
	evidenceLate   evidenceFlags = 1 << iota
	evidenceDenied               // it stopped the connection
	evidenceLong                 // it waits for Config.AgentHorizon
	evidenceAnswer               // Node.answers has its request
	evidencePlaced               // its wait is over; only its number is due
)

// pending lists the evidence of a socket, oldest first.
type pending struct{ first, last uint32 }

// await keeps evidence until a request places it, or its horizon.
func (n *Node) await(d decision, s *socket) {
	number, v := n.evidence.add()
	*v = evidence{s: s, time: d.e.Time, method: methodOf(d.e)}
	if d.late {
		v.flags |= evidenceLate
	}
	if denied(d.e) {
		v.flags |= evidenceDenied
	}
	if d.request != nil {
		v.flags |= evidenceAnswer
		n.answers[number] = d.request
	}
	n.append(s, number, v)
	if n.agentic(s.workload) {
		v.flags |= evidenceLong
		v.ref = n.space.long.Put(d.e)
		n.long.push(n.now.Add(n.cfg.AgentHorizon), number)
		return
	}
	v.ref = n.space.short.Put(d.e)
	n.short.push(n.now.Add(n.cfg.Horizon), number)
}

func (n *Node) append(s *socket, number uint32, v *evidence) {
	v.next = 0
	if s.pending.last != 0 {
		n.evidence.at(s.pending.last).next = number
	} else {
		s.pending.first = number
	}
	s.pending.last = number
}

func (n *Node) arena(v *evidence) *hold.Arena {
	if v.flags&evidenceLong != 0 {
		return n.space.long
	}
	return n.space.short
}

// takeOut ends the wait of evidence and returns it.
func (n *Node) takeOut(number uint32, v *evidence) decision {
	d := decision{e: n.space.unpack(n.arena(v), v.ref), late: v.flags&evidenceLate != 0}
	if v.flags&evidenceAnswer != 0 {
		d.request = n.answers[number]
		delete(n.answers, number)
	}
	v.ref = hold.Ref{}
	return d
}

// unlink takes evidence off its socket's list.
func (n *Node) unlink(number uint32, v *evidence) {
	p := &v.s.pending
	before := uint32(0)
	for at := p.first; at != number; at = n.evidence.at(at).next {
		before = at
	}
	if before == 0 {
		p.first = v.next
	} else {
		n.evidence.at(before).next = v.next
	}
	if p.last == number {
		p.last = before
	}
}

// note takes from evidence what the connection's summary shows.
func (n *Node) note(e *event.Event, s *socket) {
	switch p := e.Payload.(type) {
	case *event.TLSHello:
		if p.SNI != "" && s.sni() == "" {
			s.conn().SNI = p.SNI
		}
	case *event.Flow:
		if p.Verdict.Denied() || s.verdict == event.VerdictUnknown {
			s.verdict = p.Verdict
			s.sum()
		}
	}
}

// place makes evidence a step below an exchange's.
func (n *Node) place(d decision, x *exchange, method correlate.Method, again bool) {
	r := correlate.Row{Key: x.key, Event: d.e, Method: method, Conn: x.s.conn(), Late: d.late, Copy: again}
	if i := x.byInference; i != nil {
		r.Method, r.Inferred = i.Method, i
	}
	n.row(r)
	n.cause(x.key, d.e, x.e.ID, method)
}

// placePending places the evidence that came while x, alone on its HTTP/1
// connection, was under way.
func (n *Node) placePending(x *exchange) {
	s, before := x.s, uint32(0)
	for at := s.pending.first; at != 0; {
		v := n.evidence.at(at)
		next := v.next
		if !x.covers(v.time) {
			before, at = at, next
			continue
		}
		if before == 0 {
			s.pending.first = next
		} else {
			n.evidence.at(before).next = next
		}
		if s.pending.last == at {
			s.pending.last = before
		}
		d := n.takeOut(at, v)
		v.flags |= evidencePlaced
		n.place(d, x, v.method, false)
		at = next
	}
}

// expireEvidence decides evidence for good: by now every exchange that was
// under way has ended.
func (n *Node) expireEvidence(number uint32) {
	v := n.evidence.at(number)
	if v.flags&evidencePlaced != 0 {
		n.evidence.drop(number)
		return
	}
	s := v.s
	n.unlink(number, v)
	var open []*exchange
	for _, x := range s.endedSince(v.time) {
		if x.covers(v.time) {
			open = append(open, x)
		}
	}
	if v.flags&evidenceLong == 0 && s.closed > n.now && !s.busySince(v.time) && (len(open) == 0 || s.multiplexed()) {
		// The request that was under way may be a long one.
		n.append(s, number, v)
		v.ref = n.space.move(v.ref)
		v.flags |= evidenceLong
		n.longer.push(n.now.Add(n.cfg.AgentHorizon-n.cfg.Horizon), number)
		return
	}
	method, stopped := v.method, v.flags&evidenceDenied != 0
	if s.joined() && len(open) == 0 && (s.owner == nil || !s.owner.works() && !s.owner.waits()) { // Fast path: nobody reads it.
		n.arena(v).Drop(v.ref)
		delete(n.answers, number)
		n.evidence.drop(number)
		n.out.Fates[correlate.Joined]++ // in the summary of the connection
		n.out.Joins[method]++
		return
	}
	d := n.takeOut(number, v)
	n.evidence.drop(number)
	switch {
	case s.owner != nil && s.owner.works():
		n.decideOnSocket(d, s, method)
		return
	case len(open) == 1 && open[0].emitted:
		n.place(d, open[0], method, false)
		return
	case stopped && len(open) > 0:
		placed := false
		for _, x := range open {
			if x.emitted {
				n.place(d, x, method, placed)
				placed = true
			}
		}
		if placed {
			return
		}
	}
	if n.hold(s.owner, d) {
		return
	}
	if s.joined() {
		n.out.Fates[correlate.Joined]++
		n.out.Joins[method]++
		return
	}
	n.out.unmatched(d.e, correlate.Ambient)
}

// endedSince returns the exchanges that ended at t or later.
func (s *socket) endedSince(t event.Time) []*exchange {
	list := s.recent()
	i, _ := slices.BinarySearchFunc(list, t, func(x *exchange, t event.Time) int { return cmp.Compare(x.e.Time, t) })
	return list[i:]
}

// multiplexed reports whether several requests may be under way at once.
func (s *socket) multiplexed() bool {
	list := s.recent()
	n := len(list)
	return n > 0 && list[n-1].p.Ordinal == 0
}

// busySince reports whether a request began on the socket after t and has
// ended: on HTTP/1 then nothing that was under way at t can still come.
func (s *socket) busySince(t event.Time) bool {
	list := s.recent()
	n := len(list)
	return n > 0 && list[n-1].p.Ordinal != 0 && list[n-1].p.Start > t
}

// denied reports whether the event stopped a connection.
func denied(e *event.Event) bool {
	switch p := e.Payload.(type) {
	case *event.Flow:
		return p.Verdict.Denied()
	case *event.Socket:
		return p.Verdict.Denied()
	case *event.Syscall:
		return e.Kind == event.KindEnforcement
	}
	return false
}

// methodOf is the rung on which evidence of this kind meets its socket.
func methodOf(e *event.Event) correlate.Method {
	switch p := e.Payload.(type) {
	case *event.Flow:
		if p.Cookie == 0 {
			return correlate.FiveTuple
		}
	case *event.HTTPFlow, *event.DNS:
		return correlate.FiveTuple
	case *event.Syscall:
		if p.SockAddr != 0 {
			return correlate.SockAddress
		}
		return correlate.FiveTuple
	}
	return correlate.SocketCookie
}
