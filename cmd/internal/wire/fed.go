package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sennit-io/sennit/sinks"
)

// A sink that is away is tried again after firstRetry, then after twice as long each
// time, up to lastRetry.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 15 * time.Second
)

// fed is a sink of a replay and what it did not take.
type fed struct {
	NamedSink
	refused int   // records that it will never take
	first   error // of them
	lost    map[sinks.Kind]int
	gone    error // why it was given up
}

// take hands a batch to the sink, again and again if it is away, for as long as the
// feed's patience. After that it is given up, and what it should have had is counted.
func (s *fed) take(f *feed, batch []sinks.Record) {
	if s.gone != nil {
		s.lose(batch)
		return
	}
	began := time.Now()
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		err := s.Write(f.ctx, batch)
		if err == nil {
			return
		}
		after := time.Duration(0)
		var failed sinks.Failures
		if errors.As(err, &failed) {
			if batch, after, err = s.refuse(batch, failed); len(batch) == 0 {
				return
			}
		}
		after = max(after, pause)
		left := f.patience - time.Since(began)
		switch {
		case f.ctx.Err() != nil:
			s.gone = err
		case left <= 0 && f.patience > 0:
			s.gone = fmt.Errorf("given up after %v: %w", f.patience, err)
		case left <= 0:
			s.gone = err
		}
		if s.gone != nil {
			s.lose(batch)
			return
		}
		if pause == firstRetry {
			fmt.Fprintf(f.messages, "warning     sink %s is tried again for %v: %v\n", s.Name, f.patience, err)
		}
		rest(f.ctx, min(after, left))
	}
}

// refuse counts the records that the sink will never take, and returns those that are
// to be tried again, how long the sink asked to be left alone, and why the first of
// them was not taken.
func (s *fed) refuse(batch []sinks.Record, failed sinks.Failures) (again []sinks.Record, after time.Duration, why error) {
	for _, one := range failed {
		if one.Permanent {
			s.refused++
			s.first = cmp.Or(s.first, one.Err)
			continue
		}
		again = append(again, batch[one.Index])
		why, after = cmp.Or(why, one.Err), max(after, one.After)
	}
	return again, after, why
}

func (s *fed) lose(batch []sinks.Record) {
	if s.lost == nil {
		s.lost = map[sinks.Kind]int{}
	}
	for i := range batch {
		s.lost[batch[i].Kind]++
	}
}

// failure says what the sink did not get, nil if it got everything.
func (s *fed) failure(after string) error {
	var errs []error
	if s.gone != nil {
		var what []string
		for _, k := range []struct {
			kind sinks.Kind
			name string
		}{{sinks.Timeline, "timelines"}, {sinks.Alert, "alerts"}, {sinks.Event, "events"}} {
			if n := s.lost[k.kind]; n > 0 {
				what = append(what, fmt.Sprintf("%d %s", n, k.name))
			}
		}
		errs = append(errs, fmt.Errorf("sink %s: %s were not delivered%s: %w", s.Name, strings.Join(what, ", "), after, s.gone))
	}
	if s.refused > 0 {
		errs = append(errs, fmt.Errorf("sink %s: %d results were refused, the first: %w", s.Name, s.refused, s.first))
	}
	return errors.Join(errs...)
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
