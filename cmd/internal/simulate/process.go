package simulate

import (
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// process is one running program, rendered once as Tetragon repeats it.
type process struct {
	pod      *pod
	pid      uint32
	started  int64
	execID   event.ExecID
	parent   *process
	binary   string
	args     string
	ref      event.ProcessRef
	tetragon []byte // the process object up to and without its closing brace
	fact     *fact
	event    event.ID // of its exec record
	lost     bool     // that record was lost
	dead     bool
}

// exec starts a program in a pod, as a child of parent (nil: of the runtime).
// The env is what the exporter's filter lets through.
func (w *world) exec(p *pod, parent *process, binary, args string, env []string, r *request) *process {
	n := p.node
	pr := &process{pod: p, parent: parent, binary: binary, args: args, started: w.s.now}
	pr.pid = n.pids.take()
	pr.execID = n.execID(pr.started, pr.pid)
	pr.ref = event.ProcessRef{PID: pr.pid, StartNS: n.sinceBoot(pr.started)}
	pr.render()
	b := n.tetragon.begin(w.lag(50*ms, 400*ms))
	if pr.lost = b == nil; pr.lost {
		return pr
	}
	b = append(b, `{"process_exec":{"process":`...)
	b = append(b, pr.tetragon...)
	if len(env) > 0 {
		b = append(b, `,"environment_variables":[`...)
		for i, kv := range env {
			if i > 0 {
				b = append(b, ',')
			}
			k, v := cut(kv)
			b = append(b, `{"Key":"`...)
			b = append(b, k...)
			b = append(b, `","Value":"`...)
			b = append(b, v...)
			b = append(b, `"}`...)
		}
		b = append(b, ']')
	}
	b = append(b, '}')
	b = pr.appendParent(b)
	b = append(b, `},`...)
	b = n.appendTetragonTail(b, n.clock(w.s.now))
	pr.event = w.ids.of(&w.ids.tetragon, b)
	n.tetragon.end(b, 1, r == nil)
	return pr
}

// exit ends a program.
func (w *world) exit(pr *process, code uint32, signal string) {
	if pr.dead {
		return
	}
	pr.dead = true
	n := pr.pod.node
	n.pids.give(pr.pid)
	b := n.tetragon.begin(w.lag(50*ms, 400*ms))
	if b == nil {
		return
	}
	b = append(b, `{"process_exit":{"process":`...)
	b = append(append(b, pr.tetragon...), '}')
	b = pr.appendParent(b)
	if signal != "" {
		b = append(b, `,"signal":"`...)
		b = append(append(b, signal...), '"')
	}
	if code != 0 {
		b = append(b, `,"status":`...)
		b = strconv.AppendUint(b, uint64(code), 10)
	}
	b = append(b, `,"time":"`...)
	b = appendTime(b, n.clock(w.s.now))
	b = append(b, `"},`...)
	n.tetragon.end(n.appendTetragonTail(b, n.clock(w.s.now)), 1, pr.fact == nil || pr.fact.request == nil)
}

func (pr *process) render() {
	n := pr.pod.node
	b := make([]byte, 0, 1024)
	b = append(b, `{"exec_id":"`...)
	b = append(b, pr.execID...)
	b = append(b, `","pid":`...)
	b = strconv.AppendUint(b, uint64(pr.pid), 10)
	b = append(b, `,"uid":1000,"cwd":"/app","binary":"`...)
	b = append(b, pr.binary...)
	b = append(b, `","arguments":`...)
	b = appendQuoted(b, pr.args)
	b = append(b, `,"flags":"execve clone","start_time":"`...)
	// Tetragon converts the boot time again for every field, with a fresh
	// reading of both clocks: it is never equal to the event's own time.
	b = appendTime(b, n.clock(pr.started)-event.Time(140+pr.started%700))
	b = append(b, `","auid":4294967295,`...)
	b = append(b, pr.pod.tetragon...)
	if pr.parent != nil {
		b = append(b, `,"parent_exec_id":"`...)
		b = append(append(b, pr.parent.execID...), '"')
	}
	b = append(b, `,"refcnt":1,"tid":`...)
	b = strconv.AppendUint(b, uint64(pr.pid), 10)
	pr.tetragon = append(b, `,"in_init_tree":true`...)
}

func (pr *process) appendParent(b []byte) []byte {
	if pr.parent == nil {
		return b
	}
	b = append(b, `,"parent":`...)
	return append(append(b, pr.parent.tetragon...), '}')
}

func (n *node) appendTetragonTail(b []byte, at event.Time) []byte {
	b = append(b, `"node_name":"`...)
	b = append(b, n.name...)
	b = append(b, `","time":"`...)
	b = appendTime(b, at)
	b = append(b, `","cluster_name":"`...)
	b = append(b, n.w.cluster...)
	return append(b, `"}`...)
}

// stamp is the time and id of a record, zero for one that was lost.
type stamp struct {
	at event.Time
	id event.ID
}

// kprobeSock writes a hook on a socket function.
func (w *world) kprobeSock(pr *process, function string, e *end, size int, background bool) stamp {
	n := pr.pod.node
	b := n.tetragon.begin(w.lag(50*ms, 500*ms))
	if b == nil {
		return stamp{}
	}
	at := n.clock(w.s.now)
	b = append(b, `{"process_kprobe":{"process":`...)
	b = append(append(b, pr.tetragon...), '}')
	b = pr.appendParent(b)
	b = append(b, `,"function_name":"`...)
	b = append(b, function...)
	b = append(b, `","args":[{"sock_arg":{"family":"AF_INET","type":"SOCK_STREAM","protocol":"IPPROTO_TCP","saddr":"`...)
	b = e.local.Addr().AppendTo(b)
	b = append(b, `","daddr":"`...)
	b = e.remote.Addr().AppendTo(b)
	b = append(b, `","sport":`...)
	b = strconv.AppendUint(b, uint64(e.local.Port()), 10)
	b = append(b, `,"dport":`...)
	b = strconv.AppendUint(b, uint64(e.remote.Port()), 10)
	b = append(b, `,"cookie":"`...)
	b = strconv.AppendUint(b, uint64(e.addr), 10)
	b = append(b, `"}}`...)
	if size > 0 {
		b = append(b, `,{"int_arg":`...)
		b = append(strconv.AppendInt(b, int64(size), 10), '}')
	}
	b = append(b, `],"action":"KPROBE_ACTION_POST","policy_name":"network-monitor"},`...)
	b = n.appendTetragonTail(b, at)
	id := w.ids.of(&w.ids.tetragon, b)
	n.tetragon.end(b, 1, background)
	return stamp{at, id}
}

// kprobeFile writes a hook on a file access.
func (w *world) kprobeFile(pr *process, path, action string, background bool) stamp {
	n := pr.pod.node
	b := n.tetragon.begin(w.lag(50*ms, 500*ms))
	if b == nil {
		return stamp{}
	}
	at := n.clock(w.s.now)
	b = append(b, `{"process_kprobe":{"process":`...)
	b = append(append(b, pr.tetragon...), '}')
	b = pr.appendParent(b)
	b = append(b, `,"function_name":"security_file_permission","args":[{"file_arg":{"path":"`...)
	b = append(b, path...)
	b = append(b, `","permission":"-rw-r--r--"}},{"int_arg":4}],"return":{"int_arg":0},"action":"`...)
	b = append(b, action...)
	b = append(b, `","policy_name":"file-monitor","return_action":"KPROBE_ACTION_POST"},`...)
	b = n.appendTetragonTail(b, at)
	id := w.ids.of(&w.ids.tetragon, b)
	n.tetragon.end(b, 1, background)
	return stamp{at, id}
}

func cut(kv string) (key, value string) {
	for i := range len(kv) {
		if kv[i] == '=' {
			return kv[:i], kv[i+1:]
		}
	}
	return kv, ""
}
