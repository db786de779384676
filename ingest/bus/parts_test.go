package bus_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/bus/embed"
)

// large makes a text that does not fit into a message, nor does what it packs to.
func large(seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 3<<20)
	for i := range b {
		b[i] = ' ' + byte(rng.UintN(90))
	}
	return b
}

// end is the last sequence of a stream.
func end(t *testing.T, js jetstream.JetStream, stream string) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.LastSeq
}

// A timeline of some megabytes goes the way of all others: to who reads in order, to a
// sink, to the sink's dead letters, and from there to the sink again.
func TestLargeTimeline(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	c := consume(t, js, "s", bus.OutTimeline)
	want := large(1)
	publishAll(t, js, bus.OutTimeline, []string{"small/1", "large/1"}, bus.Pack([]byte("S"), want))
	publish(t, js, bus.OutTimeline, "next/1", "N")
	if last := end(t, js, bus.StreamOut); last < 5 {
		t.Fatalf("%d messages: it went in one", last)
	}

	r, err := bus.NewOutReader(t.Context(), js, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var lines [][]byte
	for len(lines) < 3 {
		m, ok, err := r.Next(10 * time.Second)
		if err != nil || !ok || m.Err != nil {
			t.Fatal(ok, err, m.Err)
		}
		lines = append(lines, m.Lines...)
	}
	if string(lines[0]) != "S" || !bytes.Equal(lines[1], want) || string(lines[2]) != "N" {
		t.Errorf("lines of %d, %d and %d bytes", len(lines[0]), len(lines[1]), len(lines[2]))
	}

	got := take(t, c, 3, 20*time.Second)
	if len(got) != 3 || got[1].ID != "large" || !bytes.Equal(got[1].Data, want) || got[2].ID != "next" {
		t.Fatalf("the sink got %d results", len(got))
	}
	if err := errors.Join(got[0].Done(), got[1].Dead(t.Context(), errors.New("no")), got[2].Done()); err != nil {
		t.Fatal(err)
	}
	letters := func() (n int) {
		if err := bus.Undelivered(t.Context(), js, "s", func(*bus.Letter) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := letters(); n != 1 {
		t.Errorf("%d dead letters", n)
	}
	if n, err := bus.Resend(t.Context(), js, "s", 0); n != 1 || err != nil {
		t.Fatalf("%d sent again, %v", n, err)
	}
	got = take(t, c, 1, 20*time.Second)
	if len(got) != 1 || got[0].ID != "large" || !bytes.Equal(got[0].Data, want) {
		t.Fatalf("what was sent again came %d times", len(got))
	}
	if err := got[0].Done(); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), bus.StreamUndelivered)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 0 || letters() != 0 {
		t.Errorf("%d messages of the letter are left", n)
	}
}

// Who is overtaken between the parts of a body sends nothing more of it: what the other
// wrote is no part.
func TestLargeOvertaken(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	publish(t, js, bus.OutTimeline, "others/1", "O")
	if _, _, err := bus.Publish(t.Context(), js, bus.OutTimeline, []string{"large/1"}, bus.Pack(large(2)), 0); !bus.Overtaken(err) {
		t.Errorf("a stream with another end took it: %v", err)
	}
	if last := end(t, js, bus.StreamOut); last != 1 {
		t.Errorf("the stream ends at %d", last)
	}
}

// A timeline of which the stream has dropped a part is told, and in nobody's way.
func TestLargeInPart(t *testing.T) {
	_, js := serve(t, embed.Options{Dir: t.TempDir()})
	c := consume(t, js, "s", bus.OutTimeline)
	publishAll(t, js, bus.OutTimeline, []string{"large/1"}, bus.Pack(large(3)))
	publish(t, js, bus.OutTimeline, "next/1", "N")
	s, err := js.Stream(t.Context(), bus.StreamOut)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(2)); err != nil { // as its limits would
		t.Fatal(err)
	}
	r, err := bus.NewOutReader(t.Context(), js, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if m, ok, err := r.Next(10 * time.Second); err != nil || !ok || m.Err == nil || len(m.Lines) != 0 {
		t.Errorf("%v, %v, %v: %d lines", ok, err, m.Err, len(m.Lines))
	}
	if m, ok, err := r.Next(10 * time.Second); err != nil || !ok || len(m.Lines) != 1 {
		t.Errorf("behind it: %v, %v, %d lines", ok, err, len(m.Lines))
	}
	told := 0
	for ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second); ; {
		defer cancel()
		got, ok, err := c.Next(50 * time.Millisecond)
		if err != nil {
			told++
		}
		if ok {
			if got.ID != "next" {
				t.Errorf("%s came", got.ID)
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal("what is behind it never came")
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}
