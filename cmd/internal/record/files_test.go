package record

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

var stored = time.Date(2026, 11, 29, 14, 25, 59, 0, time.UTC)

// write writes the lines from one number to another, each with a message of its own.
func write(t *testing.T, f *Files, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if err := f.Write(fmt.Appendf(nil, "line %d\n", i), uint64(i), stored.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, dir string, o Options) *Files {
	t.Helper()
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 20
	}
	f, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sync(t *testing.T, f *Files, sequence uint64) {
	t.Helper()
	if err := f.Sync(Position{Created: 1, Sequence: sequence}); err != nil {
		t.Fatal(err)
	}
}

// recorded is what the finished files hold, and their names.
func recorded(t *testing.T, dir string) (names []string, text string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		var r io.Reader = bytes.NewReader(b)
		switch filepath.Ext(e.Name()) {
		case ".gz":
			r, err = gzip.NewReader(r)
		case ".zst":
			r, err = zstd.NewReader(r)
		case ".jsonl":
		default:
			if e.Name() != positionName {
				t.Errorf("%s is left", e.Name())
			}
			continue
		}
		if err == nil {
			b, err = io.ReadAll(r)
		}
		if err != nil {
			t.Fatal(err)
		}
		names, text = append(names, e.Name()), text+string(b)
	}
	return names, text
}

func numbers(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

// What a dead writer left behind its last Sync comes again, and is in the files once.
func TestResume(t *testing.T) {
	for _, pack := range []string{"", "gz", "zst"} {
		dir := t.TempDir()
		o := Options{Pack: pack, MaxBytes: 60}
		f := open(t, dir, o)
		write(t, f, 1, 3) // dies before anything is safe
		f.out.Flush()
		f = open(t, dir, o)
		if at := f.At(); at.Sequence != 0 {
			t.Errorf("it begins behind %d", at.Sequence)
		}
		write(t, f, 1, 5)
		sync(t, f, 5)
		write(t, f, 6, 7)
		f.out.Flush()
		f = open(t, dir, o)
		if at := f.At(); at.Sequence != 5 || at.Created != 1 {
			t.Errorf("it goes on at %+v", at)
		}
		write(t, f, 6, 9)
		sync(t, f, 9) // 63 bytes: finished
		write(t, f, 10, 12)
		sync(t, f, 12)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		names, text := recorded(t, dir)
		suffix := strings.TrimSuffix(".jsonl."+pack, ".")
		want := []string{"events-20261129T142600Z-000000000001" + suffix, "events-20261129T142609Z-000000000010" + suffix}
		if d := cmp.Diff(want, names); d != "" {
			t.Errorf("pack %q: %s", pack, d)
		}
		if d := cmp.Diff(numbers(1, 12), text); d != "" {
			t.Errorf("pack %q: %s", pack, d)
		}
	}
}

// One that dies while it finishes a file has it once, wherever it dies.
func TestDiesFinishing(t *testing.T) {
	for _, pack := range []string{"", "gz"} {
		for _, named := range []bool{false, true} {
			dir := t.TempDir()
			f := open(t, dir, Options{Pack: pack})
			write(t, f, 1, 5)
			sync(t, f, 5)
			if pack != "" {
				if err := os.WriteFile(filepath.Join(dir, f.at.File+".jsonl.gz.tmp"), []byte("half"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if named {
				if err := f.name(f.at.File); err != nil {
					t.Fatal(err)
				}
			}
			f = open(t, dir, Options{Pack: pack})
			write(t, f, 6, 6)
			sync(t, f, 6)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if _, text := recorded(t, dir); text != numbers(1, 6) {
				t.Errorf("pack %q, named %v: it has\n%s", pack, named, text)
			}
		}
	}
}

// A position that cannot be written finishes no file: its lines would come again.
func TestSyncFails(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{})
	write(t, f, 1, 3)
	sync(t, f, 3)
	obstacle := filepath.Join(dir, positionName+".tmp")
	if err := os.Mkdir(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, f, 4, 5)
	if err := f.Sync(Position{Created: 1, Sequence: 5}); err == nil {
		t.Fatal("it syncs without a position")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir, Options{})
	write(t, f, int(f.At().Sequence)+1, 6)
	sync(t, f, 6)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, text := recorded(t, dir); text != numbers(1, 6) {
		t.Errorf("it has\n%s", text)
	}
}

func TestKeepAndAge(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, Options{Keep: 2, MaxAge: time.Nanosecond})
	for i := 1; i <= 5; i++ {
		write(t, f, i, i)
		sync(t, f, uint64(i))
	}
	if _, text := recorded(t, dir); text != numbers(4, 5) {
		t.Errorf("it keeps\n%s", text)
	}
}

func TestOpenRefuses(t *testing.T) {
	prepare := func(spoil func(part string) error, want string) {
		t.Helper()
		dir := t.TempDir()
		f := open(t, dir, Options{})
		write(t, f, 1, 5)
		sync(t, f, 5)
		err := spoil(filepath.Join(dir, f.at.File+part))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	prepare(os.Remove, "is gone: put it back, or delete position")
	prepare(func(p string) error { return os.Truncate(p, 3) }, "is shorter than what was written to it")
	prepare(func(p string) error {
		return os.WriteFile(filepath.Join(filepath.Dir(p), positionName), []byte("?"), 0o600)
	}, "read position")
	if _, err := Open(filepath.Join(os.DevNull, "x"), Options{}); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder in a file: %v", err)
	}
}
