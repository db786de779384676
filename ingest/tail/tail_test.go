package tail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fixture is a folder with a followed file.
type fixture struct {
	t    *testing.T
	dir  string
	f    *Follower
	got  []string
	fail error
}

func newFixture(t *testing.T) *fixture {
	x := &fixture{t: t, dir: t.TempDir()}
	x.restart()
	return x
}

// restart is the program started again, after it kept its positions or not.
func (x *fixture) restart() {
	x.t.Helper()
	if x.f != nil {
		x.f.close()
	}
	f, err := New(Config{Patterns: []string{filepath.Join(x.dir, "*.log")}, Positions: filepath.Join(x.dir, "positions")})
	if err != nil {
		x.t.Fatal(err)
	}
	x.f = f
}

func (x *fixture) path(name string) string { return filepath.Join(x.dir, name) }

func (x *fixture) write(name, text string) {
	x.t.Helper()
	f, err := os.OpenFile(x.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) id(name string) fileID {
	x.t.Helper()
	info, err := os.Stat(x.path(name))
	x.do(err)
	return idOf(info)
}

// open expects how many files are open.
func (x *fixture) open(want int) {
	x.t.Helper()
	if n := len(x.f.files); n != want {
		x.t.Errorf("%d files are open, want %d", n, want)
	}
}

func (x *fixture) do(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// look expects what the next look hands on.
func (x *fixture) look(want ...string) {
	x.t.Helper()
	x.got = nil
	err := x.f.Look(context.Background(), func(_ context.Context, path string, lines [][]byte) error {
		if x.fail != nil {
			return x.fail
		}
		for _, l := range lines {
			x.got = append(x.got, filepath.Base(path)+":"+string(l))
		}
		return nil
	})
	if err != nil {
		x.t.Error(err)
	}
	if d := cmp.Diff(want, x.got); d != "" {
		x.t.Errorf("(-want +got)\n%s", d)
	}
}

func TestLines(t *testing.T) {
	x := newFixture(t)
	x.look()
	x.write("a.log", "one\ntwo\nthr")
	x.look("a.log:one", "a.log:two")
	x.write("a.log", "ee\n\nfour\n")
	x.write("b.log", "other\n")
	x.write("c.txt", "not followed\n")
	x.look("a.log:three", "a.log:four", "b.log:other")
	x.fail = errors.New("no room")
	x.write("a.log", "five\nsix")
	x.look()
	x.fail = nil
	x.look("a.log:five") // they come again
	x.write("a.log", "\n")
	x.look("a.log:six")
	long := strings.Repeat("x", 3*chunk)
	x.write("a.log", long+"\nend\n")
	x.look("a.log:"+long, "a.log:end")
	x.write("a.log", strings.Repeat("x", maxLine+2*chunk))
	x.look()
	x.write("a.log", "xxx\nafter\n")
	x.look("a.log:after")
	if c := x.f.Counts(); c != (Counts{Long: 1}) {
		t.Errorf("counts %+v, want one long line", c)
	}
}

// The writer of a file that was renamed has it open still, for a while.
func TestRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newFixture(t)
		x.write("a.log", "one\n")
		x.look("a.log:one")
		x.write("a.log", "two\n")
		x.do(os.Rename(x.path("a.log"), x.path("a.log.1")))
		x.write("a.log.1", "three\n")
		x.look("a.log:two", "a.log:three")
		x.write("a.log.1", "four\n")
		x.write("a.log", "new\n")
		x.look("a.log:four", "a.log:new")
		time.Sleep(grace - time.Second)
		x.write("a.log", "more\n")
		x.write("a.log.1", "five\n")
		x.look("a.log:five", "a.log:more")
		time.Sleep(grace - time.Second)
		x.look()
		x.open(2)
		time.Sleep(2 * time.Second)
		x.look()
		x.open(1)
	})
}

// A new name that is followed, too, is no new file.
func TestRenamedToFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newFixture(t)
		x.write("a.log", "one\n")
		x.look("a.log:one")
		x.do(os.Rename(x.path("a.log"), x.path("a-2026.log")))
		x.write("a.log", "new\n")
		x.look("a.log:new")
		for range 3 {
			time.Sleep(grace + time.Second)
			x.look()
		}
		x.open(2)
		x.do(os.Remove(x.path("a-2026.log")))
		x.look()
		time.Sleep(grace + time.Second)
		x.look()
		x.open(1)
	})
}

func TestCutAndCopied(t *testing.T) {
	x := newFixture(t)
	x.write("a.log", "one\ntwo\n")
	x.look("a.log:one", "a.log:two")
	x.do(os.Truncate(x.path("a.log"), 0))
	x.look()
	x.write("a.log", "new\n")
	x.look("a.log:new")
}

// Cut, and longer again than it was, before anybody looks; or another file that got
// the inode.
func TestAnotherFile(t *testing.T) {
	f := func(meanwhile func(*fixture)) {
		t.Helper()
		x := newFixture(t)
		x.write("a.log", "one\ntwo")
		x.look("a.log:one")
		meanwhile(x)
		x.do(os.Truncate(x.path("a.log"), 0))
		x.write("a.log", "uno\ndue\ntre\n")
		x.look("a.log:uno", "a.log:due", "a.log:tre")
		x.write("a.log", strings.Repeat("x", maxHead)+"\nend\n")
		x.look("a.log:"+strings.Repeat("x", maxHead), "a.log:end")
		meanwhile(x)
		x.write("a.log", "more\n")
		x.look("a.log:more")
		if h := x.f.files[x.id("a.log")].Head; h.Bytes != maxHead {
			t.Errorf("%d bytes tell the file", h.Bytes)
		}
	}
	f(func(*fixture) {})
	f(func(x *fixture) {
		x.do(x.f.save())
		x.restart()
	})
}

// The rest of a line that is too long is no line, though the program dies in it.
func TestDiesInLongLine(t *testing.T) {
	x := newFixture(t)
	x.write("a.log", "one\n"+strings.Repeat("x", maxLine+chunk))
	x.look("a.log:one")
	x.do(x.f.save())
	x.restart()
	x.write("a.log", "{\"rest\":1}\nafter\n")
	x.look("a.log:after")
}

// What the system says of reading is told, and others are read.
func TestReadError(t *testing.T) {
	const unreadable = "/proc/self/mem" // at 0: EIO
	if _, err := os.Stat(unreadable); err != nil {
		t.Skip("SKIPPED: no file that cannot be read: ", err)
	}
	x := newFixture(t)
	x.write("a.log", "one\n")
	var told []error
	x.f.cfg.Patterns = append(x.f.cfg.Patterns, unreadable)
	x.f.cfg.Failed = func(path string, err error) {
		if path != unreadable {
			t.Errorf("told of %s", path)
		}
		told = append(told, err)
	}
	x.look("a.log:one")
	x.look()
	if len(told) != 2 || !errors.Is(told[0], syscall.EIO) {
		t.Errorf("told %v", told)
	}
	if c := x.f.Counts(); c != (Counts{ReadErrors: 2}) {
		t.Errorf("counts %+v", c)
	}
}

// Rotated while nobody looked: the rest of the old file comes first.
func TestRotatedMeanwhile(t *testing.T) {
	x := newFixture(t)
	x.write("a.log", "one\n")
	x.look("a.log:one")
	x.do(x.f.save())
	x.write("a.log", "two\n")
	x.do(os.Rename(x.path("a.log"), x.path("a-2026.old")))
	x.write("a.log", "new\n")
	x.restart()
	x.look("a.log:two", "a.log:new")
	x.write("a.log", "more\n") // and it died before it kept how far it was
	x.restart()
	x.look("a.log:two", "a.log:new", "a.log:more")
	x.do(x.f.save())
	x.restart()
	x.look()
}

func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	positions := filepath.Join(dir, "positions")
	for pattern, want := range map[string]string{
		filepath.Join(dir, "none", "a.log"): "no such file",
		filepath.Join(dir, "[a"):            "syntax error",
	} {
		if _, err := New(Config{Patterns: []string{pattern}, Positions: positions}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", pattern, err, want)
		}
	}
	if err := os.WriteFile(positions, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Positions: positions}); err == nil || !strings.Contains(err.Error(), "from their beginnings") {
		t.Errorf("damaged positions: %v", err)
	}
}

func TestRun(t *testing.T) {
	x := newFixture(t)
	x.write("a.log", "one\n")
	ctx, cancel := context.WithCancel(t.Context())
	if err := x.f.Run(ctx, func(_ context.Context, _ string, lines [][]byte) error {
		if fmt.Sprintf("%s", lines) != "[one]" {
			t.Errorf("%s", lines)
		}
		cancel()
		return nil
	}); err != nil {
		t.Error(err)
	}
	x.f = nil
	x.restart()
	x.look() // its position was kept
}
