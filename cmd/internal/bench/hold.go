package bench

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/sennit-io/sennit/cmd/internal/render"
	"github.com/sennit-io/sennit/cmd/internal/spill"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Held is what an engine takes to hold items that nothing has closed yet.
type Held struct {
	What      string `json:"what"`
	Items     int    `json:"items"`
	Events    int    `json:"events"`
	HeapBytes uint64 `json:"heap_bytes"` // in use after a collection, above an empty engine's
	// BytesPerItem is HeapBytes over Items.
	BytesPerItem float64 `json:"bytes_per_item"`
	// PeakRSS is the most memory that the process had meanwhile, garbage and the bench
	// itself included.
	PeakRSS uint64 `json:"peak_rss_bytes"`
	// Memory and Spilled are the packed events in memory and on the disk, Limit the
	// budget of the former.
	Limit      int64         `json:"limit_bytes"`
	Memory     int64         `json:"packed_memory_bytes"`
	Spilled    int64         `json:"packed_spilled_bytes"`
	CPU        time.Duration `json:"cpu_ns"` // to take them in
	Open       uint64        `json:"timelines_open"`
	EngineHeld uint64        `json:"events_held"`
	Ended      uint64        `json:"events_ended"` // whose fate is decided: of these only what the engine still needs is held
}

// holds are the things that can be held, and how event n of one is made.
var holds = map[string]struct {
	each int // events of an item
	make func(b *event.Batch, n uint64, at event.Time)
}{
	"traces":  {10, openTrace},
	"sockets": {1, openSocket},
	"unbound": {1, unclaimed},
}

const holdNodes = 16

func holdNode(n uint64) string { return fmt.Sprintf("bench-%d", n%holdNodes) }

func holdID(n uint64) (id event.ID) {
	binary.BigEndian.PutUint64(id[:], (n+1)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// openTrace makes span n of a trace of ten whose root never ends.
func openTrace(b *event.Batch, n uint64, at event.Time) {
	e := b.Add(event.KindSpan, event.SourceOTLP)
	e.ID, e.Time, e.Observed = holdID(n), at, at
	s := b.NewSpan()
	binary.BigEndian.PutUint64(s.TraceID[:], (n/10)*0x9e3779b97f4a7c15|1)
	binary.BigEndian.PutUint64(s.SpanID[:], n+1<<32)
	binary.BigEndian.PutUint64(s.ParentID[:], n/10+1<<60)
	s.Kind, s.Stage, s.Name, s.Service, s.Start = event.SpanKindInternal, event.StageAgent, "invoke_agent researcher", "agent", at.Add(-100*time.Millisecond)
	s.GenAI = event.GenAI{Operation: "invoke_agent", Agent: "researcher", Framework: "adk"}
	e.Payload = s
}

// openSocket makes the opening of socket n, which is never closed.
func openSocket(b *event.Batch, n uint64, at event.Time) {
	e := b.Add(event.KindSocketOpen, event.SourceSocket)
	e.ID, e.Node, e.Time, e.Observed = holdID(n), holdNode(n), at, at
	s := b.NewSocket()
	s.Cookie, s.Addr, s.Opened, s.Role = event.SocketCookie(n+1), event.SockAddr(0xffff888000000000+n<<11), at, event.RoleClient
	s.Tuple = holdTuple(n)
	s.Process = event.ProcessRef{PID: uint32(1000 + n%500), StartNS: 5e9}
	e.Payload = s
}

// unclaimed makes a flow of an open connection on which no request was seen; every
// tenth event opens the next one.
func unclaimed(b *event.Batch, n uint64, at event.Time) {
	if n%10 == 0 {
		openSocket(b, n/10, at)
		b.Events[len(b.Events)-1].ID = holdID(n)
		return
	}
	n, id := n/10, holdID(n)
	e := b.Add(event.KindFlow, event.SourceHubble)
	e.ID, e.Node, e.Time, e.Observed = id, holdNode(n), at, at
	f := b.NewFlow()
	f.Tuple, f.Verdict, f.Egress, f.Point, f.Flags = holdTuple(n), event.VerdictForwarded, true, "to-stack", "SYN"
	e.Payload = f
}

func holdTuple(n uint64) event.Tuple {
	src := netip.AddrFrom4([4]byte{10, byte(n >> 24), byte(n >> 16), byte(1 + n%holdNodes)})
	return event.Tuple{Proto: event.ProtoTCP, Src: netip.AddrPortFrom(src, uint16(1024+n/holdNodes%60_000)), Dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{142, 250, 74, 10}), 443)}
}

// nowhere takes what an engine decides and drops it.
type nowhere struct{}

func (nowhere) Timeline(*timeline.Timeline) {}
func (nowhere) Unmatched(*shard.Unmatched)  {}

// Holds are the things that Hold knows.
func Holds() []string { return slices.Sorted(maps.Keys(holds)) }

// Hold fills an engine as the processor would: with turns of events that were read
// from their wire form. Then time passes until all of them have been worked. Packed
// events beyond so many bytes of memory go to a file; 0 keeps all in memory.
func Hold(what string, items int, memory int64) (Held, error) {
	h, ok := holds[what]
	if !ok {
		return Held{}, fmt.Errorf("%q cannot be held", what)
	}
	cfg := shard.DefaultConfig()
	cfg.Shards, cfg.Window = runtime.GOMAXPROCS(0), window.Default()
	cfg.Window.Lateness = 2 * time.Second
	if memory > 0 {
		file, err := spill.Open("")
		if err != nil {
			return Held{}, err
		}
		defer file.Close()
		cfg.Memory, cfg.Spill = memory, file
	}
	e := shard.New(cfg, nowhere{})
	reader := event.WireReader{Strings: new(scan.Intern)}
	before := inUse()
	forgetPeak()
	cpu, _ := usage()
	const turn = 4096
	at := event.Time(1_767_225_600e9)
	events := items * h.each
	step := event.Time(max(10*time.Second/time.Duration(max(1, events)), 10*time.Microsecond)) // within ten seconds, but at most 100,000 a second
	var wire []byte
	var made event.Batch
	for n := 0; n < events; {
		b := new(event.Batch)
		for i := 0; i < turn && n < events; i, n = i+1, n+1 {
			made.Reset()
			h.make(&made, uint64(n), at+event.Time(n)*step)
			wire = made.Events[0].AppendWire(wire[:0])
			if err := reader.Read(b, wire); err != nil {
				return Held{}, err
			}
		}
		e.Push(b, at+event.Time(n)*step)
	}
	at += event.Time(events) * step
	for range 10 { // so that all is bound that can be
		at = at.Add(2 * time.Second)
		e.Push(&event.Batch{}, at)
	}
	if err := e.Err(); err != nil {
		return Held{}, err
	}
	cpuNow, peak := usage()
	s := e.Stats()
	held := Held{What: what, Items: items, Events: events, HeapBytes: inUse() - before, CPU: cpuNow - cpu, Open: s.Timelines.Open, EngineHeld: s.Events.Held}
	held.PeakRSS, held.Limit, held.Memory, held.Spilled = peak, s.Waiting.Limit, s.Waiting.Memory, s.Waiting.Spilled
	held.BytesPerItem = float64(held.HeapBytes) / float64(max(1, items))
	runtime.KeepAlive(e)
	return held, nil
}

// inUse is the heap in use after a collection.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// WriteText writes a line.
func (h *Held) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%-8s %s items, %s events: %d MiB of heap, %.0f bytes an item; %.2f µs of CPU an event; %s events held, %s timelines open; packed %d MiB in memory, %d MiB on the disk; peak RSS %d MiB\n", h.What,
		render.Grouped(uint64(h.Items)), render.Grouped(uint64(h.Events)), h.HeapBytes>>20, h.BytesPerItem,
		float64(h.CPU.Microseconds())/float64(max(1, h.Events)), render.Grouped(h.EngineHeld), render.Grouped(h.Open),
		h.Memory>>20, h.Spilled>>20, h.PeakRSS>>20)
	return err
}

// WriteJSON writes a line.
func (h *Held) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(h) }
