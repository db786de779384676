package socket

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

func (d *Decoder) process(r *bpf.Record, b *event.Batch) {
	p := b.NewProcess()
	q := r.Process
	p.Process = event.ProcessRef{PID: q.Self.Pid, StartNS: q.Self.Start}
	p.Parent = event.ProcessRef{PID: q.Parent.Pid, StartNS: q.Parent.Start}
	p.TID, p.ParentTID, p.UID = q.Self.Tid, q.Parent.Tid, q.Uid
	of, _ := d.Cgroups.Of(event.CgroupID(q.Cgroup))
	p.Cgroup, p.Started = event.CgroupID(q.Cgroup), d.wall(q.Self.Start)
	p.Workload, p.Container = d.workload(of), of.ID
	kind := event.KindProcessExec
	switch r.Kind {
	case bpf.KindExec:
		p.Binary = d.strings.String(bpf.Binary(q))
		d.arguments(p, r)
	case bpf.KindRunning:
		p.Inventory = true
	case bpf.KindFork: // it runs what its parent does
		p.Binary, _ = os.Readlink("/proc/" + strconv.Itoa(int(q.Self.Pid)) + "/exe")
	case bpf.KindExit:
		kind = event.KindProcessExit
		p.ExitCode = q.ExitCode >> 8 & 0xff
		if s := q.ExitCode & 0x7f; s != 0 {
			p.Signal = unix.SignalName(syscall.Signal(s))
		}
	}
	d.add(b, kind, q.Time, uint64(q.Self.Pid), q.Self.Start).Payload = p
}

// maxForks bounds the processes of which it is not known yet whether they execute
// something: 450 bytes each.
const maxForks = 1 << 13

// fork remembers a process that began. Most execute something at once, or end:
// one is told when it uses a socket before.
func (d *Decoder) fork(q *bpf.Process) {
	if d.forks == nil {
		d.forks = make(map[uint32]bpf.Process)
	}
	for old := range d.forks {
		if len(d.forks) < maxForks {
			break
		}
		delete(d.forks, old)
		d.Forgotten++
	}
	d.forks[q.Self.Pid] = *q
}

// forked tells of a process that uses a socket, if nobody has.
func (d *Decoder) forked(pid uint32, b *event.Batch) {
	q, ok := d.forks[pid]
	if !ok {
		return
	}
	delete(d.forks, pid)
	d.process(&bpf.Record{Kind: bpf.KindFork, Process: &q}, b)
}

// arguments takes what may leave the node of a command line. One that was cut
// has no hashes: they would agree with another's.
func (d *Decoder) arguments(p *event.Process, r *bpf.Record) {
	args := bytes.TrimRight(r.Data, "\x00")
	if _, rest, more := bytes.Cut(args, []byte{0}); more {
		args = rest
	} else {
		args = nil
	}
	d.buf = append(d.buf[:0], args...)
	for i, c := range d.buf {
		if c == 0 {
			d.buf[i] = ' '
		}
	}
	text := string(d.buf)
	if int(r.Process.ArgsLength) == len(r.Data) {
		d.hasher.Key = d.Redact.Key
		p.Hashes = d.hasher.Command(p.Binary, text)
	}
	if d.Redact.CommandLines {
		p.Args = d.strings.String(d.buf)
	}
}
