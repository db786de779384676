package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
)

// Shim is the loaded programs. Its methods are for one goroutine, except Close.
type Shim struct {
	programs *ebpf.Collection
	links    []link.Link
	sweep    *link.Iter
	ring     *ringbuf.Reader
	sample   ringbuf.Record
	missing  []string
	scratch  []byte
}

// Open loads the programs and attaches them to the whole machine: all network
// namespaces, all cgroups. Without the hook of sockets it fails; what else is
// refused is left out and named by Missing. It needs CAP_BPF, CAP_PERFMON and
// CAP_NET_ADMIN; without them its error is an os.ErrPermission that names them.
func Open() (*Shim, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("read the capabilities of this process: %w", err)
	}
	if err := capable(string(status)); err != nil {
		return nil, err
	}
	spec, err := loadShim()
	if err != nil {
		return nil, fmt.Errorf("read the eBPF objects: %w", err)
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("read the kernel's BTF (a kernel with CONFIG_DEBUG_INFO_BTF is needed): %w", err)
	}
	s := &Shim{scratch: make([]byte, 4096)}
	for _, tracepoint := range []struct{ program, name string }{
		{"socket_send", "sock_send_length"}, {"socket_receive", "sock_recv_length"},
	} {
		var t *btf.Typedef
		if kernel.TypeByName("btf_trace_"+tracepoint.name, &t) != nil {
			delete(spec.Programs, tracepoint.program)
			s.miss("owner of accepted sockets", fmt.Errorf("this kernel has no tracepoint %s", tracepoint.name))
		}
	}
	if s.programs, err = ebpf.NewCollection(spec); err != nil {
		return nil, refused("load the eBPF programs", err)
	}
	if err := s.attach(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Shim) attach() (err error) {
	// The reader comes first, so that what the hooks say has a place to go.
	if s.ring, err = ringbuf.NewReader(s.programs.Maps["ring"]); err != nil {
		return fmt.Errorf("open the ring: %w", err)
	}
	for _, hook := range []struct{ program, what string }{
		{"socket_send", "owner of accepted sockets"},
		{"socket_receive", "owner of accepted sockets"},
		{"process_exec", "processes"},
		{"process_exit", "ends of processes"},
		{"socket_state", ""},
	} {
		p := s.programs.Programs[hook.program]
		if p == nil {
			continue
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		switch {
		case err == nil:
			s.links = append(s.links, l)
		case hook.what == "":
			return refused("attach to the states of sockets", err)
		default:
			s.miss(hook.what, refused("attach "+hook.program, err))
		}
	}
	if err := s.attachPackets(); err != nil {
		s.miss("heads of requests, exchanges", err)
	}
	if s.sweep, err = link.AttachIter(link.IterOptions{
		Program: s.programs.Programs["socket_sweep"], Map: s.programs.Maps["conns"],
	}); err != nil {
		s.miss("ends of the last exchanges", refused("attach the sweep over sockets", err))
	}
	return nil
}

func (s *Shim) attachPackets() error {
	root, err := cgroupRoot()
	if err != nil {
		return err
	}
	for program, at := range map[string]ebpf.AttachType{
		"packet_out": ebpf.AttachCGroupInetEgress, "packet_in": ebpf.AttachCGroupInetIngress,
	} {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: root, Attach: at, Program: s.programs.Programs[program]})
		if err != nil {
			return refused("attach "+program+" to "+root, err)
		}
		s.links = append(s.links, l)
	}
	return nil
}

// cgroupRoot finds where cgroup2 is mounted, alone or beside version 1.
func cgroupRoot() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("find cgroup2: %w", err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 && fields[3] == "/" {
			return fields[4], nil
		}
	}
	return "", errors.New("find cgroup2: its root is not mounted here (mount -t cgroup2 none /sys/fs/cgroup/unified)")
}

func (s *Shim) miss(what string, why error) {
	s.missing = append(s.missing, what+": "+why.Error())
}

// Missing says what is not observed, and why, one line each.
func (s *Shim) Missing() []string { return s.missing }

// Read returns the next record. Without one before the deadline the error is
// os.ErrDeadlineExceeded, and after Close it is os.ErrClosed; any other is about
// one record. What it returns is good until the next call.
func (s *Shim) Read() (Record, error) {
	if err := s.ring.ReadInto(&s.sample); err != nil {
		return Record{}, err
	}
	return Parse(s.sample.RawSample)
}

// SetDeadline bounds the following calls of Read.
func (s *Shim) SetDeadline(t time.Time) { s.ring.SetDeadline(t) }

// Sweep asks for a KindQuiet record of every HTTP connection that had data since
// the last one and then none for 100 ms.
func (s *Shim) Sweep() error {
	if s.sweep == nil {
		return nil
	}
	return s.iterate(s.sweep)
}

// List asks for a KindRunning record of every process.
func (s *Shim) List() error {
	it, err := link.AttachIter(link.IterOptions{Program: s.programs.Programs["process_running"]})
	if err != nil {
		return refused("attach the list of processes", err)
	}
	defer it.Close()
	return s.iterate(it)
}

// iterate runs an iterator to its end. Its output is in the ring.
func (s *Shim) iterate(it *link.Iter) error {
	run, err := it.Open()
	if err != nil {
		return fmt.Errorf("open the iterator: %w", err)
	}
	defer run.Close()
	for {
		if _, err := run.Read(s.scratch); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("run the iterator: %w", err)
		}
	}
}

// Dropped adds up, per kind, the records that did not fit the ring since Open.
func (s *Shim) Dropped() (map[Kind]uint64, error) {
	all := make(map[Kind]uint64)
	var perCPU []uint64
	for k := range uint32(kinds) {
		if err := s.programs.Maps["dropped"].Lookup(k, &perCPU); err != nil {
			return nil, fmt.Errorf("read what was dropped: %w", err)
		}
		for _, n := range perCPU {
			if n > 0 {
				all[Kind(k)] += n
			}
		}
	}
	return all, nil
}

// Close detaches everything and ends a Read that waits.
func (s *Shim) Close() error {
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	if s.sweep != nil {
		errs = append(errs, s.sweep.Close())
	}
	if s.ring != nil {
		errs = append(errs, s.ring.Close())
	}
	s.programs.Close()
	return errors.Join(errs...)
}
