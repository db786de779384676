package bind

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
)

const base = event.Time(1_767_225_600_000_000_000)

// traffic makes n exchanges, each with two flows, over a hundred kept
// connections of one node, in canonical order, from start on. Every exchange
// carries its trace.
func traffic(n int, start event.Time, serial uint64) []*event.Event {
	events := make([]event.Event, 0, 3*n)
	for i := range n {
		end := start.Add(time.Duration(i) * 10 * time.Microsecond)
		port := uint16(20000 + i%100)
		tuple := event.Tuple{
			Proto: event.ProtoTCP, Src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), 8080),
			Dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 9, 9}), port),
		}
		serial++
		add := func(k event.Kind, s event.Source, t event.Time, p event.Payload) {
			e := event.Event{Kind: k, Source: s, Node: "n1", Time: t, Payload: p}
			e.ID[0], e.ID[1] = byte(len(events)), byte(len(events)>>8)
			for j := range 8 {
				e.ID[8+j] = byte(serial >> (8 * j))
			}
			events = append(events, e)
		}
		x := &event.Exchange{
			Cookie: event.SocketCookie(1 + i%100), Tuple: tuple, Role: event.RoleServer, Ordinal: uint32(serial/100 + 1),
			Start: end.Add(-5 * time.Millisecond), Trace: event.TraceContext{Format: "traceparent"},
		}
		for j := range 8 {
			x.Trace.TraceID[j] = byte((serial | 1<<60) >> (8 * j))
		}
		add(event.KindExchange, event.SourceSocket, end, x)
		f := &event.Flow{Tuple: tuple.Reverse(), Verdict: event.VerdictForwarded}
		add(event.KindFlow, event.SourceHubble, end, f)
		add(event.KindFlow, event.SourceHubble, end, f)
	}
	list := make([]*event.Event, len(events))
	for i := range events {
		list[i] = &events[i]
	}
	return list
}

func steadyConfig() window.Config {
	cfg := window.Default()
	cfg.Horizon, cfg.AgentHorizon, cfg.Settle = 3*time.Second, 3*time.Second, time.Second
	return cfg
}

// steady drives a node with one second of traffic after the other, so that as
// much is forgotten as comes in.
type steady struct {
	node   *Node
	out    Out
	now    event.Time
	serial uint64
}

func (s *steady) step(events []*event.Event) {
	end := s.now.Add(time.Second)
	s.node.space.Begin()
	s.node.Advance(events, s.now, end, &s.out)
	s.out.Reset()
	s.now = end
}

func newSteady() *steady {
	cfg := steadyConfig()
	return &steady{node: NewNode("n1", cfg, NewDirectory(cfg), Ablation{}, NewSpace(nil)), now: base}
}

// TestSteadyAllocations holds what binding costs once everything has its size:
// an exchange is remembered for its horizon, a flow costs nothing.
func TestSteadyAllocations(t *testing.T) {
	s := newSteady()
	const n = 1000
	next := func() []*event.Event {
		list := traffic(n, s.now, s.serial)
		s.serial += n
		return list
	}
	for range 20 {
		s.step(next())
	}
	batches := make([][]*event.Event, 0, 12)
	at := s.now
	for i := range 12 {
		batches = append(batches, traffic(n, at.Add(time.Duration(i)*time.Second), s.serial))
		s.serial += n
	}
	per := testing.AllocsPerRun(10, func() {
		s.step(batches[0])
		batches = batches[1:]
	}) / (3 * n)
	t.Logf("%.3f allocations an event (a third of them exchanges)", per)
	if per > 0.5 {
		t.Errorf("%.3f allocations an event, want at most 0.5: one an exchange", per)
	}
}

func BenchmarkBindSteady(b *testing.B) {
	for _, n := range []int{1000, 20000} {
		b.Run(fmt.Sprint(3*n, "-events-a-second"), func(b *testing.B) {
			s := newSteady()
			step := func() {
				b.StopTimer()
				list := traffic(n, s.now, s.serial)
				s.serial += uint64(n)
				b.StartTimer()
				s.step(list)
			}
			for range 10 {
				step()
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				step()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(3*n), "ns/event")
		})
	}
}
