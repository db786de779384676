package event_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
)

// TestPackedReadsBackEqual packs every kind many times over into chunks of any
// length, so that strings are named by places far and near, and reads each back.
func TestPackedReadsBackEqual(t *testing.T) {
	var p event.Packer
	for _, size := range []int{1, 20, 700} {
		var events []*event.Event
		for _, k := range eventtest.Kinds() {
			for seed := range uint64(100) {
				events = append(events, eventtest.Fill(k, seed))
			}
		}
		for len(events) > 0 {
			n := min(size, len(events))
			checkChunk(t, &p, events[:n])
			events = events[n:]
		}
	}
}

func checkChunk(t *testing.T, p *event.Packer, events []*event.Event) {
	t.Helper()
	p.Begin(nil)
	var places []int
	for _, e := range events {
		places = append(places, p.Append(e))
	}
	var b event.Batch
	for i, e := range events {
		var got event.Event
		event.Unpack(p.Bytes(), places[i], &got, &b)
		if d := cmp.Diff(e, &got, eventtest.Equal); d != "" {
			t.Fatalf("%s (-want +got):\n%s", e.Kind, d)
		}
		if id := event.PackedID(p.Bytes(), places[i]); id != e.ID {
			t.Fatalf("%s: the id is read as %s, want %s", e.Kind, id, e.ID)
		}
	}
}

func TestPackedKeepsWhatTheWireDoesNot(t *testing.T) {
	var p event.Packer
	checkChunk(t, &p, []*event.Event{
		{Payload: &event.Flow{}}, // without an id or a time
		{Kind: event.KindSpan, Time: event.Never, Payload: &event.Span{Name: "not \xff UTF-8", Start: -1}},
		{Kind: event.KindDNS, Time: 7, Payload: &event.DNS{Answers: []netip.Addr{netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("::ffff:10.0.0.1")}}},
		{Kind: event.KindFlow, Time: 7, Payload: &event.Flow{Tuple: event.Tuple{Src: netip.AddrPortFrom(netip.Addr{}, 80)}}},
		{Kind: event.KindFlow, Time: 9}, // no payload
	})
}

func TestUndoTakesTheLastEventBack(t *testing.T) {
	var p event.Packer
	p.Begin(make([]byte, 0, 4096))
	first := eventtest.Fill(event.KindSpan, 1)
	at := p.Append(first)
	gone := p.Append(eventtest.Fill(event.KindFlow, 1))
	p.Undo(gone)
	again := eventtest.Fill(event.KindFlow, 1)
	next := p.Append(again)
	if next != gone {
		t.Errorf("the next event is at %d, want %d", next, gone)
	}
	var b event.Batch
	for place, want := range map[int]*event.Event{at: first, next: again} {
		var got event.Event
		event.Unpack(p.Bytes(), place, &got, &b)
		if d := cmp.Diff(want, &got, eventtest.Equal); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}

func TestCloneHasItsOwnPayload(t *testing.T) {
	for _, k := range eventtest.Kinds() {
		e := eventtest.Fill(k, 1)
		c := e.Clone()
		if d := cmp.Diff(e, c, eventtest.Equal); d != "" {
			t.Errorf("%s (-want +got):\n%s", k, d)
		}
		if c.Payload == e.Payload {
			t.Errorf("%s: event and copy share a payload", k)
		}
	}
}

// TestPackingDoesNotAllocate holds packing and unpacking to no allocation once
// the chunk and the batch have their size.
func TestPackingDoesNotAllocate(t *testing.T) {
	var p event.Packer
	var b event.Batch
	var got event.Event
	e := eventtest.Fill(event.KindSpan, 1)
	e.Payload.(*event.Span).Links = nil // lists are made
	buf := make([]byte, 0, 8192)
	if n := testing.AllocsPerRun(100, func() {
		p.Begin(buf)
		for range 8 {
			at := p.Append(e)
			event.Unpack(p.Bytes(), at, &got, &b)
		}
		b.Reset()
	}); n != 0 {
		t.Errorf("%v allocations in eight events, want none", n)
	}
}

func BenchmarkPack(b *testing.B) {
	e := eventtest.Fill(event.KindSpan, 1)
	e.Payload.(*event.Span).Links = nil
	var p event.Packer
	buf := make([]byte, 0, 64<<10)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		p.Begin(buf)
		for b.Loop() {
			if len(p.Bytes()) > 60<<10 {
				p.Begin(buf)
			}
			p.Append(e)
		}
	})
	b.Run("unpack", func(b *testing.B) {
		p.Begin(buf)
		p.Append(e)
		at := p.Append(e)
		b.SetBytes(int64(len(p.Bytes()) - at))
		var batch event.Batch
		var got event.Event
		b.ReportAllocs()
		for b.Loop() {
			batch.Reset()
			event.Unpack(p.Bytes(), at, &got, &batch)
		}
	})
}
