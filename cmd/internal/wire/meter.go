package wire

import (
	"fmt"
	"io"
	"time"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/ingest/replay"
)

// meter is the one line on a terminal that says how far a replay is. A nil
// meter is silent.
type meter struct {
	w     io.Writer
	phase replay.Phase
	began time.Time // of the phase
	drawn bool
}

func newMeter(w io.Writer) *meter { return &meter{w: w, began: time.Now()} }

// show draws the line over the one before.
func (m *meter) show(p replay.Progress) {
	if m == nil {
		return
	}
	if p.Phase != m.phase {
		m.phase, m.began = p.Phase, time.Now()
	}
	fmt.Fprintf(m.w, "\r%s\x1b[K", meterLine(p, time.Since(m.began)))
	m.drawn = true
}

// clear takes the line away, so that what follows begins on a clean one.
func (m *meter) clear() {
	if m != nil && m.drawn {
		fmt.Fprint(m.w, "\r\x1b[K")
		m.drawn = false
	}
}

// meterLine says how far a phase is that began elapsed ago.
func meterLine(p replay.Progress, elapsed time.Duration) string {
	rate := ""
	if s := elapsed.Seconds(); s > 0.05 {
		done := p.Read
		if p.Phase == replay.PhaseEmit {
			done = p.Emitted
		}
		rate = ", " + render.Count(uint64(float64(done)/s)) + " events/s"
	}
	if p.Phase == replay.PhaseEmit && p.Read > 0 {
		return fmt.Sprintf("stitching %s of %s events (%d %%)%s%s",
			render.Count(p.Emitted), render.Count(p.Read), 100*p.Emitted/p.Read, rate, eta(float64(p.Emitted)/float64(p.Read), elapsed))
	}
	if p.Phase == replay.PhaseSort {
		return "sorting " + render.Count(p.Read) + " events"
	}
	if p.Total == 0 {
		return fmt.Sprintf("reading %s, %s events%s", size(uint64(p.Bytes)), render.Count(p.Read), rate)
	}
	return fmt.Sprintf("reading %s of %s (%d %%), %s events%s%s", size(uint64(p.Bytes)), size(uint64(p.Total)),
		100*p.Bytes/p.Total, render.Count(p.Read), rate, eta(float64(p.Bytes)/float64(p.Total), elapsed))
}

// eta is the time left for the phase, as soon as it can be guessed.
func eta(done float64, elapsed time.Duration) string {
	if done <= 0.02 || elapsed < 500*time.Millisecond {
		return ""
	}
	return ", " + render.Duration(time.Duration(float64(elapsed)*(1-done)/done)) + " left"
}

// size writes bytes short, in decimal units.
func size(n uint64) string {
	switch {
	case n < 1e3:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%d kB", n/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}
