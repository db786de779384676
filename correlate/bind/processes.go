package bind

import (
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// process is one execution of one process of the node.
type process struct {
	ref     event.ProcessRef
	execID  event.ExecID
	binary  string
	exec    *execution // what its process_exec said, nil if nobody saw it
	parent  *process
	started event.Time
	ended   event.Time // Never while it runs
	key     correlate.Key
	method  correlate.Method
	serves  bool // it has accepted connections: whatever it does may be for anybody
	// The search for the request that it works for, where nothing names one.
	call     *call
	held     []kept // events that wait for it
	inferred *correlate.Inference
	among    []correlate.Candidate
}

// execution is what a process_exec said.
type execution struct {
	id        event.ID
	time      event.Time
	source    event.Source
	hashes    event.Hashes
	parentTID uint32
	parent    event.ProcessRef
}

// row makes an event of the process, or of a socket of its own, part of the
// request that it works for.
func (p *process) row(d decision, m correlate.Method, c *correlate.Conn) correlate.Row {
	r := correlate.Row{Key: p.key, Event: d.e, Method: m, Conn: c, Late: d.late}
	if p.inferred != nil {
		r.Method, r.Inferred = p.inferred.Method, p.inferred
	}
	return r
}

// works reports whether the process works for one request: it, or what started
// it, was told the trace, and it serves nobody.
func (p *process) works() bool { return !p.key.IsZero() && !p.serves }

// processes is the node's index of processes. Pids are reused, so one is
// looked up with a time; exec ids are not.
type processes struct {
	ablate Ablation
	byExec map[event.ExecID]*process
	byPID  map[uint32][]*process
	ended  fifo[*process]
}

func newProcesses(a Ablation) processes {
	return processes{ablate: a, byExec: make(map[event.ExecID]*process), byPID: make(map[uint32][]*process)}
}

// at returns the process that had the pid at t, nil if nobody saw one.
func (i *processes) at(ref event.ProcessRef, t event.Time) *process {
	list := i.byPID[ref.PID]
	for j := len(list) - 1; j >= 0; j-- {
		p := list[j]
		if i.ablate.NoIntervals || p.started.Add(-slack) <= t && t <= p.ended.Add(slack) {
			if ref.StartNS == 0 || p.ref.StartNS == 0 || near(ref.StartNS, p.ref.StartNS) {
				return p
			}
		}
	}
	return nil
}

// near allows for the different moments that observers call the start of a
// process: its fork, its exec. Two processes of one pid are never that close,
// because the pid space has to wrap round between them.
func near(a, b uint64) bool {
	return a-b < uint64(time.Second) || b-a < uint64(time.Second)
}

func (i *processes) find(id event.ExecID, ref event.ProcessRef, t event.Time) *process {
	if id != "" {
		if p := i.byExec[id]; p != nil {
			return p
		}
	}
	if ref.PID == 0 {
		return nil
	}
	p := i.at(ref, t)
	if p != nil && id != "" && p.execID != "" && !i.ablate.NoIntervals {
		return nil // both have exec ids, and they differ
	}
	return p
}

// add makes a process that is known by its name alone.
func (i *processes) add(ref event.ProcessRef, id event.ExecID, t event.Time) *process {
	p := &process{ref: ref, execID: id, started: t, ended: event.Never}
	if ref.PID != 0 {
		i.byPID[ref.PID] = append(i.byPID[ref.PID], p)
	}
	if id != "" {
		i.byExec[id] = p
	}
	return p
}

// indexProcess takes in an exec or an exit.
func (n *Node) indexProcess(e *event.Event, x *event.Process) {
	i := &n.processes
	if e.Kind == event.KindProcessExit {
		if p := i.find(x.ExecID, x.Process, e.Time); p != nil && p.ended == event.Never {
			p.ended = e.Time
			i.ended.push(n.now.Add(n.memory()), p)
		}
		n.forgetProcesses()
		return
	}
	p := n.processOf(e, x)
	if p.exec == nil {
		p.exec, p.binary = &execution{e.ID, e.Time, e.Source, x.Hashes, x.ParentTID, x.Parent}, x.Binary
	}
	if p.parent == nil {
		if parent := i.find(x.ParentExecID, x.Parent, e.Time); parent != p {
			p.parent = parent
		}
	}
	switch {
	case !p.key.IsZero():
	case !x.Trace.TraceID.IsZero():
		p.key, p.method = correlate.TraceKey(x.Trace.TraceID), correlate.TraceContext
	case p.parent != nil && !p.parent.key.IsZero():
		p.key, p.method, p.inferred = p.parent.key, correlate.ExecLineage, p.parent.inferred
	case p.call == nil && !x.Inventory && !x.Entered && n.mayUse(&x.Workload) != nil:
		n.callProcess(p, e, x)
	}
}

// processOf returns the process that an exec is about. Two observers report
// the same exec under two names: same pid, same binary, same moment.
func (n *Node) processOf(e *event.Event, x *event.Process) *process {
	i := &n.processes
	if p := i.byExec[x.ExecID]; p != nil && x.ExecID != "" {
		return p
	}
	if p := i.at(x.Process, e.Time); p != nil && !i.ablate.NoIntervals {
		switch {
		case p.exec == nil: // known by pid from a socket or a syscall
			p.started = min(p.started, e.Time)
		case p.exec.source != e.Source && p.binary == x.Binary && e.Time.Sub(p.exec.time) < slack && p.exec.time.Sub(e.Time) < slack:
		default: // the same process runs another binary now
			p.ended = e.Time
			i.ended.push(n.now.Add(n.memory()), p)
			next := i.add(x.Process, x.ExecID, e.Time)
			if x.Process.StartNS != 0 && p.ref.StartNS != 0 { // not the pid's next owner
				if next.parent = p.parent; next.parent == nil {
					next.parent = p // at least what it was before is known
				}
				next.key, next.method, next.inferred = p.key, p.method, p.inferred
			}
			return next
		}
		if x.ExecID != "" && p.execID == "" {
			p.execID = x.ExecID
			i.byExec[x.ExecID] = p
		}
		return p
	}
	return i.add(x.Process, x.ExecID, e.Time)
}

func (n *Node) forgetProcesses() {
	i := &n.processes
	for at := n.now; i.ended.due(&at); at = n.now {
		p := i.ended.pop()
		delete(i.byExec, p.execID)
		list := i.byPID[p.ref.PID]
		for j, q := range list {
			if q == p {
				list = append(list[:j], list[j+1:]...)
				break
			}
		}
		if len(list) == 0 {
			delete(i.byPID, p.ref.PID)
		} else {
			i.byPID[p.ref.PID] = list
		}
	}
}

// decideProcess gives an exec or exit to the request its process belongs to.
func (n *Node) decideProcess(d decision, x *event.Process) {
	p := n.processes.find(x.ExecID, x.Process, d.e.Time)
	switch {
	case p == nil:
		n.out.unmatched(d.e, correlate.Ambient)
		return
	case !p.key.IsZero():
	case n.hold(p, d):
		return
	case p.among != nil && !p.serves:
		n.doubtful(d.e, p.among)
		return
	default:
		n.out.unmatched(d.e, correlate.Ambient)
		return
	}
	r := p.row(d, p.method, nil)
	r.Span = x.Trace.SpanID
	n.row(r)
	first := p.exec != nil && p.exec.id == d.e.ID
	if first && p.parent != nil && p.parent.exec != nil && p.parent.key == p.key {
		n.cause(p.key, d.e, p.parent.exec.id, correlate.ExecLineage)
	} else if p.exec != nil && !first {
		n.cause(p.key, d.e, p.exec.id, correlate.ExecLineage)
	}
}

// decideSyscall gives a syscall to the request of its process, else to its
// socket's.
func (n *Node) decideSyscall(d decision, x *event.Syscall) {
	p := n.processes.find(x.ExecID, x.Process, d.e.Time)
	if p != nil && !p.key.IsZero() {
		r := p.row(d, correlate.ExecLineage, nil)
		if s := n.sockets.byAddr(x.SockAddr, x.Tuple, d.e.Time); s != nil && x.SockAddr != 0 {
			r.Conn = s.conn()
		}
		n.row(r)
		if p.exec != nil {
			n.cause(p.key, d.e, p.exec.id, correlate.ExecLineage)
		}
		return
	}
	if n.hold(p, d) {
		return
	}
	if p != nil && p.among != nil && !p.serves {
		n.doubtful(d.e, p.among)
		return
	}
	var s *socket
	method := correlate.SockAddress
	if x.SockAddr != 0 {
		s = n.sockets.byAddr(x.SockAddr, x.Tuple, d.e.Time)
		if s != nil && !x.Tuple.Complete() && s.pid() != 0 && x.Process.PID != 0 && s.pid() != x.Process.PID {
			s = nil // the address alone, of another process: the socket's close may have been lost
		}
	}
	if s == nil && x.Tuple.Complete() {
		s, method = n.sockets.byTuple(x.Tuple, d.e.Time, event.RoleUnknown), correlate.FiveTuple
	}
	n.decideOnSocket(d, s, method)
}

func (n *Node) cause(k correlate.Key, e *event.Event, because event.ID, m correlate.Method) {
	n.out.Links = append(n.out.Links, correlate.Link{
		Key: k, Kind: correlate.LinkCause, From: e.ID, To: because, Method: m, Time: e.Time,
	})
}
