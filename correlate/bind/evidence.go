package bind

import (
	"cmp"
	"slices"

	"github.com/sennit-io/sennit/correlate"
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
		n.row(p.row(d, method, s.conn))
		if p.exec != nil {
			n.cause(p.key, d.e, p.exec, method)
		}
		return
	}
	for _, x := range s.endedSince(d.e.Time) {
		if x.p.Ordinal != 0 && x.emitted && x.covers(d.e.Time) {
			n.place(d, x, method, false)
			return
		}
	}
	s.pending = append(s.pending, d)
	n.horizon(waiting{s: s, e: d.e}, s.workload)
}

// note takes from evidence what the connection's summary shows.
func (n *Node) note(e *event.Event, s *socket) {
	switch p := e.Payload.(type) {
	case *event.TLSHello:
		if s.conn.SNI == "" {
			s.conn.SNI = p.SNI
		}
	case *event.Flow:
		if p.Verdict.Denied() || s.conn.Verdict == event.VerdictUnknown {
			s.conn.Verdict = p.Verdict
		}
	}
}

// place makes evidence a step below an exchange's.
func (n *Node) place(d decision, x *exchange, method correlate.Method, again bool) {
	r := correlate.Row{Key: x.key, Event: d.e, Method: method, Conn: x.s.conn, Late: d.late, Copy: again}
	if i := x.byInference; i != nil {
		r.Method, r.Inferred = i.Method, i
	}
	n.row(r)
	n.cause(x.key, d.e, x.e, method)
}

// placePending places the evidence that came while x, alone on its HTTP/1
// connection, was under way.
func (n *Node) placePending(x *exchange) {
	kept := x.s.pending[:0]
	for _, d := range x.s.pending {
		if x.covers(d.e.Time) {
			n.place(d, x, methodOf(d.e), false)
			continue
		}
		kept = append(kept, d)
	}
	clear(x.s.pending[len(kept):])
	x.s.pending = kept
}

// expireEvidence decides evidence for good: by now every exchange that was
// under way has ended.
func (n *Node) expireEvidence(w waiting) {
	s := w.s
	var d decision
	for i := range s.pending {
		if s.pending[i].e == w.e {
			d = s.pending[i]
			s.pending = append(s.pending[:i], s.pending[i+1:]...)
			break
		}
	}
	if d.e == nil {
		return // placed in the meantime
	}
	var open []*exchange
	for _, x := range s.endedSince(d.e.Time) {
		if x.covers(d.e.Time) {
			open = append(open, x)
		}
	}
	if !w.long && s.closed > n.now && !s.busySince(d.e.Time) && (len(open) == 0 || s.multiplexed()) {
		// The request that was under way may be a long one.
		s.pending = append(s.pending, d)
		w.long = true
		n.longer.push(n.now.Add(n.cfg.AgentHorizon-n.cfg.Horizon), w)
		return
	}
	method := methodOf(d.e)
	switch {
	case s.owner != nil && s.owner.works():
		n.decideOnSocket(d, s, method)
		return
	case len(open) == 1 && open[0].emitted:
		n.place(d, open[0], method, false)
		return
	case denied(d.e) && len(open) > 0:
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
	if s.owner.hold(d) {
		return
	}
	if s.joined {
		n.out.Fates[correlate.Joined]++ // in the summary of the connection
		n.out.Joins[method]++
		return
	}
	n.out.unmatched(d.e, correlate.Ambient)
}

// endedSince returns the exchanges that ended at t or later.
func (s *socket) endedSince(t event.Time) []*exchange {
	i, _ := slices.BinarySearchFunc(s.recent, t, func(x *exchange, t event.Time) int { return cmp.Compare(x.e.Time, t) })
	return s.recent[i:]
}

// multiplexed reports whether several requests may be under way at once.
func (s *socket) multiplexed() bool {
	n := len(s.recent)
	return n > 0 && s.recent[n-1].p.Ordinal == 0
}

// busySince reports whether a request began on the socket after t and has
// ended: on HTTP/1 then nothing that was under way at t can still come.
func (s *socket) busySince(t event.Time) bool {
	n := len(s.recent)
	return n > 0 && s.recent[n-1].p.Ordinal != 0 && s.recent[n-1].p.Start > t
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
