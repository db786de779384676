package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/ingest/replay/extsort"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// ErrStrict is what --strict makes of input that could not all be read.
var ErrStrict = errors.New("--strict: not everything could be read")

// Options of Replay.
type Options struct {
	// Replay says what to read, and in which order. Progress is set here.
	Replay replay.Options
	// Shards is the number of engines the work is spread over; 0 means one a
	// processor. The result does not depend on it.
	Shards int
	// Speed paces the events: 1 as fast as they happened, 2 twice as fast, 0
	// as fast as it goes.
	Speed float64
	// Form and Draw say how timelines are written to Out.
	Form Form
	Draw render.Options
	Out  io.Writer
	// Hint is the last line of the text form: how to see the other timelines.
	Hint string
	// StatsFile and UnmatchedFile are written when they are named.
	StatsFile, UnmatchedFile string
	// Rules judge the timelines; AlertsFile takes the alerts when it is named, and
	// one of the severity ExitOn, or a worse one, is an error.
	Rules      *detect.Set
	AlertsFile string
	// Compare are other rules: which alerts appear and vanish with Rules in their place
	// is written to Out with Form None, else to Messages.
	Compare *detect.Set
	ExitOn  alert.Severity
	// Webhooks get the alerts, as they are at the end.
	Webhooks []fanout.Config
	// Sinks take every revision and its alerts; they are closed. One that is away is
	// tried again for SinkPatience, then given up: the error says what it did not get.
	Sinks        []NamedSink
	SinkPatience time.Duration
	// Strict makes an error of records and files that could not be read.
	Strict bool
	// Messages takes the summary and warnings, and the meter if Meter is set.
	Messages io.Writer
	Meter    bool
}

// resultMemory is how much of the result is kept in memory, in bytes, before it
// is sorted on disk.
const resultMemory = 256 << 20

// Replay reads recorded events, stitches them and writes what came out. The
// counters and the summary are written also when nothing could be read. Errors
// are those of replay.Run, of writing, and ErrStrict.
func Replay(ctx context.Context, o Options) error {
	began := time.Now()
	tuneGC()
	feed := newFeed(ctx, o.Sinks, o.SinkPatience, o.Messages)
	defer feed.close()
	statsFile, err := create(o.StatsFile)
	if err != nil {
		return err
	}
	defer statsFile.Close()
	unmatchedFile, err := create(o.UnmatchedFile)
	if err != nil {
		return err
	}
	defer unmatchedFile.Close()
	alertsFile, err := create(o.AlertsFile)
	if err != nil {
		return err
	}
	defer alertsFile.Close()

	sort := extsort.Options{Memory: resultMemory, TempDir: o.Replay.TempDir}
	out := &output{
		results:   newResults(ctx, o.Form, o.Draw, sort),
		unmatched: newUnmatched(ctx, o.UnmatchedFile != "", sort),
		alerts:    newAlerts(o.Rules),
		before:    newAlerts(o.Compare),
		feed:      feed,
	}
	defer out.close()
	eng := newEngine(o.Shards, o.Replay.Order == replay.OrderEvent, out)
	out.watermark = eng.Watermark
	var m *meter
	if o.Meter {
		m = newMeter(o.Messages)
		o.Replay.Progress = m.show
	}
	pace := &pacer{speed: o.Speed, push: func(b *event.Batch, now event.Time) error {
		feed.events(b) // it is the engine's afterwards
		feed.alerts(out.alerts.observe(b, now))
		out.before.observe(b, now)
		eng.Push(b, now)
		feed.alerts(out.alerts.advance(eng.Watermark(), max(now, eng.Watermark())))
		out.before.advance(eng.Watermark(), max(now, eng.Watermark()))
		return errFirst(eng.Err(), out.results.err, out.unmatched.err, feed.err)
	}}
	read, readErr := replay.Run(ctx, o.Replay, func(b *event.Batch, now event.Time) error { return pace.emit(ctx, b, now) })
	if readErr != nil && !errors.Is(readErr, replay.ErrNothingRead) {
		m.clear()
		return readErr
	}
	eng.Close()
	feed.alerts(out.alerts.advance(event.Never, eng.Watermark()))
	out.before.advance(event.Never, eng.Watermark())
	m.clear()
	if err := errFirst(eng.Err(), feed.close()); err != nil {
		return err
	}

	stats := newStats(&read)
	count(stats, eng.Stats())
	summary := func() {
		cpu, rss := usage()
		stats.ElapsedS, stats.CPUS, stats.MaxRSSBytes = time.Since(began).Seconds(), cpu.Seconds(), rss
		writeSummary(o.Messages, stats, &read)
		out.alerts.summary(o.Messages)
	}
	if o.Form == Text { // so that the waterfall is the last thing on the screen
		summary()
		if readErr == nil {
			fmt.Fprintln(o.Messages)
		}
	}
	err = out.write(&o, stats, unmatchedFile)
	if o.Form != Text {
		summary()
	}
	if o.AlertsFile != "" {
		err = errFirst(err, out.alerts.write(alertsFile))
	}
	if out.before != nil {
		to := o.Messages
		if o.Form == None {
			to = o.Out
		}
		compare(to, out.before, out.alerts)
	}
	if o.StatsFile != "" {
		err = errFirst(err, stats.Write(statsFile), statsFile.Close())
	}
	switch {
	case err != nil:
		return err
	case readErr != nil:
		return readErr
	}
	if err := deliver(ctx, o.Webhooks, out.alerts.all(), o.Messages); err != nil {
		return err
	}
	switch {
	case o.Strict && !clean(stats, &read):
		return ErrStrict
	case o.ExitOn != "":
		return out.alerts.exitOn(o.ExitOn)
	}
	return nil
}

// clean reports whether everything was read whole and adds up. Records of a
// type that Sennit does not read are no fault of the file.
func clean(s *Stats, r *replay.Result) bool {
	for _, f := range r.Files {
		if f.Err != nil {
			return false
		}
	}
	_, bad, _ := s.read()
	return bad == 0 && len(s.Check()) == 0
}

// create opens a file for writing, or nothing for no name.
func create(name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("write results: %w", err)
	}
	return f, nil
}

// output receives what the engine makes, from one goroutine.
type output struct {
	results   *results
	unmatched *unmatched
	alerts    *alerts // nil without rules
	before    *alerts // by the rules to compare with, nil for none
	watermark func() event.Time
	feed      *feed
}

func (out *output) write(o *Options, stats *Stats, unmatchedFile *os.File) (err error) {
	w := bufio.NewWriterSize(o.Out, 1<<16)
	switch o.Form {
	case JSON, Compact:
		_, err = out.results.writeLines(w)
	case Text:
		var n int
		if n, err = out.results.writeText(w, o.Hint); err == nil && n == 0 && stats.Events.In > 0 {
			fmt.Fprintln(w, "no request was seen in these events")
		}
	}
	err = errFirst(err, w.Flush())
	if o.UnmatchedFile != "" {
		w.Reset(unmatchedFile)
		err = errFirst(err, out.unmatched.write(w), w.Flush(), unmatchedFile.Close())
	}
	return err
}

func (out *output) close() {
	out.results.close()
	out.unmatched.close()
}
