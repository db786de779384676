package bpf

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// A program that the verifier rejects takes its own group with it and nothing else,
// and is no missing permission.
func TestLoadWithout(t *testing.T) {
	f := func(program string, want ...string) {
		t.Helper()
		spec, err := loadShim()
		if err != nil {
			t.Fatal(err)
		}
		// Some kernels have but one of these.
		for _, p := range []string{"socket_sweep", "socket_sweep_file", "socket_sent", "socket_received"} {
			delete(spec.Programs, p)
		}
		spec.Programs[program].Instructions = asm.Instructions{asm.LoadMem(asm.R0, asm.R0, 0, asm.DWord), asm.Return()}
		var s Shim
		err = s.load(spec)
		if err == nil {
			defer s.programs.Close()
		}
		var verifier *ebpf.VerifierError
		if errors.Is(err, os.ErrPermission) && !errors.As(err, &verifier) {
			t.Skipf("SKIPPED: no program is loaded: %v", err)
		}
		if want == nil {
			if !errors.As(err, &verifier) {
				t.Errorf("without %s: %v, want the verifier's", program, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for name := range spec.Programs {
			if slices.Contains(want, name) {
				t.Errorf("without %s: %s is loaded", program, name)
			}
		}
		for _, name := range []string{"socket_state", "packet_in", "go_done", "process_running", "socket_receive", "socket_list"} {
			if (s.programs.Programs[name] == nil) != slices.Contains(want, name) {
				t.Errorf("without %s: %s is loaded or not, wrongly", program, name)
			}
		}
		if len(s.hooks) != 1 || !errors.As(s.hooks[0].Err, &verifier) || len(s.Missing()) != 1 {
			t.Errorf("without %s: missing is %v", program, s.Missing())
		}
	}
	f("packet_out", "packet_out", "packet_in")
	f("ssl_read", "ssl_read", "go_done", "go_read")
	f("process_exit", "process_exec", "process_exit", "process_fork", "process_running")
	f("socket_list", "socket_list")
	f("socket_send", "socket_send", "socket_receive")
	f("socket_state")
}
