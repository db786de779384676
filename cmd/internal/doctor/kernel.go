package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/sennit-io/sennit/bpf"
)

// kernel looks at what the shim needs, and then loads it: each hook is tried.
func kernel() []Check {
	var checks []Check
	add := func(v Verdict, name, finding, do string) {
		checks = append(checks, Check{v, name, finding, do})
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		add(OK, "kernel", strings.TrimSpace(string(b)), "")
	} else {
		add(Fail, "kernel", err.Error(), "only Linux can be watched; replay and up work everywhere")
		return checks
	}
	if s, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil || s.Size() == 0 {
		add(Fail, "BTF", "the kernel does not describe its types", "use a kernel with CONFIG_DEBUG_INFO_BTF=y, as all distributions' kernels have it since 2021")
	} else {
		add(OK, "BTF", "the kernel describes its types", "")
	}
	lockdown(add)
	if root, err := bpf.CgroupRoot(); err != nil {
		add(Fail, "cgroup2", err.Error(), "mount it; inside a container, mount the host's")
	} else {
		add(OK, "cgroup2", root, "")
	}
	if err := bpf.Capable(); err != nil {
		add(Fail, "capabilities", err.Error(), "")
		return checks // every hook would be refused for that
	}
	add(OK, "capabilities", "cap_bpf, cap_perfmon, cap_net_admin", "")
	shim, err := bpf.Open(bpf.Auto)
	if err != nil {
		add(Fail, "hooks", err.Error(), "without the states of sockets there is nothing to watch; replay and up --follow work without")
		return checks
	}
	defer shim.Close()
	for _, h := range shim.Hooks() {
		if h.Err != nil {
			add(Warn, h.Name, h.Err.Error(), "not observed: "+h.Gives)
		} else {
			add(OK, h.Name, h.Gives, "")
		}
	}
	return checks
}

// lockdown says which mode is chosen: "none [integrity] confidentiality".
func lockdown(add func(Verdict, string, string, string)) {
	b, err := os.ReadFile("/sys/kernel/security/lockdown")
	if errors.Is(err, os.ErrNotExist) {
		add(OK, "lockdown", "not known: securityfs is not mounted, or the kernel has none", "")
		return
	}
	if err != nil {
		add(Warn, "lockdown", err.Error(), "run as root to see it")
		return
	}
	_, mode, _ := strings.Cut(string(b), "[")
	mode, _, _ = strings.Cut(mode, "]")
	if mode == "confidentiality" {
		add(Fail, "lockdown", mode, "this mode forbids reading the kernel's memory: boot with lockdown=integrity")
		return
	}
	add(OK, "lockdown", mode, "")
}

// exporters looks for the files that Hubble's and Tetragon's exporters write
// where their charts put them.
func exporters() []Check {
	var checks []Check
	for _, e := range []struct{ name, pattern, how string }{
		{"Hubble", "/var/run/cilium/hubble/*.log", "switch its exporter on (Helm: hubble.export.static.enabled=true)"},
		{"Tetragon", "/var/run/cilium/tetragon/tetragon.log", "Tetragon writes it by default (Helm: export.mode, tetragon.exportFilename)"},
	} {
		c := Check{Name: e.name}
		files, err := filepath.Glob(e.pattern)
		if err == nil && len(files) > 0 {
			c.Finding = "follow it: --follow '" + e.pattern + "'"
		} else {
			c.Verdict, c.Finding, c.Do = Warn, "no "+e.pattern, e.how+", if this node runs it"
		}
		checks = append(checks, c)
	}
	return checks
}
