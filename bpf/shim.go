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
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
)

// Shim is the loaded programs. Its methods are for one goroutine, except Close.
type Shim struct {
	programs *ebpf.Collection
	links    []link.Link
	sweep    *link.Iter // nil if refused, as list
	list     *link.Iter
	ring     *reader
	hooks    []Hook
	scratch  []byte
	auto     bool
	tls      bool

	goroutines bool
}

// Hook is one place in the kernel that was tried, and what is known through it.
// Err says why it is not attached, nil if it is.
type Hook struct {
	Name, Gives string
	Err         error
}

// Open loads the programs and attaches them to the whole machine: all network
// namespaces, all cgroups. Without the hook of sockets it fails; what else is
// refused, also by the verifier, is left out and named by Missing. It needs CAP_BPF, CAP_PERFMON and
// CAP_NET_ADMIN; without them its error is an os.ErrPermission that names them.
//
// In tls are files of OpenSSL (libssl.so, or a program that has it inside) and Go
// programs: of whoever uses them the heads within TLS are seen too. With Auto among
// them a Follower finds more. A file that cannot be looked into is a FileError.
func Open(tls ...string) (*Shim, error) {
	if err := Capable(); err != nil {
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
	s := &Shim{scratch: make([]byte, 4096), tls: len(tls) > 0}
	s.chooseUses(spec, kernel)
	sweep := "socket_sweep"
	if err := try(ebpf.AttachTraceIter, "bpf_sk_storage_map"); err != nil {
		sweep = "socket_sweep_file"
		delete(spec.Programs, "socket_sweep")
	} else {
		delete(spec.Programs, "socket_sweep_file")
	}
	if err := try(ebpf.AttachTraceIter, "task_file"); err != nil {
		delete(spec.Programs, "socket_list")
		delete(spec.Programs, "socket_sweep_file")
		s.tried("socket_list", err)
		if sweep == "socket_sweep_file" {
			s.tried(sweep, err)
		}
	}
	if len(tls) == 0 {
		for _, programs := range []map[string]bool{opensslPrograms, goPrograms} {
			for program := range programs {
				delete(spec.Programs, program)
			}
		}
		for _, unused := range []string{"calls", "sessions", "hellos", "go_calls", "go_handshakes"} {
			spec.Maps[unused].MaxEntries = 64 // they are allocated ahead
		}
	} else if err := spec.Variables["inside_tls"].Set(true); err != nil {
		return nil, fmt.Errorf("prepare the eBPF objects: %w", err)
	}
	if len(tls) > 0 && features.HaveProgramHelper(ebpf.Kprobe, asm.FnGetAttachCookie) == nil {
		s.goroutines = true
		if err := spec.Variables["goroutines"].Set(true); err != nil {
			return nil, fmt.Errorf("prepare the eBPF objects: %w", err)
		}
	}
	if err = s.load(spec); err != nil {
		return nil, refused("load the eBPF programs", err)
	}
	if err := s.attach(sweep); err != nil {
		s.Close()
		return nil, err
	}
	for _, file := range tls {
		if file == Auto {
			s.auto = true
			s.tryTLS()
			continue
		}
		links, err := s.attachTLS(file)
		if errors.As(err, new(*FileError)) {
			s.Close()
			return nil, err
		}
		s.links = append(s.links, links...)
		s.hooks = append(s.hooks, Hook{Name: "uprobe", Gives: "heads within TLS of " + file, Err: err})
	}
	return s, nil
}

// tryTLS says whether this kernel takes probes at functions: of this program, if
// it has TLS.
func (s *Shim) tryTLS() {
	links, err := s.attachTLS("/proc/self/exe")
	if errors.Is(err, errNotOpenSSL) {
		return
	}
	s.tried("go_read", errors.Join(err, closeAll(links)))
}

func (s *Shim) attach(sweep string) (err error) {
	// The reader comes first, so that what the hooks say has a place to go.
	if s.ring, err = newReader(s.programs.Maps["ring"]); err != nil {
		return fmt.Errorf("open the ring: %w", err)
	}
	for _, program := range []string{
		"socket_state", "socket_send", "socket_receive", "socket_sent", "socket_received",
		"process_exec", "process_exit", "process_fork",
	} {
		p := s.programs.Programs[program]
		if p == nil {
			continue
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: p})
		s.keep(program, l, err)
		if err != nil && program == "socket_state" {
			return refused("attach to the states of sockets", err)
		}
	}
	root, err := CgroupRoot()
	for _, packet := range []struct {
		program string
		at      ebpf.AttachType
	}{{"packet_out", ebpf.AttachCGroupInetEgress}, {"packet_in", ebpf.AttachCGroupInetIngress}} {
		if err != nil {
			s.tried(packet.program, err)
			continue
		}
		p := s.programs.Programs[packet.program]
		if p == nil {
			continue
		}
		l, err := link.AttachCgroup(link.CgroupOptions{Path: root, Attach: packet.at, Program: p})
		s.keep(packet.program, l, err)
	}
	if p := s.programs.Programs[sweep]; p != nil {
		over := link.IterOptions{Program: p}
		if sweep == "socket_sweep" {
			over.Map = s.programs.Maps["conns"]
		}
		s.sweep, err = link.AttachIter(over)
		s.tried(sweep, err)
	}
	if p := s.programs.Programs["socket_list"]; p != nil {
		s.list, err = link.AttachIter(link.IterOptions{Program: p})
		s.tried("socket_list", err)
	}
	return nil
}

// uses are the programs that see a socket used by its process: at a tracepoint, and
// at the end of a function for kernels without it.
var uses = []struct{ program, tracepoint, instead, function string }{
	{"socket_send", "sock_send_length", "socket_sent", "tcp_sendmsg"},
	{"socket_receive", "sock_recv_length", "socket_received", "tcp_recvmsg"},
}

// chooseUses leaves one program of each pair in spec, or none.
func (s *Shim) chooseUses(spec *ebpf.CollectionSpec, kernel *btf.Spec) {
	for _, u := range uses {
		var t *btf.Typedef
		if kernel.TypeByName("btf_trace_"+u.tracepoint, &t) == nil {
			delete(spec.Programs, u.instead)
			continue
		}
		delete(spec.Programs, u.program)
		if err := try(ebpf.AttachTraceFExit, u.function); err != nil {
			delete(spec.Programs, u.instead)
			s.tried(u.instead, fmt.Errorf("this kernel has no tracepoint %s, and instead: %w", u.tracepoint, err))
		}
	}
}

// try says whether this kernel loads programs of a kind: some refuse iterators that
// could write into maps, some whatever sits at functions.
func try(kind ebpf.AttachType, name string) error {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: kind, AttachTo: name, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err == nil {
		p.Close()
	}
	return err
}

// hooks says of each program where it sits and what it gives.
var hooks = map[string]Hook{
	"socket_state":    {Name: "tp_btf/inet_sock_set_state", Gives: "sockets"},
	"socket_send":     {Name: "tp_btf/sock_send_length", Gives: "owners of accepted sockets"},
	"socket_receive":  {Name: "tp_btf/sock_recv_length", Gives: "owners of accepted sockets"},
	"socket_sent":     {Name: "fexit/tcp_sendmsg", Gives: "owners of accepted sockets"},
	"socket_received": {Name: "fexit/tcp_recvmsg", Gives: "owners of accepted sockets"},

	"process_exec": {Name: "tp_btf/sched_process_exec", Gives: "processes"},
	"process_exit": {Name: "tp_btf/sched_process_exit", Gives: "ends of processes"},
	"process_fork": {Name: "tp_btf/sched_process_fork", Gives: "processes that run what their parent does"},
	"packet_out":   {Name: "cgroup_skb/egress", Gives: "heads, exchanges, TLS server names"},
	"packet_in":    {Name: "cgroup_skb/ingress", Gives: "heads, exchanges, TLS server names"},
	"socket_sweep": {Name: "iter/bpf_sk_storage_map", Gives: "ends of the last exchanges"},

	"socket_list": {Name: "iter/task_file", Gives: "sockets that were open before"},

	"go_read": {Name: "uprobe", Gives: "heads within TLS (--tls)"},

	"socket_sweep_file": {Name: "iter/task_file", Gives: "ends of the last exchanges (iter/bpf_sk_storage_map is refused)"},
}

func (s *Shim) keep(program string, l link.Link, err error) {
	if err == nil {
		s.links = append(s.links, l)
	}
	s.tried(program, err)
}

func (s *Shim) tried(program string, err error) {
	h := hooks[program]
	if err != nil {
		h.Err = refused("attach", err)
	}
	s.hooks = append(s.hooks, h)
}

// CgroupRoot finds where cgroup2 is mounted, alone or beside version 1.
func CgroupRoot() (string, error) {
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

// Hooks are the places that were tried, in the order of trying.
func (s *Shim) Hooks() []Hook { return s.hooks }

// InsideTLS reports whether Open was asked to look into TLS.
func (s *Shim) InsideTLS() bool { return s.tls }

// Missing says what is not observed, and why, one line each.
func (s *Shim) Missing() (lines []string) {
	for _, h := range s.hooks {
		if h.Err != nil {
			lines = append(lines, fmt.Sprintf("%s (%s): %v", h.Gives, h.Name, h.Err))
		}
	}
	return lines
}

// Read returns the next record. Without one before the deadline the error is
// os.ErrDeadlineExceeded, and after Close it is os.ErrClosed; any other is about
// one record. What it returns lies in the ring: it is good until the next call, must not
// be written, and the Shim must not be forgotten before.
func (s *Shim) Read() (Record, error) {
	b, err := s.ring.next()
	if err != nil {
		return Record{}, err
	}
	return Parse(b)
}

// SetDeadline bounds the following calls of Read.
func (s *Shim) SetDeadline(t time.Time) { s.ring.deadline = t }

// Sweep asks for a KindQuiet record of every HTTP connection that had data since
// the last one and then none for 100 ms.
func (s *Shim) Sweep() error {
	if s.sweep == nil { // refused
		return nil
	}
	return s.iterate(s.sweep)
}

// Standing asks for a KindStanding record of every TCP connection that a process
// has open.
func (s *Shim) Standing() error {
	if s.list == nil {
		return nil
	}
	return s.iterate(s.list)
}

// List asks for a KindRunning record of every process.
func (s *Shim) List() error {
	p := s.programs.Programs["process_running"]
	if p == nil {
		return nil
	}
	it, err := link.AttachIter(link.IterOptions{Program: p})
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
	for _, it := range []*link.Iter{s.sweep, s.list} {
		if it != nil {
			errs = append(errs, it.Close())
		}
	}
	if s.ring != nil {
		errs = append(errs, s.ring.close())
	}
	s.programs.Close()
	return errors.Join(errs...)
}
