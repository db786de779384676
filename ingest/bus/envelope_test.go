package bus

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
	sennitv1 "github.com/sennit-io/sennit/schemas/proto/sennit/v1"
)

func sample(events int) (Head, []byte) {
	h := Head{Version: 1, Session: Session{1, 2}, Sequence: 7, Node: "n1", Source: event.SourceHubble, Partition: 3, Watermark: 99}
	b := h.append(nil)
	for i := range events {
		b, _ = appendEvent(b, eventtest.Fill(event.KindFlow, uint64(i)+1), nil)
	}
	return h, b
}

// The bytes are those of the generated type.
func TestEnvelopeIsTheGeneratedForm(t *testing.T) {
	h, b := sample(3)
	var m sennitv1.Envelope
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, want) {
		t.Errorf("wrote\n%x\nthe generated type writes\n%x", b, want)
	}
	if m.GetSequence() != 7 || m.GetNode() != "n1" || m.GetWatermark() != 99 || len(m.GetEvents()) != 3 || m.GetPartition() != 3 {
		t.Errorf("read back %v", &m)
	}
	var o Opener
	var batch event.Batch
	got, err := o.Open(s2.Encode(nil, b), &batch)
	if err != nil || got != h || len(batch.Events) != 3 {
		t.Errorf("opened %+v with %d events, %v; want %+v", got, len(batch.Events), err, h)
	}
}

func TestPoison(t *testing.T) {
	f := func(why string, data []byte) {
		t.Helper()
		var o Opener
		var b event.Batch
		b.Add(event.KindClock, event.SourceK8s)
		if _, err := o.Open(data, &b); !errors.Is(err, ErrPoison) || !strings.Contains(err.Error(), why) || len(b.Events) != 1 {
			t.Errorf("%v (%d events), want %q", err, len(b.Events), why)
		}
	}
	h, good := sample(2)
	f("unpack", nil)
	f("unpack", []byte("no s2"))
	f("read", s2.Encode(nil, good[:len(good)-1]))
	f("at most", s2.Encode(nil, make([]byte, maxBytes+1))) // a bomb: some bytes that claim a megabyte
	f("at most", append([]byte{0xff, 0xff, 0xff, 0xff, 0x07}, 0))
	_, many := sample(maxEvents + 1)
	f("more than", s2.Encode(nil, many))
	h.Version = 2
	f("update it", s2.Encode(nil, h.append(nil)))
	h.Version, h.Sequence = 1, 0
	f("no session or sequence", s2.Encode(nil, h.append(nil)))
	h.Sequence, h.Node = 1, "n\xff"
	f("not UTF-8", s2.Encode(nil, h.append(nil)))
	f("wire type", s2.Encode(nil, []byte{0x22 &^ 7, 1}))
	f("event 1", s2.Encode(nil, append(bytes.Clone(good[:0:0]), 0x42, 1, 0x0a)))
}

// Whatever an event holds, its envelope can be read, and by the node it is of.
func TestNoEventPoisons(t *testing.T) {
	const node = "n\xff\xfe1"
	e := eventtest.Fill(event.KindFlow, 1)
	e.Node, e.Payload.(*event.Flow).Policy = node, "p\xc3"
	s := NewSender(nil, node, nil)
	if err := s.Send(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	m := s.lingering(0)[0]
	plain, err := s2.Decode(nil, m.Data)
	if err != nil {
		t.Fatal(err)
	}
	var form sennitv1.Envelope
	if err := proto.Unmarshal(plain, &form); err != nil {
		t.Errorf("the generated type: %v", err)
	}
	var o Opener
	var b event.Batch
	h, err := o.Open(m.Data, &b)
	if err != nil {
		t.Fatal(err)
	}
	_, of, err := parseSubject(m.Subject)
	if err != nil || h.Node != of || b.Events[0].Node != of || of != "n\ufffd\ufffd1" {
		t.Errorf("subject of %q, envelope of %q, event of %q; %v", of, h.Node, b.Events[0].Node, err)
	}
	if p := b.Events[0].Payload.(*event.Flow).Policy; p != "p\ufffd" {
		t.Errorf("policy %q", p)
	}
}

func FuzzEnvelope(f *testing.F) {
	_, b := sample(3)
	f.Add(b)
	h, _ := sample(0)
	h.Node = "n\xff"
	f.Add(h.append(nil))
	f.Add(bytes.Replace(b, []byte("n1"), []byte("n\xff"), 1))
	f.Add(bytes.ReplaceAll(b, []byte("o"), []byte("\xff")))                      // in the events
	f.Add([]byte("\b\x01\x12\x100000000000000000\x180\xf0\x9f\x99\x82\x30\x30")) // a field number beyond the last
	f.Fuzz(func(t *testing.T, plain []byte) {
		var o Opener
		var batch event.Batch
		h, err := o.Open(s2.Encode(nil, plain), &batch)
		if err != nil {
			return
		}
		var m sennitv1.Envelope
		err = proto.Unmarshal(plain, &m)
		if err != nil && strings.Contains(err.Error(), "UTF-8") { // in an event: it is replaced
			plain = h.append(nil)
			for i := range batch.Events {
				plain, _ = appendEvent(plain, &batch.Events[i], nil)
			}
			err = proto.Unmarshal(plain, &m)
		}
		if err != nil {
			t.Fatalf("the generated type refuses what was read: %v", err)
		}
		if m.GetSequence() != h.Sequence || m.GetNode() != h.Node || m.GetPartition() != h.Partition || event.Time(m.GetWatermark()) != h.Watermark || len(m.GetEvents()) != len(batch.Events) {
			t.Fatalf("read %+v and %d events, the generated type %v", h, len(batch.Events), &m)
		}
	})
}

func TestSubjects(t *testing.T) {
	for _, node := range []string{"", "gke-1", "ip-10-0-0-1.ec2.internal", "a b*>", "=", "ü"} {
		subject := Subject(node, event.SourceOTLP)
		if strings.Count(subject, ".") != 4 || strings.ContainsAny(subject, " *>") {
			t.Errorf("%q: subject %q", node, subject)
		}
		if p, got, err := parseSubject(subject); err != nil || got != node || p != PartitionOf(node) {
			t.Errorf("%q came back as %q, %d, %v", node, got, p, err)
		}
	}
	for _, bad := range []string{"sennit.events.1.n1.otlp", "sennit.events.x.n1.otlp", "sennit.events.3.otlp", "other.3.n1.otlp", "sennit.events.3.a=2.otlp", "sennit.events.3.a=6E.otlp"} {
		if _, _, err := parseSubject(bad); !errors.Is(err, ErrSubject) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Sessions are held to a plain set of sequences.
func TestSessions(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		s := NewSessions()
		taken, missing, high := map[uint64]bool{}, uint64(0), uint64(0)
		for i := range 5000 {
			seq := uint64(max(1, int(high)+rng.IntN(60)-30))
			if i%500 == 499 {
				seq += rng.Uint64N(3 * span)
			}
			h := Head{Session: Session{1}, Sequence: seq}
			dup, lost, _ := s.Take("n", &h, 0, 1)
			if want := taken[seq] || high >= seq && high-seq >= span; dup != want {
				t.Fatalf("sequence %d after %d: duplicate %v, want %v", seq, high, dup, want)
			}
			taken[seq] = true
			high, missing = max(high, seq), missing+lost
			if i%1000 == 0 { // as after a restart
				back := NewSessions()
				s.Changed(0, func(k, v []byte) {
					if err := back.Restore(k, v); err != nil {
						t.Fatal(err)
					}
				})
				if back.Len() != 1 {
					t.Fatalf("%d sessions came back", back.Len())
				}
				s = back
			}
		}
		want := uint64(0)
		for seq := uint64(1); seq+span <= high; seq++ {
			if !taken[seq] {
				want++
			}
		}
		if missing != want {
			t.Errorf("%d missing, want %d", missing, want)
		}
	}
	s := NewSessions()
	h := Head{Session: Session{1}, Sequence: 1}
	s.Take("a", &h, 0, 5)
	if dup, _, _ := s.Take("b", &h, 0, 5); dup {
		t.Error("one node used up another's number")
	}
	forgot := 0
	s.Changed(6, func(_, v []byte) {
		if v == nil {
			forgot++
		}
	})
	if forgot != 2 || s.Len() != 0 {
		t.Errorf("%d forgotten, %d kept", forgot, s.Len())
	}
}
