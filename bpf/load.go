package bpf

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
)

// dispensable are the groups of programs without which the rest is of use, each
// with the program whose hook is said to be missing.
var dispensable = []struct {
	hook     string
	programs []string
}{
	{"go_read", slices.Concat(slices.Collect(maps.Keys(opensslPrograms)), slices.Collect(maps.Keys(goPrograms)))},
	{"packet_out", []string{"packet_out", "packet_in"}},
	{"socket_list", []string{"socket_list", "socket_sweep_file"}},
	{"socket_sweep", []string{"socket_sweep"}},
	{"socket_send", []string{"socket_send", "socket_receive"}},
	{"socket_sent", []string{"socket_sent", "socket_received"}},
	{"process_exec", []string{"process_exec", "process_exit", "process_fork", "process_running"}},
}

// load loads the programs. One that this kernel's verifier rejects would have all
// refused, so its group is found and left out.
func (s *Shim) load(spec *ebpf.CollectionSpec) (err error) {
	s.programs, err = ebpf.NewCollection(spec)
	var verifier *ebpf.VerifierError
	if err == nil || !errors.As(err, &verifier) {
		return err
	}
	rejected := make(map[string]error)
	for _, group := range dispensable {
		alone := spec.Copy()
		for p := range alone.Programs {
			if !slices.Contains(group.programs, p) {
				delete(alone.Programs, p)
			}
		}
		c, err := ebpf.NewCollection(alone)
		if err == nil {
			c.Close()
			continue
		}
		rejected[group.hook] = err
		for _, p := range group.programs {
			delete(spec.Programs, p)
		}
	}
	if s.programs, err = ebpf.NewCollection(spec); err != nil {
		return err
	}
	for _, hook := range slices.Sorted(maps.Keys(rejected)) {
		s.tried(hook, fmt.Errorf("load it: %w", rejected[hook]))
	}
	return nil
}
