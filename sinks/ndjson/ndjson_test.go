package ndjson

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
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
	w, err := Open(path, 7)
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
	if _, err := Open(path, 8); !errors.Is(err, ErrStream) {
		t.Errorf("another stream: %v", err)
	}
	if err := os.Truncate(path, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 7); err == nil {
		t.Error("a file that was cut was taken")
	}
	if _, err := Open(filepath.Join(dir, "none", "out.jsonl"), 7); err == nil {
		t.Error("a folder that is not there was taken")
	}
}
