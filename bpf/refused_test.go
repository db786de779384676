package bpf

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
)

// A program that the verifier rejects comes as a permission error too: nobody
// should look for a missing capability then.
func TestRefused(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		got := refused("load", err)
		if !strings.Contains(got.Error(), want) || !errors.Is(got, err) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	f(fmt.Errorf("%w: %w", &ebpf.VerifierError{Cause: syscall.EACCES}, os.ErrPermission), "verifier rejects")
	f(os.ErrNotExist, "load: file does not exist")
	f(syscall.EPERM, "seccomp, or lockdown")
}

func TestCapable(t *testing.T) {
	f := func(held string, want string) {
		t.Helper()
		err := capable("Name:\tx\nCapPrm:\t0\nCapEff:\t" + held + "\nCapBnd:\t0\n")
		if want == "" && err != nil || want != "" && (!errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", held, err, want)
		}
	}
	f("000001ffffffffff", "")
	f("000000c000001000", "")
	f("0000000000201000", "") // the old capability for all
	f("0000000000000000", "needs cap_bpf, cap_perfmon, cap_net_admin:")
	f("0000000000200000", "needs cap_net_admin:")
	f("0000008000001000", "needs cap_perfmon:")
	f("", "")
}

// What the ring holds is never read beyond its end.
func TestParseShort(t *testing.T) {
	words := make([]uint64, 4096/8)
	for kind := Kind(0); int(kind) <= kinds; kind++ {
		for n := range 600 {
			b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
			if n >= 4 {
				b[0], b[1], b[2], b[3] = byte(kind), 0, 0, 0
			}
			r, err := Parse(b)
			if err == nil && len(r.Data) > n {
				t.Fatalf("%s of %d bytes has %d of data", kind, n, len(r.Data))
			}
			if err == nil && r.Socket == nil && r.Head == nil && r.Frame == nil && r.Process == nil {
				t.Fatalf("%s of %d bytes says nothing", kind, n)
			}
		}
	}
}
