package bpf

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// This kernel's verifier accepts every program, whatever hooks there are for them.
func TestKernelPrograms(t *testing.T) {
	s, err := Open(Auto)
	var verifier *ebpf.VerifierError
	if errors.Is(err, os.ErrPermission) && !errors.As(err, &verifier) {
		t.Skipf("SKIPPED: the real kernel is not watched: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, h := range s.Hooks() {
		if errors.As(h.Err, &verifier) {
			t.Errorf("%s: %+v", h.Name, verifier)
		}
		t.Logf("%s: %v", h.Name, h.Err)
	}
}

// Without the tracepoints the ends of functions are chosen, where this kernel takes
// them, else it is said what is not known.
func TestKernelChooseUses(t *testing.T) {
	spec, err := loadShim()
	if err != nil {
		t.Fatal(err)
	}
	var s Shim
	s.chooseUses(spec, spec.Types) // which name no tracepoint
	if spec.Programs["socket_send"] != nil || spec.Programs["socket_receive"] != nil {
		t.Error("programs of tracepoints that are missing are loaded")
	}
	refused := try(ebpf.AttachTraceFExit, "tcp_sendmsg")
	for _, name := range []string{"socket_sent", "socket_received"} {
		if (spec.Programs[name] == nil) != (refused != nil) {
			t.Errorf("%s is loaded or not, wrongly: %v", name, refused)
		}
	}
	missing := strings.Join(s.Missing(), "\n")
	if refused == nil && missing != "" || refused != nil && (!strings.Contains(missing, "no tracepoint sock_send_length") || !strings.Contains(missing, "fexit/tcp_recvmsg")) {
		t.Errorf("missing is %q", missing)
	}
}
