package tetragon

import (
	"bytes"
	"time"
	"unsafe"

	"github.com/sennit-io/sennit/schemas/event"
)

// rateLimitInterval is how often Tetragon reports what its export rate limit
// dropped (cilium/tetragon cmd/tetragon/main.go, NewRateLimiter).
const rateLimitInterval = time.Minute

func (d *Decoder) emit(b *event.Batch) {
	switch d.rec.kind {
	case kindExec:
		d.emitProcess(b, event.KindProcessExec)
	case kindExit:
		d.emitProcess(b, event.KindProcessExit)
	case kindThrottle, kindRateLimit:
		d.emitLoss(b)
	default:
		d.emitSyscall(b)
	}
}

// head adds an event with its head filled, but for the id.
func (d *Decoder) head(b *event.Batch, k event.Kind) *event.Event {
	e := b.Add(k, event.SourceTetragon)
	e.Time, e.Cluster, e.Node = d.rec.time, d.names.String(d.rec.cluster), d.names.String(d.rec.node)
	return e
}

// id starts the id of e.
func (d *Decoder) id(e *event.Event) *event.Hasher {
	return d.ids.Reset(e.Kind).String(e.Node).Uint(uint64(e.Time))
}

// identity says what names the process. The start time is the one of the exec
// id, in nanoseconds since boot.
func (d *Decoder) identity(e *event.Event) (event.ExecID, event.ProcessRef) {
	p := &d.rec.proc
	ref := event.ProcessRef{PID: p.pid}
	if node, full, ok := d.execRef(p.execID); ok {
		if p.pid == 0 || p.pid == full.PID {
			ref = full
		}
		if e.Node == "" {
			e.Node = d.names.String(node)
		}
	}
	return event.ExecID(d.procs.String(p.execID)), ref
}

// parentOf prefers what the process says of its parent to the parent's own
// block, which may be another one after a re-parenting.
func (d *Decoder) parentOf() (event.ExecID, event.ProcessRef) {
	own, block := d.rec.proc.parentID, &d.rec.parent
	if len(own) == 0 || string(own) == string(block.execID) {
		return block.execID, block.ref
	}
	_, ref, ok := d.execRef(own)
	if !ok {
		ref = event.ProcessRef{PID: block.ref.PID}
	}
	return event.ExecID(d.procs.String(own)), ref
}

func (d *Decoder) emitProcess(b *event.Batch, k event.Kind) {
	r, p, e, out := &d.rec, &d.rec.proc, d.head(b, k), b.NewProcess()
	e.Payload = out
	if e.Time == 0 {
		e.Time = r.exitTime
		if k == event.KindProcessExec {
			e.Time = p.started
		}
	}
	out.ExecID, out.Process = d.identity(e)
	out.ParentExecID, out.Parent = d.parentOf()
	out.TID, out.UID = p.tid, p.uid
	out.Binary = d.procs.String(p.binary)
	out.CWD = d.procs.String(p.cwd)
	if !hasFlag(p.flags, "truncArgs") && len(p.binary)+len(p.args) > 0 {
		d.hash.Key = d.Redact.Key
		out.Hashes = d.hash.Command(out.Binary, view(p.args))
	}
	if d.Redact.CommandLines {
		out.Args = d.files.String(p.args)
	}
	out.Trace = p.trace
	// Without a pod there is the prefix of the id (31 characters, once 24 or 15)
	// that every process of a container carries.
	if out.Container = p.pod.containerID; out.Container == "" {
		out.Container = d.procs.String(p.docker)
	}
	out.Workload = d.workload(e)
	out.Entered = p.outside && out.Container != ""
	out.Started = p.started
	if k == event.KindProcessExec {
		out.Inventory = hasFlag(p.flags, "procFS")
	} else {
		out.ExitCode, out.Signal = r.status, d.names.String(r.signal)
	}

	h := d.id(e).String(string(out.ExecID))
	if out.ExecID == "" {
		h.Uint(uint64(p.pid)).Uint(uint64(p.tid)).String(out.Binary)
	}
	e.ID = h.Sum()
}

func (d *Decoder) emitSyscall(b *event.Batch) {
	r, p := &d.rec, &d.rec.proc
	k, action := event.KindSyscall, r.action
	if !enforces(action) && enforces(r.returnAction) {
		action = r.returnAction
	}
	if enforces(action) {
		k = event.KindEnforcement
	}
	e, out := d.head(b, k), b.NewSyscall()
	e.Payload = out
	out.ExecID, out.Process = d.identity(e)
	out.ParentExecID, _ = d.parentOf()
	out.TID = p.tid
	out.Binary = d.procs.String(p.binary)
	out.Hook = hookNames[r.kind]
	out.Function = d.function()
	out.Policy, out.Message = d.names.String(r.policy), d.names.String(r.message)
	out.Action, out.Return = action, r.ret
	out.SockAddr = r.args.sock.addr
	out.Tuple = r.args.tuple(r.function)
	out.File = d.files.String(d.file())
	out.Workload = d.workload(e)

	h := d.id(e).String(string(out.ExecID)).Uint(uint64(out.Process.PID)<<32 | uint64(out.TID)).
		String(out.Hook).String(out.Function).String(out.Policy).String(r.action).String(r.returnAction).Bytes(r.path)
	if len(d.digest) > 0 {
		// Arguments can be guessed, ids travel: so under the key.
		h.Bytes(d.Redact.Key[:]).Bytes(d.digest)
	}
	e.ID = h.Sum()
}

// function names what fired: a function of the kernel or of a binary, a
// tracepoint as "subsystem/event", a usdt as "provider:name".
func (d *Decoder) function() string {
	r := &d.rec
	if r.kind != kindTracepoint && r.kind != kindUSDT || len(r.subsys)+len(r.name) == 0 {
		return d.names.String(r.function)
	}
	sep := byte('/')
	if r.kind == kindUSDT {
		sep = ':'
	}
	d.buf = append(append(append(d.buf[:0], r.subsys...), sep), r.name...)
	return d.names.String(d.buf)
}

// file is the path that the hook was about. A string is one only where a file
// is opened: elsewhere it may be anything.
func (d *Decoder) file() []byte {
	r := &d.rec
	switch {
	case len(r.args.file) > 0:
		return r.args.file
	case len(r.args.str) > 0 && (bytes.Contains(r.function, []byte("open")) || bytes.Contains(r.name, []byte("open"))):
		return r.args.str
	}
	return r.path
}

func (d *Decoder) emitLoss(b *event.Batch) {
	r, e, out := &d.rec, d.head(b, event.KindLoss), b.NewLoss()
	e.Payload = out
	out.Of = event.SourceTetragon
	switch {
	case r.kind == kindRateLimit:
		out.Reason, out.Count, out.To = "rate limit", r.dropped, e.Time
		if e.Time != 0 {
			out.From = e.Time.Add(-rateLimitInterval)
		}
	case r.throttle == throttleStart:
		out.Reason, out.Scope, out.From = "throttle start", d.names.String(r.cgroup), e.Time
	default:
		out.Reason, out.Scope, out.To = "throttle stop", d.names.String(r.cgroup), e.Time
	}
	e.ID = d.id(e).String(out.Reason).String(out.Scope).Uint(out.Count).Sum()
}

func (d *Decoder) workload(e *event.Event) event.Workload {
	p := &d.rec.proc.pod
	if !p.known {
		return event.Workload{}
	}
	return event.Workload{
		Cluster: e.Cluster, Namespace: p.namespace, Pod: p.name, PodUID: p.uid, Container: p.container, Node: e.Node,
	}
}

// view is b as a string without a copy, for calls that do not keep it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
