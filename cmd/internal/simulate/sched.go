package simulate

import "iter"

// sched is the heart of the simulation: what happens next, in event time.
// Timers of one time fire in the order they were set.
type sched struct {
	now    int64 // true time, ns since the Unix epoch
	seq    uint64
	timers []timer // binary heap
	live   map[*task]struct{}
}

type timer struct {
	at   int64
	seq  uint64
	task *task
	fn   func()
}

// task is code that lives in the cluster: a function that sleeps.
type task struct {
	s       *sched
	yield   func(struct{}) bool
	next    func() (struct{}, bool)
	stop    func()
	parent  *task
	waiting int // children not yet done
}

// stopped unwinds a task whose simulation was cancelled.
type stopped struct{}

func before(a, b *timer) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

func (s *sched) push(t timer) {
	t.at = max(t.at, s.now)
	s.seq++
	t.seq = s.seq
	h := append(s.timers, t)
	i := len(h) - 1
	for i > 0 {
		p := (i - 1) / 2
		if !before(&h[i], &h[p]) {
			break
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
	s.timers = h
}

func (s *sched) pop() timer {
	h := s.timers
	top := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h[n] = timer{}
	h = h[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && before(&h[c+1], &h[c]) {
			c++
		}
		if !before(&h[c], &h[i]) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	s.timers = h
	return top
}

// step runs the next timer; false means that nothing is left to happen.
func (s *sched) step() bool {
	if len(s.timers) == 0 {
		return false
	}
	t := s.pop()
	s.now = t.at
	if t.fn != nil {
		t.fn()
		return true
	}
	if _, ok := t.task.next(); !ok {
		delete(s.live, t.task)
		if p := t.task.parent; p != nil {
			if p.waiting--; p.waiting == 0 {
				s.push(timer{at: s.now, task: p})
			}
		}
	}
	return true
}

// close ends every task that still sleeps.
func (s *sched) close() {
	for t := range s.live {
		t.stop()
	}
}

// at calls fn at a time.
func (s *sched) at(when int64, fn func()) { s.push(timer{at: when, fn: fn}) }

// spawn starts a task at a time.
func (s *sched) spawn(when int64, f func(*task)) *task {
	t := &task{s: s}
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(stopped); !ok {
					panic(r)
				}
			}
		}()
		f(t)
	})
	if s.live == nil {
		s.live = map[*task]struct{}{}
	}
	s.live[t] = struct{}{}
	s.push(timer{at: when, task: t})
	return t
}

// sleep lets ns nanoseconds of event time pass.
func (t *task) sleep(ns int64) {
	t.s.push(timer{at: t.s.now + ns, task: t})
	t.park()
}

func (t *task) park() {
	if !t.yield(struct{}{}) {
		panic(stopped{})
	}
}

// parallel runs the functions side by side and returns when all are done.
func (t *task) parallel(fs ...func(*task)) {
	if len(fs) == 0 {
		return
	}
	t.waiting = len(fs)
	for _, f := range fs {
		t.s.spawn(t.s.now, f).parent = t
	}
	t.park()
}
