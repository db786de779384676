package bench

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"
)

// A short run of everything: what is sent is committed and has one fate, timelines
// come out, the lag does not grow, and every part of the profile is told.
func TestLive(t *testing.T) {
	r, err := Live(t.Context(), Options{
		Rate: 500, For: 9 * time.Second, Warm: 3 * time.Second, Nodes: 3, Skew: 0.5, Lateness: time.Second, Retention: 6 * time.Second,
		Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	var told, text bytes.Buffer
	if err := r.Check(&told); err != nil {
		t.Error(err)
	}
	if !strings.Contains(told.String(), "not judged") {
		t.Errorf("nine seconds say nothing of memory and disk, and the check says %q", &told)
	}
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", &text)
	for _, l := range []Latency{r.PublishToCommitted, r.EventToOut, r.Commit} {
		if l.N == 0 || l.P50 <= 0 || l.P99 < l.P50 || l.Max < l.P99 {
			t.Errorf("a latency is %+v", l)
		}
	}
	if r.EventToOut.P50 < 1000 {
		t.Errorf("a timeline was in OUT %.0f ms after its end, before anything late could come", r.EventToOut.P50)
	}
	sum := 0.0
	for _, us := range r.Parts {
		sum += us
	}
	if r.Parts["bus"] == 0 || r.Processor() == 0 || sum < 0.99*r.CPUPerEvent || sum > 1.01*r.CPUPerEvent {
		t.Errorf("an event takes %.1f µs, and the parts do not say of what: %v", r.CPUPerEvent, r.Parts)
	}
}

func TestCheckFindsWhatGrows(t *testing.T) {
	f := func(grow func(s *Sample, i uint64), want string) {
		t.Helper()
		r := &Result{Seconds: 600, EventsPerSecond: 1000, Timelines: 1, Balance: Balance{Sent: 1, In: 1, Held: 1, Envelopes: map[string]uint64{"taken": 1}}}
		r.Options.Retention = 30
		for i := range uint64(600) {
			s := Sample{Seconds: float64(i + 1), Sent: 1000 * i, Committed: 1000*i - min(1000*i, 10), RSS: 1 << 30, State: 1 << 28, Bus: 1 << 28}
			grow(&s, i)
			r.Series = append(r.Series, s)
		}
		err := r.Check(io.Discard)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("the check says %v, want %q", err, want)
		}
	}
	f(func(*Sample, uint64) {}, "")
	f(func(s *Sample, i uint64) { s.RSS += (1 << 30) * i / 600 }, "memory grows")
	f(func(s *Sample, i uint64) { s.RSS -= (1 << 29) >> (i / 30) }, "") // it warms up
	f(func(s *Sample, i uint64) { s.State += (1 << 29) * i / 600 }, "state grows")
	f(func(s *Sample, i uint64) { s.Bus += (1 << 28) * i / 600 }, "bus grows")
	f(func(s *Sample, i uint64) { s.Sent += 100 * i }, "lag grows")

	unbalanced := Balance{Sent: 2, In: 1, Held: 1, Envelopes: map[string]uint64{"taken": 1}}
	if unbalanced.Err() == nil {
		t.Error("an event that never came in is not missed")
	}
	lost := Balance{Sent: 1, In: 1, Envelopes: map[string]uint64{"taken": 1}}
	if lost.Err() == nil {
		t.Error("an event without a fate is not missed")
	}
}

func TestVerdicts(t *testing.T) {
	f := func(rate, got, processor, p99 float64, want string) {
		t.Helper()
		r := &Result{Events: 1, EventsPerSecond: got, Parts: map[string]float64{"state": processor}, PublishToCommitted: Latency{N: 1, P99: p99}}
		r.Options.Rate = rate
		var met []byte
		for _, v := range r.verdicts() {
			met = append(met, v[1]) // of met or missed
		}
		if string(met) != want {
			t.Errorf("%v events/s asked and %v taken, %v µs, p99 %v ms: %q, want %q", rate, got, processor, p99, r.verdicts(), want)
		}
	}
	f(0, 200_000, 2.5, 1e6, "ee")
	f(0, 199_999, 2.6, 0, "ii")
	f(50_000, 49_900, 1, 25, "eee")
	f(50_000, 30_000, 1, 26, "eii")
	f(150_000, 150_000, 1, 26, "eee")
	f(20_000, 20_000, 1, 1e6, "ee")
}

func TestHistogram(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(rng.Int64N(1 << (10 + rng.IntN(30))))
		h.add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want, got := all[int(q*float64(len(all)))-1], h.quantile(q)
		if got < want || float64(got) > float64(want)*1.02+1 {
			t.Errorf("quantile %v is %v, want %v and at most 2 %% more", q, got, want)
		}
	}
	if h.max != all[len(all)-1] {
		t.Errorf("the longest is %v, want %v", h.max, all[len(all)-1])
	}
}

func TestSharesReadARealProfile(t *testing.T) {
	var buf bytes.Buffer
	if err := pprof.StartCPUProfile(&buf); err != nil {
		t.Fatal(err)
	}
	calibrate()
	pprof.StopCPUProfile()
	by, n, err := shares(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 || by["load"] == 0 { // calibrate is of this package; the race detector's work has no caller
		t.Errorf("of %d samples in calibrate its package has %v", n, by)
	}
	var short bytes.Buffer
	z := gzip.NewWriter(&short)
	z.Write([]byte{0x12, 0x7f}) // a sample of 127 bytes that are not there
	z.Close()
	for _, bad := range [][]byte{nil, []byte("x"), short.Bytes()} {
		if _, _, err := shares(bad); err == nil {
			t.Errorf("the profile %q was read", bad)
		}
	}
}

func TestPartOf(t *testing.T) {
	f := func(want string, stack ...string) {
		t.Helper()
		if got := partOf(stack); got != want {
			t.Errorf("%q is of %q, want %q", stack, got, want)
		}
	}
	const house = "github.com/sennit-io/sennit/"
	f("decode", "runtime.mallocgc", house+"ingest/bus.(*Opener).Open", house+"cmd/internal/live.(*turn).take")
	f("state", "github.com/dgraph-io/badger/v4.(*Txn).Commit", house+"correlate/state/disk.(*Store).Turn", house+"cmd/internal/live.(*turn).work")
	f("sender", "github.com/nats-io/nats.go.(*Conn).publish", house+"ingest/bus.(*Sender).publish")
	f("client", "syscall.write", "github.com/nats-io/nats.go.(*Conn).flusher")
	f("bus", "syscall.fsync", "github.com/nats-io/nats-server/v2/server.(*msgBlock).writeMsgRecordLocked")
	f("sender", house+"schemas/event.(*Event).AppendWire", house+"ingest/bus.(*Sender).Send", house+"cmd/internal/bench.(*load).send")
	f("gc", "runtime.scanobject", "runtime.gcBgMarkWorker")
	f("runtime", "runtime.findRunnable", "runtime.schedule")
}

// What is said to be held is held, and the heap shows it.
func TestHold(t *testing.T) {
	const n = 5_000
	for _, what := range Holds() {
		h, err := Hold(what, n, 0)
		if err != nil {
			t.Fatal(err)
		}
		least := 50.0 // less than any event takes
		if h.EngineHeld != uint64(h.Events) || h.BytesPerItem < least {
			t.Errorf("of %d events of %s %d are held in %.0f bytes each", h.Events, what, h.EngineHeld, h.BytesPerItem)
		}
		if want := map[string]uint64{"traces": n}[what]; h.Open != want {
			t.Errorf("%d timelines are open with %d %s, want %d", h.Open, n, what, want)
		}
	}
	if h, err := Hold("unbound", 200_000, 1<<20); err != nil || h.Spilled == 0 || h.Memory > 4<<20 {
		t.Errorf("with a megabyte %d bytes are in memory and %d on the disk (%v)", h.Memory, h.Spilled, err)
	}
	if _, err := Hold("grudges", 1, 0); err == nil {
		t.Error("anything can be held")
	}
}
