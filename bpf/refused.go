package bpf

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
)

// needed are the capabilities, by their bit (linux/capability.h). CAP_SYS_ADMIN
// stands for all but CAP_NET_ADMIN.
var needed = []struct {
	bit  uint
	name string
}{{39, "cap_bpf"}, {38, "cap_perfmon"}, {12, "cap_net_admin"}}

const capSysAdmin = 21

// errCapabilities is about this process; it is an os.ErrPermission.
type errCapabilities struct{ missing []string }

func (e *errCapabilities) Error() string {
	return "watching the kernel needs " + strings.Join(e.missing, ", ") +
		": run as root, or once: setcap cap_bpf,cap_perfmon,cap_net_admin+ep on the binary"
}

func (e *errCapabilities) Unwrap() error { return os.ErrPermission }

// Capable returns nil if this process has the capabilities that Open needs, else
// an os.ErrPermission that names those it lacks.
func Capable() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("read the capabilities of this process: %w", err)
	}
	return capable(string(status))
}

// capable names what this process lacks. It is asked before anything is loaded:
// without capabilities the kernel's answers are about something else.
func capable(status string) error {
	_, hex, ok := strings.Cut(status, "\nCapEff:")
	hex, _, _ = strings.Cut(hex, "\n")
	held, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
	if !ok || err != nil {
		return nil // an unusual kernel: it will say itself
	}
	var missing []string
	for _, c := range needed {
		if held>>c.bit&1 == 0 && (held>>capSysAdmin&1 == 0 || c.name == "cap_net_admin") {
			missing = append(missing, c.name)
		}
	}
	if missing == nil {
		return nil
	}
	return &errCapabilities{missing}
}

// refused says what to do about an error of the kernel. A program that the
// verifier rejects is a permission error too, so that is asked first.
func refused(what string, err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier):
		return fmt.Errorf("%s: the kernel's verifier rejects a program, please report this: %w", what, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: the kernel refuses it to a process that has the capabilities (seccomp, or lockdown): %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
