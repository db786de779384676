package event

import "testing"

// A payload stays where it is and what it is while the batch grows.
func TestBatchPayloadsStay(t *testing.T) {
	var b Batch
	for round := range 3 {
		b.Reset()
		var kept []*Flow
		for i := range 1000 {
			e, p := b.Add(KindFlow, SourceHubble), b.NewFlow()
			if *p != (Flow{}) {
				t.Fatalf("round %d: a new payload is not zero: %+v", round, *p)
			}
			p.Count = uint32(i + round)
			e.Payload, e.Time = p, Time(i)
			kept = append(kept, p)
		}
		for i, p := range kept {
			if p.Count != uint32(i+round) || b.Events[i].Payload != Payload(p) || b.Events[i].Time != Time(i) || b.Events[i].Kind != KindFlow || b.Events[i].Source != SourceHubble {
				t.Fatalf("round %d: event %d is %+v with %+v", round, i, b.Events[i], *p)
			}
		}
	}
}

func TestBatchUndo(t *testing.T) {
	var b Batch
	b.Add(KindFlow, SourceHubble).Node = "a"
	b.Add(KindDNS, SourceHubble).Node = "b"
	b.Undo()
	if len(b.Events) != 1 || b.Events[0].Node != "a" {
		t.Fatalf("after Undo: %+v", b.Events)
	}
	if e := b.Add(KindSpan, SourceOTLP); *e != (Event{Kind: KindSpan, Source: SourceOTLP}) {
		t.Errorf("what was undone shows through: %+v", *e)
	}
}

// Batches that follow one another share chunks, and no payload or list.
func TestBatchNext(t *testing.T) {
	b := new(Batch)
	seen := map[*Span]bool{}
	chunks := map[*[slabChunk]Span]bool{}
	var ports [][]uint16
	const batches, each = 400, 3
	for i := range uint16(batches) {
		b = b.Next()
		for j := range uint16(each) {
			s := b.NewSpan()
			if seen[s] || s.Name != "" {
				t.Fatalf("span %d of batch %d was handed out before", j, i)
			}
			seen[s], s.Name = true, "used"
			b.Add(KindSpan, SourceOTLP).Payload = s
			ports = append(ports, b.CopyPorts([]uint16{i, j}))
		}
		for _, c := range b.spans.chunks {
			chunks[c] = true
		}
		if len(b.Events) != each {
			t.Fatalf("batch %d has %d events, want %d", i, len(b.Events), each)
		}
	}
	if most := batches*each/slabChunk + 1; len(chunks) > most {
		t.Errorf("%d chunks, want at most %d", len(chunks), most)
	}
	for n, p := range ports {
		if p[0] != uint16(n/each) || p[1] != uint16(n%each) {
			t.Fatalf("list %d is %v", n, p)
		}
	}
}

// Each constructor gives a payload of its own kind, zeroed, and a batch that is
// filled again allocates nothing.
func TestBatchAllocatesNothing(t *testing.T) {
	var b Batch
	fill := func() {
		b.Reset()
		for range 100 {
			for _, p := range []Payload{
				b.NewEdgeRequest(), b.NewFlow(), b.NewHTTPFlow(), b.NewDNS(), b.NewSocket(), b.NewExchange(), b.NewTLSHello(), b.NewProcess(),
				b.NewSyscall(), b.NewSpan(), b.NewSpanLog(), b.NewPod(), b.NewService(), b.NewLoss(), b.NewClock(),
			} {
				b.Add(KindFlow, SourceHubble).Payload = p
			}
		}
	}
	if n := testing.AllocsPerRun(20, fill); n != 0 {
		t.Errorf("%v allocations a batch, want 0", n)
	}
	seen := map[Payload]bool{}
	for i := range b.Events {
		if seen[b.Events[i].Payload] {
			t.Fatal("one payload was handed out twice")
		}
		seen[b.Events[i].Payload] = true
	}
}
