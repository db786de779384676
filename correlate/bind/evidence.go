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

// await keeps evidence until a request places it, or its horizon.
func (n *Node) await(d decision, s *socket) {
	w, q := wait{what: s.number, method: methodOf(d.e)}, short
	if d.late {
		w.flags |= waitLate
	}
	if denied(d.e) {
		w.flags |= waitDenied
	}
	if d.request != nil {
		w.flags |= waitAnswer
	}
	if n.agentic(s.workload) {
		q = long
	}
	w.hold(n.arena(q).Put(d.e))
	number := n.append(q, s, w, n.now.Add(n.horizonOf(q)), d.e.Time)
	if d.request != nil {
		n.answers[number] = d.request
	}
}

// append makes evidence the last of its socket's.
func (n *Node) append(q queue, s *socket, w wait, due, time event.Time) (number uint32) {
	w.flags &^= waitOdd
	odd := due.Add(-n.horizonOf(q)-n.cfg.Settle) != time
	if odd {
		w.flags |= waitOdd
	}
	number = n.wait(q, due, w)
	if odd {
		n.odd[number] = time
	}
	v, _ := n.waitOf(number)
	if v.next = number; s.pending != 0 {
		last, _ := n.waitOf(s.pending)
		v.next, last.next = last.next, number
	}
	s.pending = number
	return number
}

// timeOf is the event time of evidence.
func (n *Node) timeOf(number uint32, w *wait, due event.Time) event.Time {
	if w.flags&waitOdd != 0 {
		return n.odd[number]
	}
	return due.Add(-n.horizonOf(queueOf(number)) - n.cfg.Settle)
}

// arena is where the events of a queue are.
func (n *Node) arena(q queue) *hold.Arena {
	if q == short {
		return n.space.short
	}
	return n.space.long
}

// takeOut ends the wait of evidence and returns it.
func (n *Node) takeOut(number uint32, w *wait) decision {
	d := decision{e: n.space.unpack(n.arena(queueOf(number)), w.ref()), late: w.flags&waitLate != 0}
	if w.flags&waitAnswer != 0 {
		d.request = n.answers[number]
		delete(n.answers, number)
	}
	if w.flags&waitOdd != 0 {
		delete(n.odd, number)
	}
	w.hold(hold.Ref{})
	return d
}

// unlink takes evidence off its socket's list that has left its queue.
func (n *Node) unlink(number, next uint32, s *socket) {
	before := s.pending // the oldest is the likeliest
	if before == number {
		before = next
	}
	for before != number {
		w, _ := n.waitOf(before)
		if w.next == number {
			break
		}
		before = w.next
	}
	n.cut(s, before, number, next)
}

// cut takes evidence off its socket's list that stands between two others, or is
// the only one.
func (n *Node) cut(s *socket, before, number, next uint32) {
	if before == number {
		s.pending = 0
		return
	}
	w, _ := n.waitOf(before)
	if w.next = next; s.pending == number {
		s.pending = before
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
	r := correlate.Row{Key: x.key, Event: d.e, Method: method, Conn: &x.u.conn, Late: d.late, Copy: again}
	if i := x.byInference; i != nil {
		r.Method, r.Inferred = i.Method, i
	}
	n.row(r)
	n.cause(x.key, d.e, x.e.ID, method)
}

// placePending places the evidence that came while x, alone on its HTTP/1
// connection, was under way.
func (n *Node) placePending(x *exchange) {
	s := x.u.s
	if s.pending == 0 {
		return
	}
	before, last := s.pending, s.pending
	w, _ := n.waitOf(before)
	for at, next := w.next, uint32(0); ; at = next {
		w, due := n.waitOf(at)
		if next = w.next; x.covers(n.timeOf(at, w, due)) {
			n.cut(s, before, at, next)
			method := w.method
			n.place(n.takeOut(at, w), x, method, false)
		} else {
			before = at
		}
		if at == last {
			return
		}
	}
}

// expireEvidence decides evidence for good: by now every exchange that was
// under way has ended. It has left its queue, and was due.
func (n *Node) expireEvidence(number uint32, w wait, due event.Time) {
	if w.placed() {
		return
	}
	s, time := n.sockets.all.at(w.what), n.timeOf(number, &w, due)
	n.unlink(number, w.next, s)
	var open []*exchange
	for _, x := range s.endedSince(time) {
		if x.covers(time) {
			open = append(open, x)
		}
	}
	if queueOf(number) == short && s.closed > n.now && !s.busySince(time) && (len(open) == 0 || s.multiplexed()) {
		// The request that was under way may be a long one.
		n.waitLonger(number, w, s, time)
		return
	}
	method, stopped := w.method, w.flags&waitDenied != 0
	if s.joined() && len(open) == 0 && (s.owner == nil || !s.owner.works() && !s.owner.waits()) { // Fast path: nobody reads it.
		n.arena(queueOf(number)).Drop(w.ref())
		delete(n.answers, number)
		delete(n.odd, number)
		n.out.Fates[correlate.Joined]++ // in the summary of the connection
		n.out.Joins[method]++
		return
	}
	d := n.takeOut(number, &w)
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

// waitLonger gives evidence whose first horizon is over the second.
func (n *Node) waitLonger(number uint32, w wait, s *socket, time event.Time) {
	w.hold(n.space.move(w.ref()))
	again := n.append(longer, s, w, n.now.Add(n.cfg.AgentHorizon-n.cfg.Horizon), time)
	delete(n.odd, number)
	if w.flags&waitAnswer != 0 {
		n.answers[again] = n.answers[number]
		delete(n.answers, number)
	}
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
