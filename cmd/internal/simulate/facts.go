package simulate

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// Kinds of facts.
const (
	kindEdge    = "edge"
	kindIngress = "ingress"
	kindEgress  = "egress"
	kindProcess = "process"
	kindFlow    = "flow"
	kindSyscall = "syscall"
)

// fact is one thing that happened and that some record reports.
type fact struct {
	request  *request // nil: background
	index    int      // among the request's facts
	kind     string
	node     *node
	start    event.Time // as the record has it, on the node's clock
	end      event.Time
	cookie   event.SocketCookie
	stream   uint32
	ordinal  uint32
	execID   event.ExecID
	pid      uint32
	function string
	sock     event.SockAddr
	event    event.ID
	insertID string
	links    []link
	few      [3]link // room for most
	inferred []string
	lost     bool // its record was not written
	hidden   bool // nothing that could be a step was written
	none     bool // nothing could know
}

// link says that an identifier in the evidence is equal: to one of another
// fact, or to a trace id.
type link struct {
	method string
	to     *fact
	trace  event.TraceID
}

// fact adds a fact of a request. Background facts stand alone.
func (r *request) fact(kind string, n *node) *fact {
	f := &fact{request: r, kind: kind, node: n}
	f.links = f.few[:0]
	if r != nil {
		f.index = len(r.facts)
		r.facts = append(r.facts, f)
	}
	return f
}

func (f *fact) link(method string, to *fact) {
	if to != nil && to.request == f.request && f.request != nil {
		f.links = append(f.links, link{method: method, to: to})
	}
}

func (f *fact) linkTrace(method string, id event.TraceID) {
	if f.request != nil {
		f.links = append(f.links, link{method: method, trace: id})
	}
}

// settle finds what is possible for each fact of a finished request and writes
// the truth.
func (w *world) settle(r *request) {
	// A union-find over the facts, then the trace ids.
	traces := make([]event.TraceID, 0, 4)
	node := func(id event.TraceID) int {
		i := slices.Index(traces, id)
		if i < 0 {
			i = len(traces)
			traces = append(traces, id)
		}
		return len(r.facts) + i
	}
	for _, f := range r.facts {
		for _, l := range f.links {
			if l.to == nil {
				node(l.trace)
			}
		}
	}
	up := make([]int, len(r.facts)+len(traces))
	for i := range up {
		up[i] = i
	}
	find := func(i int) int {
		for up[i] != i {
			up[i] = up[up[i]]
			i = up[i]
		}
		return i
	}
	other := func(l link) int {
		if l.to != nil {
			return l.to.index
		}
		return node(l.trace)
	}
	for i, f := range r.facts {
		if f.lost || f.hidden || f.none {
			continue
		}
		for _, l := range f.links {
			if l.to == nil || !l.to.lost && !l.to.hidden && !l.to.none {
				up[find(i)] = find(other(l))
			}
		}
	}
	entry := r.entryFact(func(a, b *fact) bool { return find(a.index) == find(b.index) })
	for i, f := range r.facts {
		possible := w.possible[:0]
		if entry != nil && !f.none && find(i) == find(entry.index) && !(r.fragile && f != entry) {
			for _, l := range f.links {
				if l.to == nil || !l.to.lost && !l.to.hidden && !l.to.none {
					possible = appendNew(possible, l.method)
				}
			}
		}
		if !f.none {
			for _, m := range f.inferred {
				possible = appendNew(possible, m)
			}
		}
		w.possible = possible
		w.writeFact(f, f == entry, possible)
		for j := range r.acts {
			if a := &r.acts[j]; a.fact == f && a.kind == rogueExec {
				a.findable = !f.lost && !f.hidden && len(possible) > 0
			}
		}
	}
	w.tellActs(r)
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// entryFact is the request's own entry: the load balancer's entry where the
// evidence connects it to what it led to, or where it led to nothing; else the
// outermost exchange.
func (r *request) entryFact(connected func(a, b *fact) bool) *fact {
	var edge, outer *fact
	for _, f := range r.facts {
		if f.lost || f.hidden {
			continue
		}
		switch {
		case f.kind == kindEdge && edge == nil:
			edge = f
		case f.kind == kindIngress && outer == nil && f == r.outer:
			outer = f
		}
	}
	switch {
	case edge == nil:
		return outer
	case outer == nil:
		return edge
	case connected(edge, outer):
		return edge
	}
	return outer
}

// background writes a fact that belongs to no request at once.
func (w *world) background(f *fact) {
	if f.request == nil {
		w.writeFact(f, false, nil)
	}
}

// writeFact writes one line of the truth.
func (w *world) writeFact(f *fact, entry bool, possible []string) {
	if f.hidden {
		return
	}
	w.sum.Facts++
	b := append(w.truthBuf[:0], `{"request":"`...)
	if f.request != nil {
		b = append(b, f.request.id...)
	}
	b = append(b, `","trace_id":"`...)
	if f.request != nil && !f.request.trace.IsZero() {
		b = appendHex(b, f.request.trace[:])
	}
	b = append(b, `","kind":"`...)
	b = append(b, f.kind...)
	b = append(b, `","entry":`...)
	b = strconv.AppendBool(b, entry)
	b = append(b, `,"node":"`...)
	if f.node != nil {
		b = append(b, f.node.name...)
	}
	b = append(b, `","key":{`...)
	b = f.appendKey(b)
	b = append(b, `},"start_ns":`...)
	b = strconv.AppendInt(b, int64(f.start), 10)
	b = append(b, `,"end_ns":`...)
	b = strconv.AppendInt(b, int64(f.end), 10)
	b = append(b, `,"possible":[`...)
	if !f.lost {
		for i, m := range possible {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, '"'), m...), '"')
		}
	}
	b = append(b, ']')
	if f.lost {
		b = append(b, `,"lost":true`...)
	}
	w.truthBuf = append(b, "}\n"...)
	w.truth.write(w.truthBuf)
}

// appendKey writes by what names a step can be known to report the fact.
func (f *fact) appendKey(b []byte) []byte {
	switch f.kind {
	case kindIngress, kindEgress:
		b = append(b, `"socket_cookie":"`...)
		b = strconv.AppendUint(b, uint64(f.cookie), 10)
		b = append(b, `","stream_id":`...)
		b = strconv.AppendUint(b, uint64(f.stream), 10)
		b = append(b, `,"ordinal":`...)
		b = append(strconv.AppendUint(b, uint64(f.ordinal), 10), ',')
	case kindProcess, kindSyscall:
		b = append(b, `"exec_id":"`...)
		b = append(b, f.execID...)
		b = append(b, `","pid":`...)
		b = append(strconv.AppendUint(b, uint64(f.pid), 10), ',')
		if f.function != "" {
			b = append(b, `"function":"`...)
			b = append(append(b, f.function...), `",`...)
		}
		if f.sock != 0 {
			b = append(b, `"sock_addr":"`...)
			b = append(strconv.AppendUint(b, uint64(f.sock), 10), `",`...)
		}
	case kindEdge:
		b = append(b, `"insert_id":"`...)
		b = append(append(b, f.insertID...), `",`...)
	}
	if f.event.IsZero() { // lost
		return bytes.TrimSuffix(b, []byte{','})
	}
	b = append(b, `"event_id":"`...)
	return append(appendHex(b, f.event[:]), '"')
}
