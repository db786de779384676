package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// writtenRing is a ring in this process's memory, written by the kernel's rules.
type writtenRing struct {
	reader
	positions [2]uint64
	size      uint64
}

func newWrittenRing(size int) *writtenRing {
	w := &writtenRing{size: uint64(size)}
	w.consumer, w.producer, w.data = &w.positions[0], &w.positions[1], make([]byte, 2*size)
	w.deadline = time.Unix(1, 0) // it never waits
	return w
}

// write puts a record into it and reports whether there was room. As both halves
// are the same memory in the kernel, it writes both.
func (w *writtenRing) write(b []byte, flags uint32) bool {
	n := uint64(ringHeader+len(b)+7) &^ 7
	if w.positions[1]+n-w.positions[0] > w.size-1 {
		return false
	}
	at := w.positions[1] % w.size
	head := binary.NativeEndian.AppendUint32(nil, uint32(len(b))|flags)
	for i, c := range append(append(head, 0, 0, 0, 0), b...) {
		p := (at + uint64(i)) % w.size
		w.data[p], w.data[p+w.size] = c, c
	}
	w.positions[1] += n
	return true
}

// Every record is read once, in order, whole, wherever it lies; what is thrown away
// is passed over, and what was read makes room.
func TestReader(t *testing.T) {
	w := newWrittenRing(1 << 12)
	random := rand.New(rand.NewPCG(1, 2))
	var want [][]byte
	read := func() {
		for len(want) > 0 {
			b, err := w.next()
			if err != nil {
				t.Fatalf("%d records are left: %v", len(want), err)
			}
			if !bytes.Equal(b, want[0]) {
				t.Fatalf("%d bytes %.20x, want %d %.20x", len(b), b, len(want[0]), want[0])
			}
			want = want[1:]
		}
		if b, err := w.next(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("nothing is left: %x, %v", b, err)
		}
		if w.positions[0] != w.positions[1] {
			t.Fatalf("it is free up to %d of %d", w.positions[0], w.positions[1])
		}
	}
	rounds := 0
	for n := 0; n < 100000; {
		b := make([]byte, 8+random.IntN(600))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		flags := uint32(0)
		if random.IntN(5) == 0 {
			flags = ringDiscard
		}
		switch {
		case !w.write(b, flags):
			rounds++
			read()
		case flags == 0:
			n++
			want = append(want, b)
		}
	}
	read()
	if rounds < 1000 {
		t.Errorf("the ring was full %d times", rounds)
	}
}

// A record that is being written is waited for, and what is behind it too.
func TestReaderBusy(t *testing.T) {
	w := newWrittenRing(1 << 12)
	w.write([]byte("12345678"), ringBusy)
	w.write([]byte("abcdefgh"), 0)
	if b, err := w.next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%q, %v", b, err)
	}
	w.data[3] &^= ringBusy >> 24
	for _, want := range []string{"12345678", "abcdefgh"} {
		if b, err := w.next(); err != nil || string(b) != want {
			t.Errorf("%q, %v, want %q", b, err, want)
		}
	}
}

// Room is given back also while there is more to read.
func TestReaderTells(t *testing.T) {
	w := newWrittenRing(1 << 18)
	for w.write(make([]byte, 1000), 0) {
	}
	for range 100 {
		if _, err := w.next(); err != nil {
			t.Fatal(err)
		}
	}
	if held := w.at - w.positions[0]; held == w.at || held > tellEvery+1008 {
		t.Errorf("%d bytes of %d that were read are not free", held, w.at)
	}
}

// A wait ends with the shim, and there is none after it.
func TestKernelReaderClose(t *testing.T) {
	s, err := Open()
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("SKIPPED: the real kernel is not watched: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { s.Close() })
	for range 2 {
		for {
			s.SetDeadline(time.Time{})
			if _, err := s.Read(); err != nil {
				if !errors.Is(err, os.ErrClosed) {
					t.Error(err)
				}
				break
			}
		}
	}
}

// Who waits is woken when a part of the ring is full.
func TestKernelWake(t *testing.T) {
	s, err := Open()
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("SKIPPED: the real kernel is not watched: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if missing := strings.Join(s.Missing(), "\n"); strings.Contains(missing, "heads") {
		t.Skipf("SKIPPED: no packets are watched: %s", missing)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	s.SetDeadline(time.Now())
	for err = nil; err == nil; {
		_, err = s.Read()
	}
	const minute = time.Minute
	begin := time.Now()
	s.SetDeadline(begin.Add(minute))
	woken := make(chan error, 1)
	go func() {
		_, err := s.Read()
		woken <- err
	}()
	for n := 0; ; n++ {
		select {
		case err := <-woken:
			if took := time.Since(begin); err != nil || took >= minute {
				t.Errorf("woken after %v and %d requests: %v", took, n, err)
			}
			return
		default:
		}
		if _, err := io.WriteString(c, "GET /wake HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
}
