package socket

import (
	"context"
	"time"

	"github.com/sennit-io/sennit/bpf"
)

// A program loads its libraries after it was executed, some only when they are
// needed: it is looked at again.
var lookAgain = [...]time.Duration{50 * time.Millisecond, 300 * time.Millisecond, time.Second}

const (
	lookTick     = 25 * time.Millisecond
	releaseEvery = 10 * time.Second
	maxToLook    = 1 << 12
)

// process is one that began, or began to use TLS, or ended.
type process struct {
	pid    uint32
	starts bool // its libraries are to come
	ends   bool
}

// follows tells the follower of what a record says about a process. If the
// follower is far behind, the process is not looked at, and counted.
func (s *Source) follows(r *bpf.Record) {
	var p process
	switch r.Kind {
	case bpf.KindExec, bpf.KindRunning:
		p = process{pid: r.Process.Self.Pid, starts: r.Kind == bpf.KindExec}
	case bpf.KindExit:
		p = process{pid: r.Process.Self.Pid, ends: true}
	case bpf.KindHello:
		c := s.Decoder.conns[r.Head.Cookie]
		if c == nil || c.process.PID == 0 {
			return
		}
		p.pid = c.process.PID
	default:
		return
	}
	select {
	case s.toLook <- p:
	default:
		s.Unfollowed.Add(1)
	}
}

// follow looks at processes until there are no more to come. It has a goroutine
// of its own because reading a large program takes longer than a ring may wait.
func (s *Source) follow(ctx context.Context, f *bpf.Follower) {
	defer f.Close()
	type again struct {
		pid uint32
		at  time.Time
	}
	var later [len(lookAgain)][]again
	tick := time.NewTicker(lookTick)
	defer tick.Stop()
	released := time.Now()
	look := func(pid uint32) {
		if f.Look(pid) != nil {
			s.Unfollowed.Add(1)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-s.toLook:
			switch {
			case p.ends:
				f.Ended(p.pid)
			default:
				look(p.pid)
			}
			if p.starts {
				for i, after := range lookAgain {
					later[i] = append(later[i], again{p.pid, time.Now().Add(after)})
				}
			}
		case now := <-tick.C:
			for i := range later {
				for len(later[i]) > 0 && !now.Before(later[i][0].at) {
					look(later[i][0].pid)
					later[i] = later[i][1:]
				}
			}
			if now.Sub(released) >= releaseEvery {
				released = now
				if f.Release() != nil {
					s.Unfollowed.Add(1)
				}
			}
		}
	}
}
