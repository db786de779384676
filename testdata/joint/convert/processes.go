package convert

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// table knows the threads and processes of a recording.
type table struct {
	leader map[uint32]uint32 // thread id → pid
	start  map[uint32]uint64 // pid → nanoseconds since boot
	parent map[uint32]uint32 // pid → thread id that forked it
	binary map[uint32]string
}

func (t *table) process(tid uint32) event.ProcessRef {
	pid := t.pid(tid)
	return event.ProcessRef{PID: pid, StartNS: t.start[pid]}
}

func (t *table) pid(tid uint32) uint32 {
	if pid, ok := t.leader[tid]; ok {
		return pid
	}
	return tid
}

// newTable reads who is whose thread and child. The kernel's fork events do
// not tell threads from processes, the flags of the calls do.
func newTable(c clock, points []tracepoint, calls []call) *table {
	t := &table{leader: map[uint32]uint32{}, start: map[uint32]uint64{}, parent: map[uint32]uint32{}, binary: map[uint32]string{}}
	for i := range calls {
		k := &calls[i]
		child, ok := k.returned()
		switch {
		case k.name == "execve" && k.result == "0" && t.start[t.pid(k.tid)] == 0 && t.parent[k.tid] == 0:
			t.start[k.tid] = c.boot(k.start) // the first: its fork was not recorded
		case !ok || k.name != "clone" && k.name != "clone3" && k.name != "fork" && k.name != "vfork":
		case strings.Contains(k.args, "CLONE_THREAD"):
			t.leader[child] = t.pid(k.tid)
		default:
			t.parent[child] = k.tid
		}
	}
	for i := range points {
		p := &points[i]
		if child := p.number("child_pid"); p.name == "sched_process_fork" && t.leader[child] == 0 {
			t.start[child], t.parent[child] = uint64(p.bootNS), p.number("pid")
		}
	}
	return t
}

// label is an argument that names the trace and span a tool ran for: the
// recording's truth, which no real command line has.
var label = regexp.MustCompile(`^[0-9a-f]{32}:[0-9a-f]{16}$`)

// processEvents returns the execs and exits. Command lines travel as hashes
// alone, as they do by default everywhere, and without their labels.
func processEvents(c clock, t *table, points []tracepoint, calls []call, ends []exited) ([]event.Event, error) {
	args := map[uint32][]string{} // of the successful execs of a thread, in order
	var out []event.Event
	var hash redact.Hasher
	for i := range calls {
		k := &calls[i]
		if k.name != "execve" || k.result != "0" {
			continue
		}
		argv, err := k.argv()
		if err != nil {
			return nil, err
		}
		kept := argv[:0]
		for _, a := range argv {
			if !label.MatchString(a) {
				kept = append(kept, a)
			}
		}
		line := strings.Join(kept, " ")
		if t.parent[k.tid] != 0 {
			args[k.tid] = append(args[k.tid], line)
			continue
		}
		// The first process ran before ftrace did.
		binary := quoted.FindString(k.args)
		binary = strings.Trim(binary, `"`)
		t.binary[k.tid] = binary
		out = append(out, event.Event{Kind: event.KindProcessExec, Time: k.end, Payload: &event.Process{
			Process: t.process(k.tid), TID: k.tid, Binary: binary, Started: k.start, Hashes: hash.Command(binary, line),
		}})
	}
	codes := map[uint32]exited{}
	for _, e := range ends {
		codes[e.tid] = e
	}
	for i := range points {
		p := &points[i]
		at := c.wall(p.bootNS)
		switch p.name {
		case "sched_process_exec":
			pid, binary := p.number("pid"), p.fields["filename"]
			if len(args[pid]) == 0 {
				return nil, fmt.Errorf("read exec of process %d: strace has no such execve", pid)
			}
			line := args[pid][0]
			args[pid] = args[pid][1:]
			t.binary[pid] = binary
			out = append(out, event.Event{Kind: event.KindProcessExec, Time: at, Payload: &event.Process{
				Process: t.process(pid), Parent: t.process(t.parent[pid]), TID: p.number("old_pid"), ParentTID: t.parent[pid],
				Binary: binary, Hashes: hash.Command(binary, line), Started: c.wall(int64(t.start[pid])),
			}})
		case "sched_process_exit":
			if p.fields["group_dead"] != "true" {
				continue // a thread, others go on
			}
			pid := t.pid(p.number("pid"))
			x := &event.Process{
				Process: t.process(pid), TID: p.number("pid"), Binary: t.binary[pid], Started: c.wall(int64(t.start[pid])),
				ExitCode: codes[pid].code, Signal: codes[pid].signal,
			}
			if parent := t.parent[pid]; parent != 0 {
				x.Parent, x.ParentTID = t.process(parent), parent
			}
			if x.Binary == "" { // it never ran one of its own
				x.Binary = t.binary[x.Parent.PID]
			}
			out = append(out, event.Event{Kind: event.KindProcessExit, Time: at, Payload: x})
		}
	}
	return out, nil
}
