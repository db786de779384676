package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func open(t *testing.T, dir string, most int64, dropped *[]string) *Queue {
	t.Helper()
	q, err := Open(dir, most, func(r []byte) { *dropped = append(*dropped, string(r)) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func put(t *testing.T, q *Queue, records ...string) {
	t.Helper()
	for _, r := range records {
		if err := q.Put([]byte(r)); err != nil {
			t.Fatal(err)
		}
	}
}

// take reads all that waits and lets it go.
func take(t *testing.T, q *Queue) (all []string) {
	t.Helper()
	for {
		b, err := q.Read(1000, 40)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Records) == 0 {
			if n, size := q.Size(); n != 0 || size != 0 {
				t.Errorf("an empty queue has %d records of %d bytes", n, size)
			}
			return all
		}
		for _, r := range b.Records {
			all = append(all, string(r))
		}
		if err := q.Done(b); err != nil {
			t.Fatal(err)
		}
	}
}

func numbered(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("record %04d", i))
	}
	return out
}

func TestOrder(t *testing.T) {
	var dropped []string
	dir := t.TempDir()
	q := open(t, dir, 4096, &dropped)
	for round := range 3 { // it grows and empties again and again
		want := numbered(round*50, round*50+50)
		put(t, q, want...)
		if got := take(t, q); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	}
	if files, err := os.ReadDir(dir); len(files) != 0 || err != nil || dropped != nil {
		t.Errorf("files %v, %v; dropped %q", files, err, dropped)
	}
	select {
	case <-q.More():
	default:
		t.Error("nobody was told that there is something to read")
	}
}

// What was put and not let go is there in the next life, a torn end is not.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	var dropped []string
	q := open(t, dir, 4096, &dropped)
	put(t, q, numbered(0, 100)...) // several segments
	first, err := q.Read(1000, 1)
	if err != nil || len(first.Records) != 1 {
		t.Fatal(first, err)
	}
	if err := q.Done(first); err != nil { // of a segment that is not empty yet
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.spool"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	f, err := os.OpenFile(files[len(files)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{11, 0, 0, 0, 1, 2, 3, 4, 'h', 'a', 'l', 'f'}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	q = open(t, dir, 4096, &dropped)
	put(t, q, "after the crash")
	q = open(t, dir, 4096, &dropped) // what was cut off does not make it damaged now
	if got, want := take(t, q), append(numbered(0, 100), "after the crash"); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if dropped != nil {
		t.Errorf("dropped %q", dropped)
	}
}

// A full queue gives up its oldest records, each said once, and none twice: what
// is being read when it goes is not counted again by Done.
func TestFull(t *testing.T) {
	var dropped []string
	q := open(t, t.TempDir(), 800, &dropped)
	put(t, q, numbered(0, 20)...)
	reading, err := q.Read(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	put(t, q, numbered(20, 100)...)
	if err := q.Done(reading); err != nil {
		t.Fatal(err)
	}
	if _, size := q.Size(); size > 800 {
		t.Errorf("%d bytes are kept, at most 800 are wanted", size)
	}
	got := take(t, q)
	if len(dropped) == 0 || len(got) < 20 {
		t.Errorf("%d kept, %d dropped", len(got), len(dropped))
	}
	if all := slices.Concat(dropped, got); !slices.Equal(all, numbered(0, 100)) {
		t.Errorf("dropped and kept are %q", all)
	}
	if err := q.Put(make([]byte, 200)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a record larger than a segment: %v", err)
	}
}

// What the disk has changed is an error that names the file, not a loss.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	var dropped []string
	q := open(t, dir, 4096, &dropped)
	put(t, q, "one", "two")
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	f, err := os.OpenFile(files[0], os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("x"), header)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := q.Read(1000, 100); err == nil {
		t.Error("a damaged record was read")
	}
	put(t, q, numbered(0, 100)...)
	if _, err := Open(dir, 4096, nil); err == nil {
		t.Error("a segment that is damaged in the middle was opened")
	}
}
