package wire

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sennit-io/sennit/sinks"
)

// awaySink is away for its first writes and refuses what is named bad.
type awaySink struct {
	away  int
	calls int
	got   []string
}

func (s *awaySink) Write(_ context.Context, batch []sinks.Record) error {
	if s.calls++; s.calls <= s.away {
		return errors.New("away")
	}
	var failed sinks.Failures
	for i, r := range batch {
		switch {
		case r.ID == "bad":
			failed = append(failed, sinks.Failure{Index: i, Err: errors.New("too large"), Permanent: true})
		case r.ID == "slow" && s.calls < s.away+3:
			failed = append(failed, sinks.Failure{Index: i, Err: errors.New("busy"), After: time.Second})
		default:
			s.got = append(s.got, r.ID)
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

func (s *awaySink) Close() error { return nil }

// A sink that comes back gets everything, once; one that does not holds up no other,
// and the error says what it did not get.
func TestFeedTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back, lost := &awaySink{away: 5}, &awaySink{away: 1 << 30}
		var said bytes.Buffer
		f := newFeed(t.Context(), []NamedSink{{Name: "lost", Sink: lost}, {Name: "back", Sink: back}}, time.Minute, &said)
		began := time.Now()
		for _, id := range []string{"a", "bad", "slow", "b"} {
			f.add(sinks.Record{Kind: sinks.Timeline, ID: id})
		}
		f.write()
		f.add(sinks.Record{Kind: sinks.Alert, ID: "c"})
		err := f.close()
		if got := strings.Join(back.got, " "); got != "a b slow c" {
			t.Errorf("the sink that came back has %q", got)
		}
		for _, want := range []string{
			"sink lost: 4 timelines, 1 alerts were not delivered: given up after 1m0s: away",
			"sink back: 1 results were refused, the first: too large",
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q in it", err, want)
			}
		}
		if took := time.Since(began); took < time.Minute || took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
		if lost.calls > 12 {
			t.Errorf("the sink that is away was called %d times in a minute", lost.calls)
		}
		if n := strings.Count(said.String(), "tried again"); n != 2 {
			t.Errorf("%d warnings in %q, want one for each sink", n, &said)
		}
	})
}

// With no sink left a replay ends.
func TestFeedEndsWithItsLastSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(t.Context(), []NamedSink{{Name: "lost", Sink: &awaySink{away: 1 << 30}}}, 0, &bytes.Buffer{})
		f.add(sinks.Record{Kind: sinks.Timeline, ID: "a"})
		f.write()
		want := "sink lost: 1 timelines were not delivered, nor what would have come after them: away"
		if f.err == nil || f.err.Error() != want {
			t.Errorf("error %v, want %q", f.err, want)
		}
		if err := f.close(); err == nil || err.Error() != want {
			t.Errorf("error of close %v, want %q", err, want)
		}
	})
}
