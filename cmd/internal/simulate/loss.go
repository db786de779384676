package simulate

import (
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// lossWindows are the times in which an exporter loses everything: short ones
// after which it says how much was lost, as ring buffers that overflow do, and
// rare long ones in which it is silent and nobody says anything.
type lossWindows struct {
	on       bool
	rng      rng
	share    float64
	from, to int64 // the current or next window, true time
	silent   bool
	lost     uint64
}

const (
	lossMean    = 300 * ms
	silenceMin  = 12 * s1
	silenceMax  = 25 * s1
	silencePart = 0.2 // of the share of lost time
)

func (l *lossWindows) start(g rng, share float64, now int64) {
	l.on, l.rng, l.share = true, g, share
	l.draw(now)
}

// draw sets the next window. Windows of both sorts come at rates that lose
// their part of the share of the time.
func (l *lossWindows) draw(now int64) {
	const silence = (silenceMin + silenceMax) / 2
	short := float64(lossMean) / (l.share * (1 - silencePart))
	long := float64(silence) / (l.share * silencePart)
	rate := 1/short + 1/long
	l.from = now + l.rng.exp(int64(1/rate))
	l.silent = l.rng.chance(1 / long / rate)
	if l.silent {
		l.to = l.from + l.rng.between(silenceMin, silenceMax)
	} else {
		l.to = l.from + 20*ms + l.rng.exp(lossMean-20*ms)
	}
	l.lost = 0
}

// loses reports whether a record that is made now is lost, and counts it.
func (f *output) loses() bool {
	l := &f.loss
	if !l.on {
		return false
	}
	now := f.out.s.now
	f.settleLoss()
	if now < l.from {
		return false
	}
	l.lost++
	return true
}

// settleLoss writes the marker of a window that is over.
func (f *output) settleLoss() {
	l := &f.loss
	now := f.out.s.now
	for l.on && now >= l.to {
		from, to, lost, silent := l.from, l.to, l.lost, l.silent
		l.draw(now)
		if lost > 0 && !silent {
			f.marker(from, to, lost)
		}
	}
}

// silentNow reports whether the exporter is in a long silence.
func (f *output) silentNow() bool {
	now := f.out.s.now
	return f.loss.on && f.loss.silent && now >= f.loss.from && now < f.loss.to
}

// marker writes what each source says about its own losses.
func (f *output) marker(from, to int64, lost uint64) {
	n := f.node
	if f.source == event.SourceSocket {
		n.emitLoss(event.SourceSocket, from, to, lost, "ring buffer full")
		return
	}
	on := f.loss.on
	f.loss.on = false // the marker itself always comes through
	b := f.begin(10 * ms)
	f.loss.on = on
	if f.source == event.SourceHubble {
		b = append(b, `{"lost_events":{"source":"PERF_EVENT_RING_BUFFER","num_events_lost":"`...)
		b = strconv.AppendUint(b, lost, 10)
		b = append(b, `","first":"`...)
		b = appendTime(b, n.clock(from))
		b = append(b, `","last":"`...)
		b = appendTime(b, n.clock(to))
		b = append(b, `"},"node_name":"`...)
		b = append(b, n.hubbleName...)
	} else {
		b = append(b, `{"rate_limit_info":{"number_of_dropped_process_events":"`...)
		b = strconv.AppendUint(b, lost, 10)
		b = append(b, `"},"node_name":"`...)
		b = append(b, n.name...)
	}
	b = append(b, `","time":"`...)
	b = appendTime(b, n.clock(to))
	b = append(b, `"}`...)
	f.end(b, 1, true)
}
