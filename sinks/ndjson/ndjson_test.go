package ndjson

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, w *Writer, from, to uint64) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := w.Write(i, fmt.Appendf(nil, "line %d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, path string) *Writer {
	t.Helper()
	w, err := Open(path, 7, Rotation{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func content(t *testing.T, path, want string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != want {
		t.Errorf("the file has %q (%v), want %q", b, err, want)
	}
}

// What was not made safe is cut off, and comes again.
func TestEachLineOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	w := open(t, path)
	write(t, w, 1, 2)
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	write(t, w, 3, 3)
	if err := w.out.Flush(); err != nil { // and the program dies
		t.Fatal(err)
	}
	w.file.Close()
	content(t, path, "line 1\nline 2\nline 3\n")

	w = open(t, path)
	if w.Last() != 2 {
		t.Errorf("last is %d, want 2", w.Last())
	}
	write(t, w, 1, 4) // the stream brings them again
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	content(t, path, "line 1\nline 2\nline 3\nline 4\n")
}

func TestOtherFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.jsonl")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := open(t, path) // somebody else's lines stay
	write(t, w, 1, 1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	content(t, path, "before\nline 1\n")
	if _, err := Open(path, 8, Rotation{}); !errors.Is(err, ErrStream) {
		t.Errorf("another stream: %v", err)
	}
	if err := os.Truncate(path, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 7, Rotation{}); err == nil {
		t.Error("a file that was cut was taken")
	}
	if _, err := Open(filepath.Join(dir, "none", "out.jsonl"), 7, Rotation{}); err == nil {
		t.Error("a folder that is not there was taken")
	}
}

// files are the files of a folder by name, those that were renamed as r0, r1, ….
func files(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	n := 0
	for _, name := range names {
		if strings.HasSuffix(name, ".position") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		label := filepath.Base(name)
		if label != "out.jsonl" && label != "out-mine.jsonl" {
			label = fmt.Sprint("r", n)
			n++
		}
		fmt.Fprintf(&text, "%s: %s\n", label, strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", ","))
	}
	return text.String()
}

// A file is renamed behind a whole line when it is large enough or old enough, the
// oldest go, and through a kill at any point of it each line is there once.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.jsonl")
	if err := os.WriteFile(filepath.Join(dir, "out-mine.jsonl"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	begin := func() *Writer {
		t.Helper()
		w, err := Open(path, 7, Rotation{Bytes: 14, Keep: 2})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	sync := func(w *Writer) {
		t.Helper()
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	f := func(want string) {
		t.Helper()
		if got := files(t, dir); got != want {
			t.Errorf("there is\n%swant\n%s", got, want)
		}
	}
	w := begin()
	write(t, w, 1, 1)
	sync(w)
	f("out-mine.jsonl: mine\nout.jsonl: line 1\n")
	write(t, w, 2, 3)
	sync(w)
	f("r0: line 1,line 2,line 3\nout-mine.jsonl: mine\nout.jsonl: \n")
	write(t, w, 4, 5)
	sync(w)
	write(t, w, 6, 7)
	sync(w) // the first goes
	f("r0: line 4,line 5\nr1: line 6,line 7\nout-mine.jsonl: mine\nout.jsonl: \n")

	// Killed after it said what it would do, before and after the file was renamed.
	for i, done := range []bool{false, true} {
		from := uint64(8 + i)
		write(t, w, from, from)
		sync(w)
		w.at.Rotated = fmt.Sprintf("out-2%03d0101T000000.000000000.jsonl", 900+i)
		if err := w.note(); err != nil {
			t.Fatal(err)
		}
		if done {
			if err := os.Rename(path, filepath.Join(dir, w.at.Rotated)); err != nil {
				t.Fatal(err)
			}
		}
		w.file.Close()
		w = begin()
		if w.Last() != from {
			t.Errorf("last is %d, want %d", w.Last(), from)
		}
		write(t, w, from-1, from) // comes again
		sync(w)
	}
	f("r0: line 4,line 5\nr1: line 6,line 7\nr2: line 8\nr3: line 9\nout-mine.jsonl: mine\nout.jsonl: \n")
	write(t, w, 10, 10)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	old, err := Open(filepath.Join(t.TempDir(), "out.jsonl"), 7, Rotation{Age: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	write(t, old, 1, 1)
	sync(old)
	f2 := func(want string) {
		t.Helper()
		if got := files(t, filepath.Dir(old.path)); got != want {
			t.Errorf("there is\n%swant\n%s", got, want)
		}
	}
	f2("out.jsonl: line 1\n")
	old.at.Began -= 3600
	write(t, old, 2, 2)
	sync(old)
	f2("r0: line 1,line 2\nout.jsonl: \n")
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTo(t *testing.T) {
	var b bytes.Buffer
	w := To(&b, 4)
	write(t, w, 3, 6)
	if err := w.Close(); err != nil || b.String() != "line 5\nline 6\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

// Lines that got into a new file before its first Sync, when the program was killed,
// come again and are there once.
func TestKilledBeforeTheFirstSync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.jsonl")
	const many = 64
	line := []byte(strings.Repeat("x", 1<<15)) // more than is buffered
	write := func(w *Writer) {
		t.Helper()
		for i := range many {
			if err := w.Write(uint64(i)+1, line); err != nil {
				t.Fatal(err)
			}
		}
	}
	killed, err := Open(path, 1, Rotation{})
	if err != nil {
		t.Fatal(err)
	}
	write(killed)
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Fatalf("nothing was written before it was killed: %v, %v", info, err)
	}
	w, err := Open(path, 1, Rotation{})
	if err != nil {
		t.Fatal(err)
	}
	write(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, []byte{'\n'}); n != many {
		t.Errorf("%d lines, want %d", n, many)
	}
}
