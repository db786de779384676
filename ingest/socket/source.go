package socket

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// How often the source looks after things, and how many events a batch holds.
const (
	readWait   = 50 * time.Millisecond // to wake costs as much as to read a hundred records
	tlsWait    = 10 * time.Millisecond // instead, where answers fill the ring, and programs are looked into when they begin
	busyWait   = 10 * time.Millisecond
	sweepEvery = 250 * time.Millisecond
	beatEvery  = 5 * time.Second
	listEvery  = 10 * time.Minute // what is open: less than anybody keeps events for
	batchSize  = 512
	// behind is how far the watermark stays behind the clock: a sweep and the
	// silence it waits for.
	behind = time.Second
)

// Source runs the shim. Its exported fields are set before Run.
type Source struct {
	Decoder Decoder

	// Events counts what went to the sink, Lost the records that did not fit
	// the ring, Bad those that could not be read.
	Events, Lost, Bad uint64
	// Unread counts the pieces of answers within TLS that were not read: the ring
	// was half full, or there were more than is read.
	Unread uint64
	// Unfollowed counts the processes whose TLS should have been looked into and
	// was not.
	Unfollowed atomic.Uint64

	shim   *bpf.Shim
	counts atomic.Pointer[Counts]
	told   uint64       // of Unfollowed
	toLook chan process // nil where processes are not followed
	batch  event.Batch
	lost   map[bpf.Kind]uint64
	looked event.Time // when losses were last looked at
	opened event.Time // until what is not observed has been said
}

// NewSource takes over an open shim.
func NewSource(s *bpf.Shim) *Source {
	return &Source{shim: s, lost: make(map[bpf.Kind]uint64), opened: event.At(time.Now())}
}

// Run hands events on until ctx ends, which is no error, or the sink fails. It
// tells of the processes that run already first and of its own end last. What
// the ring holds at the end is handed on too, for a moment.
func (s *Source) Run(ctx context.Context, sink ingest.Sink) error {
	if err := s.setClock(); err != nil {
		return err
	}
	if f := s.shim.Follower(); f != nil {
		s.toLook = make(chan process, maxToLook)
		following, stop := context.WithCancel(context.WithoutCancel(ctx))
		var done sync.WaitGroup
		done.Go(func() { s.follow(following, f) })
		defer done.Wait()
		defer stop()
	}
	if err := s.shim.List(); err != nil {
		return err
	}
	s.looked = now()
	var sweep, beat, list time.Time
	for ctx.Err() == nil {
		if err := s.drain(ctx, sink); err != nil {
			return err
		}
		t := time.Now()
		if t.Sub(list) >= listEvery {
			list = t
			s.blind(s.shim.Missing())
			if err := s.shim.Standing(); err != nil {
				return err
			}
		}
		if t.Sub(sweep) >= sweepEvery {
			sweep = t
			if err := s.tick(); err != nil {
				return err
			}
		}
		if t.Sub(beat) >= beatEvery {
			beat = t
			if err := s.beat(false); err != nil {
				return err
			}
		}
		if err := s.flush(ctx, sink); err != nil && ctx.Err() == nil {
			return err
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	// Twice the silence that a sweep waits for: the last exchanges have ended.
	for end := time.Now().Add(sweepEvery); time.Now().Before(end); {
		if err := s.drain(last, sink); err != nil {
			return err
		}
	}
	if err := s.tick(); err != nil {
		return err
	}
	if err := s.drain(last, sink); err != nil {
		return err
	}
	s.Decoder.Overdue(math.MaxUint64, &s.batch) // nothing more comes
	if err := s.beat(true); err != nil {
		return err
	}
	return s.flush(last, sink)
}

// drain reads until the ring is empty or it has read for a while.
func (s *Source) drain(ctx context.Context, sink ingest.Sink) error {
	wait := readWait
	if s.shim.InsideTLS() {
		wait = tlsWait
	}
	until := time.Now().Add(wait)
	s.shim.SetDeadline(until)
	for {
		r, err := s.shim.Read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case errors.Is(err, os.ErrClosed):
			return fmt.Errorf("read the ring: %w", err)
		case err != nil:
			s.Bad++
			continue
		}
		s.Decoder.Decode(&r, &s.batch)
		if s.toLook != nil {
			s.follows(&r)
		}
		if len(s.batch.Events) >= batchSize {
			if err := s.flush(ctx, sink); err != nil && ctx.Err() == nil {
				return err
			}
			if time.Now().After(until) {
				return nil
			}
		}
	}
}

// flush hands the batch on. A sink that is busy is asked again: meanwhile the
// ring fills, and what does not fit is counted there.
func (s *Source) flush(ctx context.Context, sink ingest.Sink) error {
	if len(s.batch.Events) == 0 {
		return nil
	}
	at := now()
	for i := range s.batch.Events {
		s.batch.Events[i].Observed = at
	}
	for {
		err := sink(ctx, &s.batch)
		if errors.Is(err, ingest.ErrBusy) && ctx.Err() == nil {
			time.Sleep(busyWait)
			continue
		}
		if err == nil {
			s.Events += uint64(len(s.batch.Events))
			s.batch.Reset()
		}
		return err
	}
}

// tick sweeps over silent connections and reports what was lost.
func (s *Source) tick() error {
	if err := s.shim.Sweep(); err != nil {
		return err
	}
	s.Decoder.Overdue(bootNow(), &s.batch)
	dropped, err := s.shim.Dropped()
	if err != nil {
		return err
	}
	from, to := s.looked, now()
	s.looked = to
	for kind, n := range dropped {
		more := n - s.lost[kind]
		if more == 0 {
			continue
		}
		s.lost[kind] = n
		if kind == bpf.KindBody {
			s.Unread += more
			continue
		}
		s.Lost += more
		s.loss(event.Loss{Count: more, From: from, To: to, Reason: "ring full: " + kind.String()}, uint64(kind), n)
	}
	if n := s.Unfollowed.Load(); n > s.told {
		reason := fmt.Sprintf("TLS of %d processes was not looked into", n-s.told)
		s.loss(event.Loss{From: from, To: to, Reason: reason}, math.MaxUint64, n)
		s.told = n
	}
	d := &s.Decoder
	s.counts.Store(&Counts{
		Lost: s.Lost, Bad: s.Bad, Unread: s.Unread, Unfollowed: s.told,
		Unreadable: d.Unreadable, Unknown: d.Unknown, Forgotten: d.Forgotten,
		Opaque: d.answers.unread, Plain: d.plain,
	})
	return nil
}

func (s *Source) loss(p event.Loss, parts ...uint64) {
	e := s.Decoder.add(&s.batch, event.KindLoss, bootNow(), parts...)
	p.Of = event.SourceSocket
	q := s.batch.NewLoss()
	*q = p
	e.Payload = q
}

// beat says how the clocks stand and up to when everything was sent.
func (s *Source) beat(last bool) error {
	if err := s.setClock(); err != nil {
		return err
	}
	boot := bootNow()
	e := s.Decoder.add(&s.batch, event.KindClock, boot)
	p := s.batch.NewClock()
	p.Of, p.BootNS, p.Wall, p.Idle = event.SourceSocket, boot, e.Time, last
	p.Watermark = e.Time
	if !last {
		p.Watermark = e.Time.Add(-behind)
	}
	e.Payload = p
	return nil
}

// setClock reads both clocks at one moment.
func (s *Source) setClock() error {
	var boot unix.Timespec
	before := time.Now()
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return fmt.Errorf("read the boot clock: %w", err)
	}
	middle := before.UnixNano() + int64(time.Since(before)/2)
	s.Decoder.Offset = time.Duration(middle - boot.Nano())
	return nil
}

func bootNow() uint64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // setClock has seen it work
	return uint64(t.Nano())
}

func now() event.Time { return event.At(time.Now()) }
