package bpf

import (
	"errors"
	"os"
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
