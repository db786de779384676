package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// scripted is a sink that does what a test says, and notes what it took.
type scripted struct {
	write func(n int, batch []sinks.Record) error
	calls int
	took  []string // id/revision, "@" and the seconds since the start
	sizes []int
	began time.Time
}

func (s *scripted) Write(_ context.Context, batch []sinks.Record) error {
	s.calls++
	s.sizes = append(s.sizes, len(batch))
	err := s.write(s.calls, batch)
	var failures sinks.Failures
	if err != nil && !errors.As(err, &failures) {
		return err
	}
	for i, r := range batch {
		if !slices.ContainsFunc(failures, func(f sinks.Failure) bool { return f.Index == i }) {
			s.took = append(s.took, fmt.Sprintf("%s/%d@%.0f", r.ID, r.Revision, time.Since(s.began).Seconds()))
		}
	}
	return err
}

func (s *scripted) Close() error { return nil }

// records are named id/revision.
func records(names ...string) iter.Seq2[sinks.Record, error] {
	return func(yield func(sinks.Record, error) bool) {
		for _, name := range names {
			var r sinks.Record
			r.Kind = sinks.Alert
			id, revision, _ := strings.Cut(name, "/")
			r.ID, r.Data = id, []byte(name)
			if _, err := fmt.Sscan(revision, &r.Revision); err != nil {
				yield(r, err)
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// run serves a scripted sink with records until all are settled, in made-up time.
func run(t *testing.T, s *scripted, c fanout.Config, names ...string) (st fanout.Status, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s.began = time.Now()
		c.Name, c.Sink = "s", s
		l := fanout.New(c)
		q := fanout.NewQueue(records(names...))
		if err := l.Run(t.Context(), q); err != nil {
			t.Error(err)
		}
		st, err = l.Status(), q.Err()
		st.LastDelivery, st.FailedAt = time.Time{}, time.Time{}
	})
	return st, err
}

func fail(index int, f sinks.Failure) sinks.Failures {
	f.Index = index
	if f.Err == nil {
		f.Err = errors.New("no")
	}
	return sinks.Failures{f}
}

func TestRetries(t *testing.T) {
	// The first revision fails twice; the next one waits for it, another alert does not,
	// until the sink asks to wait.
	s := &scripted{write: func(n int, batch []sinks.Record) error {
		switch {
		case batch[0].ID != "a" || n > 3: // b is the second call
			return nil
		case n == 1:
			return fail(0, sinks.Failure{})
		}
		return fail(0, sinks.Failure{After: time.Minute})
	}}
	st, err := run(t, s, fanout.Config{}, "a/1", "a/2", "b/1", "c/1")
	if err != nil {
		t.Error(err)
	}
	want := fanout.Status{Name: "s", Delivered: 4, Retried: 2, LastError: "no"}
	if d := cmp.Diff(want, st); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
	if len(s.took) != 4 || s.took[0] != "b/1@0" || s.took[1] != "c/1@0" || !strings.HasPrefix(s.took[2], "a/1@6") || !strings.HasPrefix(s.took[3], "a/2@6") {
		t.Errorf("the sink took %v, want b and c at once, then a/1 and a/2 after a minute", s.took)
	}
}

// While a sink asks to be left alone, it is, for all records.
func TestLeavesAlone(t *testing.T) {
	s := &scripted{}
	var calls []string
	s.write = func(n int, batch []sinks.Record) error {
		calls = append(calls, fmt.Sprintf("%s@%.0f", batch[0].ID, time.Since(s.began).Seconds()))
		if n == 1 {
			return fail(0, sinks.Failure{After: 10 * time.Minute})
		}
		return nil
	}
	if _, err := run(t, s, fanout.Config{BatchCount: 1}, "a/1", "b/1", "c/1"); err != nil {
		t.Error(err)
	}
	slices.Sort(calls[1:]) // b is in the middle or not, by chance
	if d := cmp.Diff([]string{"a@0", "a@601", "b@600", "c@600"}, calls); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}

func TestGivesUp(t *testing.T) {
	s := &scripted{write: func(int, []sinks.Record) error { return errors.New("down") }}
	st, err := run(t, s, fanout.Config{}, "a/1")
	if err == nil || !strings.Contains(err.Error(), "1 of 1 results could not be delivered") || !strings.Contains(err.Error(), "given up after 24h") || !strings.HasSuffix(err.Error(), "down") {
		t.Errorf("%v", err)
	}
	// 24 hours in steps of 2.5 to 5 minutes, after the first few.
	if st.Dead != 1 || st.Delivered != 0 || s.calls < 250 || s.calls > 600 {
		t.Errorf("%+v after %d calls", st, s.calls)
	}
}

// A sink that asks to wait for longer than anybody waits is asked once more.
func TestAsksForTooLong(t *testing.T) {
	s := &scripted{write: func(int, []sinks.Record) error { return fail(0, sinks.Failure{After: time.Hour}) }}
	st, err := run(t, s, fanout.Config{MaxAge: time.Minute}, "a/1")
	if err == nil || !strings.Contains(err.Error(), "given up after 1m") || st.Dead != 1 || s.calls != 2 {
		t.Errorf("%v; %+v after %d calls", err, st, s.calls)
	}
}

func TestPermanentFailures(t *testing.T) {
	s := &scripted{write: func(_ int, batch []sinks.Record) error {
		var f sinks.Failures
		for i, r := range batch {
			if r.ID == "bad" {
				f = append(f, fail(i, sinks.Failure{Permanent: true, Err: errors.New("it is bad")})...)
			}
		}
		if f == nil {
			return nil
		}
		return f
	}}
	st, err := run(t, s, fanout.Config{Wants: func(r *sinks.Record) bool { return r.ID != "unwanted" }}, "a/1", "bad/1", "b/1", "bad/2", "unwanted/1", "c/1")
	if err == nil || err.Error() != "2 of 6 results could not be delivered, the first because: it is bad" {
		t.Error(err)
	}
	want := fanout.Status{Name: "s", Delivered: 3, Dead: 2, Ignored: 1, LastError: "it is bad"}
	if d := cmp.Diff(want, st); d != "" {
		t.Errorf("status (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"a/1@0", "b/1@0", "c/1@0"}, s.took); d != "" {
		t.Errorf("taken (-want +got):\n%s", d)
	}
}

func TestBatches(t *testing.T) {
	well := func(int, []sinks.Record) error { return nil }
	f := func(c fanout.Config, want []int, names ...string) {
		t.Helper()
		s := &scripted{write: well}
		if _, err := run(t, s, c, names...); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(want, s.sizes); d != "" {
			t.Errorf("sizes of the batches (-want +got):\n%s", d)
		}
	}
	f(fanout.Config{}, []int{5}, "a/1", "b/1", "c/1", "d/1", "e/1")
	f(fanout.Config{BatchCount: 2}, []int{2, 2, 1}, "a/1", "b/1", "c/1", "d/1", "e/1")
	f(fanout.Config{BatchBytes: 7}, []int{2, 2, 1}, "a/1", "b/1", "c/1", "d/1", "e/1")
	f(fanout.Config{BatchBytes: 1}, []int{1, 1}, "a/1", "b/1")
	f(fanout.Config{}, []int{2, 1}, "a/1", "b/1", "a/2")
}

func TestReadingFails(t *testing.T) {
	s := &scripted{write: func(int, []sinks.Record) error { return nil }}
	if _, err := run(t, s, fanout.Config{}, "a/1", "b/not a number"); err == nil || !strings.Contains(err.Error(), "read results") {
		t.Errorf("%v", err)
	}
	if len(s.took) != 1 {
		t.Errorf("taken: %v", s.took)
	}
}

// Whatever fails, each revision arrives, and no later one of an alert before it.
func TestOrderOfRevisions(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := &scripted{write: func(_ int, batch []sinks.Record) error {
			if random.IntN(4) == 0 {
				return errors.New("reset")
			}
			var f sinks.Failures
			for i := range batch {
				if random.IntN(3) == 0 {
					f = append(f, fail(i, sinks.Failure{After: time.Duration(random.IntN(3)) * time.Minute})...)
				}
			}
			if f == nil {
				return nil
			}
			return f
		}}
		var names []string
		for revision := range 4 {
			for id := range 30 {
				names = append(names, fmt.Sprint(id, "/", revision+1))
			}
		}
		if _, err := run(t, s, fanout.Config{BatchCount: 10}, names...); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		last := map[string]string{}
		for _, name := range s.took {
			name, _, _ = strings.Cut(name, "@")
			id, revision, _ := strings.Cut(name, "/")
			if revision <= last[id] {
				t.Errorf("seed %d: %s came after revision %s", seed, name, last[id])
			}
			last[id] = revision
		}
		if len(s.took) != len(names) {
			t.Errorf("seed %d: %d of %d records arrived", seed, len(s.took), len(names))
		}
	}
}

// stub is a source of one delivery.
type stub struct {
	verdicts []fanout.Fate
	working  int
	handed   bool
	since    time.Duration
	err      error
}

func (s *stub) Next(time.Duration) (fanout.Delivery, bool, error) {
	if s.handed {
		return fanout.Delivery{}, false, io.EOF
	}
	s.handed = true
	return fanout.Delivery{Attempt: 3, Since: time.Now().Add(-s.since), Settle: func(v fanout.Verdict) error {
		s.verdicts = append(s.verdicts, v.Fate)
		return s.err
	}}, true, nil
}

func (s *stub) Working() error           { s.working++; return nil }
func (s *stub) Backlog() (uint64, error) { return 7, nil }

// While a sink takes its time, the source hears that it is being worked on; and a
// write that has begun may end though the lane is to end.
func TestSlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &scripted{write: func(int, []sinks.Record) error { time.Sleep(7 * time.Second); return nil }}
		from := &stub{}
		l := fanout.New(fanout.Config{Sink: slow})
		if err := l.Run(t.Context(), from); err != nil {
			t.Error(err)
		}
		if from.working != 2 || !slices.Equal(from.verdicts, []fanout.Fate{fanout.Done}) {
			t.Errorf("told %d times that it is worked on, verdicts %v", from.working, from.verdicts)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		from := &stub{}
		hanging := sinkFunc(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if err := fanout.New(fanout.Config{Sink: hanging}).Run(ctx, from); err != nil {
			t.Error(err)
		}
		if took := time.Since(began).Round(time.Second); took != 6*time.Second || !slices.Contains(from.verdicts, fanout.Again) {
			t.Errorf("it ended after %v with %v", took, from.verdicts)
		}
	})
}

type sinkFunc func(context.Context) error

func (f sinkFunc) Write(ctx context.Context, _ []sinks.Record) error { return f(ctx) }
func (sinkFunc) Close() error                                        { return nil }

// What the source did not hear is not counted: it comes again.
func TestUnheardVerdicts(t *testing.T) {
	for _, f := range []error{nil, errors.New("down"), fail(0, sinks.Failure{Permanent: true})} {
		from := &stub{err: errors.New("the bus is away")}
		l := fanout.New(fanout.Config{Sink: sinkFunc(func(context.Context) error { return f })})
		if err := l.Run(t.Context(), from); err != nil {
			t.Error(err)
		}
		if st := l.Status(); st.Delivered+st.Retried+st.Dead != 0 {
			t.Errorf("%v: %+v", f, st)
		}
	}
}

func TestTry(t *testing.T) {
	s := &scripted{write: func(int, []sinks.Record) error { return errors.New("no route") }}
	if err := fanout.New(fanout.Config{Sink: s}).Try(t.Context(), sinks.Record{ID: "test"}); err == nil || err.Error() != "no route" || s.calls != 1 {
		t.Errorf("%v after %d calls", err, s.calls)
	}
}
