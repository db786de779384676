package bpf

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
)

// Probes stay on a file while a process uses it, and a while longer.
func TestFollower(t *testing.T) {
	s, err := Open(Auto)
	var verifier *ebpf.VerifierError
	if errors.Is(err, os.ErrPermission) && !errors.As(err, &verifier) {
		t.Skipf("SKIPPED: no process is followed: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	start := func() (pid uint32, stop func()) {
		cmd := exec.Command("python3", "-c", "import ssl; print(ssl.OPENSSL_VERSION, flush=True); input()")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Skipf("SKIPPED: no process is followed: %v", err)
		}
		if !bufio.NewScanner(out).Scan() {
			t.Skip("SKIPPED: no process is followed: python3 has no ssl")
		}
		return uint32(cmd.Process.Pid), func() {
			in.Close()
			_ = cmd.Wait() // it ends on its input's end, as an error or not
		}
	}
	f := s.Follower()
	defer f.Close()
	check := func(when string, want int) {
		t.Helper()
		if err := f.Release(); err != nil {
			t.Error(err)
		}
		if got := f.Files(); got != want {
			t.Fatalf("%s: probes on %d files, want %d", when, got, want)
		}
	}
	one, stopOne := start()
	two, stopTwo := start()
	for _, pid := range []uint32{one, two, one, uint32(os.Getpid())} {
		if err := f.Look(pid); err != nil {
			t.Fatal(err)
		}
	}
	const files = 2 // libssl and libcrypto
	check("two users", files)
	stopOne()
	f.Ended(one)
	check("one user", files)
	stopTwo()
	f.Ended(two)
	check("no user, just now", files)
	if err := f.Look(two); err != nil {
		t.Errorf("a process that has ended: %v", err)
	}
	for _, x := range f.files {
		x.since = x.since.Add(-linger)
	}
	check("no user for long", 0)
}

// A program that has OpenSSL inside, or uses a library of its own that does, is
// found.
func TestFollowerNode(t *testing.T) {
	s, err := Open(Auto)
	var verifier *ebpf.VerifierError
	if errors.Is(err, os.ErrPermission) && !errors.As(err, &verifier) {
		t.Skipf("SKIPPED: no process is followed: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cmd := exec.Command("node", "-e", `console.log(require("tls").DEFAULT_MIN_VERSION); process.stdin.resume()`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("SKIPPED: Node is not followed: %v", err)
	}
	if !bufio.NewScanner(out).Scan() {
		t.Fatal("node ended")
	}
	f := s.Follower()
	defer f.Close()
	if err := f.Look(uint32(cmd.Process.Pid)); err != nil {
		t.Error(err)
	}
	if f.Files() == 0 {
		t.Error("node was not found to have TLS")
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// What the version of a Go program says is what it says to debuggers.
func TestGoroutineOffsets(t *testing.T) {
	dir := t.TempDir()
	source, program := filepath.Join(dir, "a.go"), filepath.Join(dir, "a")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: offsets of Go's runtime: no Go program is built: %v: %s", err, out)
	}
	if a, b := goroutineOffsets(program), offsetsOfDebugger(program); a != b || a == 0 {
		t.Errorf("offsets %#x, a debugger is told %#x", a, b)
	}
}

// What is a Go program is found by its own tables, stripped or not, and what is
// none is told.
func TestGoPlaces(t *testing.T) {
	if _, err := goPlaces("/proc/self/exe"); !errors.Is(err, errNotGo) {
		t.Errorf("this program has no crypto/tls: %v", err)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("SKIPPED: programs that are not Go's: no sh")
	}
	if _, err := goPlaces(sh); !errors.Is(err, errNotGo) {
		t.Errorf("%s: %v", sh, err)
	}
}
