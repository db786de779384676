package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/cmd/internal/render"
)

// Result is what Live measured. Rates, CPU time and latencies are those of the
// window after the warm-up.
type Result struct {
	Options Reported `json:"options"`
	CPUs    int      `json:"cpus"`
	Go      string   `json:"go"`

	Seconds         float64            `json:"seconds"`
	Events          uint64             `json:"events"` // committed
	EventsPerSecond float64            `json:"events_per_s"`
	CPUPerEvent     float64            `json:"cpu_us_per_event"` // of the whole process
	Parts           map[string]float64 `json:"parts_us_per_event"`
	ProfileSamples  int                `json:"profile_samples"`

	PublishToCommitted Latency `json:"publish_to_committed"`
	EventToOut         Latency `json:"event_to_out"`
	Commit             Latency `json:"commit"`

	Timelines    uint64  `json:"timelines"` // revisions read from OUT
	MaxRSS       uint64  `json:"max_rss_bytes"`
	DrainSeconds float64 `json:"drain_seconds"` // until all that was sent was committed
	Balance      Balance `json:"balance"`

	Calibration Calibration `json:"calibration"`
	Series      []Sample    `json:"series"`
}

// Reported are the options as they are reported.
type Reported struct {
	Rate      float64 `json:"rate"`
	Nodes     int     `json:"nodes"`
	Skew      float64 `json:"skew"`
	Shards    int     `json:"shards"`
	Lateness  float64 `json:"lateness_s"`
	Retention float64 `json:"retention_s"`
	Warm      float64 `json:"warm_s"`
}

func (o *Options) report() Reported {
	return Reported{o.Rate, o.Nodes, o.Skew, o.Shards, o.Lateness.Seconds(), o.Retention.Seconds(), o.Warm.Seconds()}
}

// Calibration is the CPU time of a fixed piece of work, before and after.
type Calibration struct {
	BeforeMS float64 `json:"before_ms"`
	AfterMS  float64 `json:"after_ms"`
	Ratio    float64 `json:"ratio"` // after to before
	// BytesPerEvent is the CPU time of an event in bytes hashed: what can be
	// compared between runs and machines.
	BytesPerEvent float64 `json:"hashed_bytes_per_event"`
}

func (r *Result) calibrated(before, after time.Duration) {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	r.Calibration = Calibration{BeforeMS: ms(before), AfterMS: ms(after)}
	if mean := (before + after).Seconds() / 2; before > 0 && mean > 0 {
		r.Calibration.Ratio = after.Seconds() / before.Seconds()
		r.Calibration.BytesPerEvent = r.CPUPerEvent / 1e6 / mean * (calibrationMiB << 20)
	}
}

// measured takes what the window showed.
func (r *Result) measured(events uint64, cpu time.Duration, profile []byte) error {
	r.Events = events
	if events == 0 {
		return nil
	}
	r.EventsPerSecond = float64(events) / r.Seconds
	r.CPUPerEvent = cpu.Seconds() * 1e6 / float64(events)
	by, n, err := shares(profile)
	if err != nil {
		return err
	}
	r.ProfileSamples = n
	for part, share := range by {
		by[part] = share * r.CPUPerEvent
	}
	r.Parts = by
	return nil
}

// processorParts are those of the processor itself.
var processorParts = []string{"decode", "engine", "state", "outbox", "rules", "turn"}

// Processor is the processor's share, in microseconds of CPU an event, without
// what the runtime and the client of the bus do for it.
func (r *Result) Processor() (us float64) {
	for _, p := range processorParts {
		us += r.Parts[p]
	}
	return us
}

// Balance is the laws of conservation: what was sent came in, and every event has
// one fate.
type Balance struct {
	Sent      uint64            `json:"sent"`
	In        uint64            `json:"in"`
	Derived   uint64            `json:"derived"`
	Fates     map[string]uint64 `json:"fates"`
	Held      uint64            `json:"held"`
	Envelopes map[string]uint64 `json:"envelopes"`
}

func balance(counters prometheus.Gatherer, sent uint64) (Balance, error) {
	b := Balance{Sent: sent, Fates: map[string]uint64{}, Envelopes: map[string]uint64{}}
	families, err := counters.Gather()
	if err != nil {
		return b, fmt.Errorf("read counters: %w", err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			n := uint64(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			switch f.GetName() {
			case "sennit_events_held":
				b.Held = n
			case "sennit_bus_envelopes_total":
				b.Envelopes[labels["result"]] += n
			case "sennit_events_total":
				switch fate := labels["fate"]; fate {
				case "in":
					b.In = n
				case "derived":
					b.Derived = n
				default:
					b.Fates[fate] += n
				}
			}
		}
	}
	return b, nil
}

// Err says what does not add up.
func (b *Balance) Err() error {
	fates := uint64(0)
	for _, n := range b.Fates {
		fates += n
	}
	switch {
	case b.Sent != b.In:
		return fmt.Errorf("%d events were sent and %d came in", b.Sent, b.In)
	case b.In+b.Derived != fates+b.Held:
		return fmt.Errorf("%d events came in and %d were derived, %d have a fate and %d are held", b.In, b.Derived, fates, b.Held)
	case b.Envelopes["taken"] == 0 || len(b.Envelopes) > 2 || len(b.Envelopes) == 2 && b.Envelopes["tick"] == 0: // ticks are no envelopes
		return fmt.Errorf("not all envelopes were taken: %v", b.Envelopes)
	}
	return nil
}

// Targets of the design, on two cores.
const (
	targetRate      = 200_000 // events/s, of as many as go
	targetProcessor = 2.5     // µs of CPU an event
)

// targetCommitted is the 99th percentile of publish to committed, in ms, by rate.
var targetCommitted = map[float64]float64{50_000: 25, 150_000: 50}

// verdicts compare the result with the targets that are for its rate.
func (r *Result) verdicts() (list []string) {
	judge := func(met bool, format string, args ...any) {
		word := "missed: "
		if met {
			word = "met: "
		}
		list = append(list, word+fmt.Sprintf(format, args...))
	}
	judge(r.Events > 0 && r.Processor() <= targetProcessor, "%.2f µs the processor, at most %.1f", r.Processor(), targetProcessor)
	rate := r.Options.Rate
	if rate == 0 {
		judge(r.EventsPerSecond >= targetRate, "%s events/s, at least %s", render.Grouped(uint64(r.EventsPerSecond)), render.Grouped(targetRate))
		return list
	}
	judge(r.EventsPerSecond >= 0.99*rate, "%s events/s were taken of %s", render.Grouped(uint64(r.EventsPerSecond)), render.Grouped(uint64(rate)))
	if most, ok := targetCommitted[rate]; ok {
		judge(r.PublishToCommitted.N > 0 && r.PublishToCommitted.P99 <= most, "p99 committed %.1f ms, at most %.0f", r.PublishToCommitted.P99, most)
	}
	return list
}

// WriteJSON writes the result as one object.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes the result for a reader.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	latency := func(name string, l Latency) {
		line(name, "p50 %.1f ms, p99 %.1f ms, max %.1f ms (%s)", l.P50, l.P99, l.Max, render.Grouped(l.N))
	}
	line("sustained", "%s events/s for %.0f s on %d cores", render.Grouped(uint64(r.EventsPerSecond)), r.Seconds, r.CPUs)
	line("cpu", "%.2f µs an event, whole process; as much as hashing %.0f bytes", r.CPUPerEvent, r.Calibration.BytesPerEvent)
	line("of it", "%.2f µs the processor; %s", r.Processor(), strings.Join(r.parts(), ", "))
	latency("committed", r.PublishToCommitted)
	latency("in OUT", r.EventToOut)
	latency("commit", r.Commit)
	most, last := uint64(0), Sample{}
	for _, s := range r.Series {
		most, last = max(most, s.Lag()), s
	}
	line("lag", "at most %s events; all committed %.2f s after the last was sent", render.Grouped(most), r.DrainSeconds)
	line("memory", "%d MiB at most; at the end %d MiB, heap %d MiB", r.MaxRSS>>20, last.RSS>>20, last.Heap>>20)
	line("disk", "state %d MiB, bus %d MiB at the end", last.State>>20, last.Bus>>20)
	balanced := "balanced"
	if err := r.Balance.Err(); err != nil {
		balanced = err.Error()
	}
	line("events", "%s in, %s held, %s revisions in OUT: %s", render.Grouped(r.Balance.In), render.Grouped(r.Balance.Held), render.Grouped(r.Timelines), balanced)
	line("calibration", "%.0f ms before, %.0f ms after: ratio %.2f", r.Calibration.BeforeMS, r.Calibration.AfterMS, r.Calibration.Ratio)
	for _, v := range r.verdicts() {
		line("target", "%s", v)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// parts lists the parts, the dearest first.
func (r *Result) parts() (out []string) {
	names := slices.SortedFunc(maps.Keys(r.Parts), func(a, b string) int {
		if r.Parts[a] != r.Parts[b] {
			if r.Parts[a] > r.Parts[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, n := range names {
		out = append(out, fmt.Sprintf("%s %.2f", n, r.Parts[n]))
	}
	return out
}
