package socket

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// What an exchange costs is divided here. Client and server are one thread that
// sends, receives, answers and receives: the kernel passes packets over loopback in
// that thread, programs included, so its CPU time is all there is, and ten times
// less than an HTTP library's, out of which what is looked for would not stand.

const (
	costRounds    = 8
	costExchanges = 4000
	// costWarm is how many go once round the ring: its memory was written and read
	// before, as that of a shim which has run for a second.
	costWarm = 16000
)

// BenchmarkShimParts compares, in interleaved rounds of 4000 exchanges, the thread
// without anything, with programs that only return at the same hooks, and with the
// shim, and then reads what the shim wrote. Medians, for an exchange and one of its
// ends:
//
//	bare-ns/exchange   what the exchange itself costs
//	empty-ns/end       added by the programs that only return
//	kernel-ns/end      added by the shim's
//	fresh-ns/end       the same while the ring's memory is used for the first time
//	reader-ns/end      reading, decoding and encoding what they wrote
//	records/end, bytes/end, allocs/end
//
// Beside them stand what this machine does otherwise, alone in a loop:
// return-ns is a program that only returns, sha256-ns a hash of 64 bytes, and
// syscall-ns the smallest system call.
func BenchmarkShimParts(b *testing.B) {
	b.Run("http1", func(b *testing.B) { benchmarkParts(b, costHTTP1) })
	b.Run("http2", func(b *testing.B) { benchmarkParts(b, costHTTP2) })
}

func benchmarkParts(b *testing.B, speak func() speech) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for b.Loop() {
		var bare, empty, kernel, fresh, reader, allocs []float64
		for range costRounds {
			p := newPair(b, speak())
			o := p.exchanges(costExchanges)
			p.close()

			links := emptyHooks(b)
			p = newPair(b, speak())
			e := p.exchanges(costExchanges)
			p.close()
			for _, l := range links {
				l.Close()
			}

			s := openCost(b)
			p = newPair(b, speak())
			f := p.exchanges(costExchanges)
			s.read(b)
			for range costWarm/costExchanges - 1 {
				p.exchanges(costExchanges)
				s.read(b)
			}
			w := p.exchanges(costExchanges)
			r := s.read(b)
			p.close()
			s.shim.Close()

			const ends = 2 * costExchanges
			bare, empty, kernel = append(bare, 2*o/ends), append(empty, (e-o)/ends), append(kernel, (w-o)/ends)
			fresh, reader, allocs = append(fresh, (f-o)/ends), append(reader, r.ns/ends), append(allocs, float64(r.allocs)/ends)
			if r.exchanges < ends*99/100 {
				b.Fatalf("%d exchanges of %d were seen, %d records lost", r.exchanges, ends, s.source.Lost)
			}
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(median(bare), "bare-ns/exchange")
		b.ReportMetric(median(empty), "empty-ns/end")
		b.ReportMetric(median(kernel), "kernel-ns/end")
		b.ReportMetric(median(fresh), "fresh-ns/end")
		b.ReportMetric(median(reader), "reader-ns/end")
		b.ReportMetric(median(allocs), "allocs/end")
		countRecords(b, speak())
		calibrate(b)
	}
}

// countRecords reports how many records the shim writes.
func countRecords(b *testing.B, say speech) {
	s := openCost(b)
	defer s.shim.Close()
	p := newPair(b, say)
	defer p.close()
	p.exchanges(costExchanges)
	s.shim.SetDeadline(time.Now().Add(readWait))
	records := 0
	for {
		_, err := s.shim.Read()
		if err != nil {
			break // the ring is empty
		}
		records++
	}
	b.ReportMetric(float64(records)/(2*costExchanges), "records/end")
}

// BenchmarkShimPrograms asks the kernel for how long each program ran and how
// often, for one end of an exchange. To ask costs something, so this is apart.
func BenchmarkShimPrograms(b *testing.B) {
	b.Run("http1", func(b *testing.B) { benchmarkPrograms(b, costHTTP1) })
	b.Run("http2", func(b *testing.B) { benchmarkPrograms(b, costHTTP2) })
}

func benchmarkPrograms(b *testing.B, speak func() speech) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for b.Loop() {
		before := make(map[ebpf.ProgramID]bool)
		programs(b, func(id ebpf.ProgramID, _ *ebpf.Program) { before[id] = true })
		s := openCost(b)
		asked, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
		if err != nil {
			b.Fatal(err)
		}
		p := newPair(b, speak())
		for range costRounds {
			p.exchanges(costExchanges)
			s.read(b)
		}
		p.close()
		if err := asked.Close(); err != nil {
			b.Fatal(err)
		}
		const ends = 2 * costExchanges * costRounds
		total := 0.0
		b.ReportMetric(0, "ns/op")
		programs(b, func(id ebpf.ProgramID, p *ebpf.Program) {
			if before[id] {
				return
			}
			info, err := p.Info()
			if err != nil {
				b.Fatal(err)
			}
			stats, err := p.Stats()
			if err != nil {
				b.Fatal(err)
			}
			if runs := float64(stats.RunCount) / ends; runs > 0.1 {
				b.ReportMetric(float64(stats.Runtime.Nanoseconds())/float64(stats.RunCount), info.Name+"-ns")
				b.ReportMetric(runs, info.Name+"-runs/end")
			}
			total += float64(stats.Runtime.Nanoseconds()) / ends
		})
		b.ReportMetric(total, "programs-ns/end")
		s.shim.Close()
	}
}

func programs(b *testing.B, do func(ebpf.ProgramID, *ebpf.Program)) {
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if err != nil {
			return // there are no more
		}
		id = next
		if p, err := ebpf.NewProgramFromID(id); err == nil { // else it is gone
			do(id, p)
			p.Close()
		}
	}
}

// costShim is a shim whose ring is read when asked for.
type costShim struct {
	shim   *bpf.Shim
	source *Source
	sent   costRead
	line   []byte
}

type costRead struct {
	ns                float64
	exchanges, allocs uint64
}

func openCost(b *testing.B) *costShim {
	shim, err := bpf.Open()
	if err != nil {
		b.Skipf("SKIPPED: the cost of the shim: %v", err)
	}
	s := &costShim{shim: shim, source: NewSource(shim)}
	s.source.Decoder.Node = "n1"
	if err := s.source.setClock(); err != nil {
		b.Fatal(err)
	}
	s.read(b) // what others did meanwhile; and everything has been allocated
	return s
}

// read takes everything out of the ring, as Run does.
func (s *costShim) read(b *testing.B) costRead {
	s.sent = costRead{}
	sink := func(_ context.Context, batch *event.Batch) error {
		for i := range batch.Events { // as a recording or a bus would
			s.line = batch.Events[i].AppendWire(s.line[:0])
			if batch.Events[i].Kind == event.KindExchange {
				s.sent.exchanges++
			}
		}
		return nil
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := threadTime(b)
	for had := uint64(math.MaxUint64); had != s.source.Events; {
		had = s.source.Events
		if err := s.source.drain(b.Context(), sink); err != nil {
			b.Fatal(err)
		}
		if err := s.source.flush(b.Context(), sink); err != nil {
			b.Fatal(err)
		}
	}
	s.sent.ns = threadTime(b) - begin
	runtime.ReadMemStats(&after)
	s.sent.allocs = after.Mallocs - before.Mallocs
	return s.sent
}

// speech is what both ends of a connection say: first of all, and in an exchange.
type speech struct {
	hello  [2][]byte
	ask    func() []byte
	answer func() []byte
}

const (
	costRequest  = "GET /bench HTTP/1.1\r\nHost: 127.0.0.1:40000\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n"
	costResponse = "HTTP/1.1 200 OK\r\nDate: Thu, 26 Nov 2026 23:02:00 GMT\r\nContent-Length: 5\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello"
)

func costHTTP1() speech {
	request, response := []byte(costRequest), []byte(costResponse)
	return speech{ask: func() []byte { return request }, answer: func() []byte { return response }}
}

func costHTTP2() speech {
	settings := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}
	s := speech{hello: [2][]byte{append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings...), settings}}
	sayer := func(data string, flags byte, stream uint32, pairs ...string) func() []byte {
		var block strings.Builder
		encoder := hpack.NewEncoder(&block)
		return func() []byte {
			block.Reset()
			for i := 0; i < len(pairs); i += 2 {
				_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}) // of a Builder
			}
			frame := func(out []byte, kind, flags byte, payload string) []byte {
				out = append(out, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
				return append(binary.BigEndian.AppendUint32(out, stream), payload...)
			}
			out := frame(nil, frameHeaders, flagEndHeaders|flags, block.String())
			if data != "" {
				out = frame(out, frameData, flagEndStream, data)
			}
			stream += 2
			return out
		}
	}
	s.ask = sayer("", flagEndStream, 1, ":authority", "127.0.0.1:40000", ":method", "GET", ":path", "/bench", ":scheme", "http", "accept-encoding", "gzip", "user-agent", "Go-http-client/2.0")
	s.answer = sayer("hello", 0, 1, ":status", "200", "content-type", "text/plain; charset=utf-8", "content-length", "5", "date", "Thu, 26 Nov 2026 23:02:00 GMT")
	return s
}

// pair is a connection over loopback, both ends without a runtime around them.
type pair struct {
	b    *testing.B
	ends [2]int
	speech
	buf [4096]byte
}

func newPair(b *testing.B, s speech) *pair {
	p := &pair{b: b, speech: s}
	open := func() int {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		return fd
	}
	listener, client := open(), open()
	defer unix.Close(listener)
	if err := unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		b.Fatal(err)
	}
	if err := unix.Listen(listener, 1); err != nil {
		b.Fatal(err)
	}
	at, err := unix.Getsockname(listener)
	if err != nil {
		b.Fatal(err)
	}
	if err := unix.Connect(client, at); err != nil {
		b.Fatal(err)
	}
	server, _, err := unix.Accept(listener)
	if err != nil {
		b.Fatal(err)
	}
	p.ends = [2]int{client, server}
	for _, end := range p.ends {
		if err := unix.SetsockoptInt(end, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			b.Fatal(err)
		}
	}
	for i, hello := range s.hello {
		if len(hello) > 0 {
			p.pass(i, hello)
		}
	}
	return p
}

// pass sends from one end to the other.
func (p *pair) pass(from int, data []byte) {
	if _, err := unix.Write(p.ends[from], data); err != nil {
		p.b.Fatal(err)
	}
	for got := 0; got < len(data); {
		n, err := unix.Read(p.ends[1-from], p.buf[:])
		if err != nil || n == 0 {
			p.b.Fatal(n, err)
		}
		got += n
	}
}

// exchanges returns how much CPU time of this thread they took, in ns.
func (p *pair) exchanges(n int) float64 {
	all := make([][2][]byte, n)
	for i := range all {
		all[i] = [2][]byte{p.speech.ask(), p.speech.answer()}
	}
	begin := threadTime(p.b)
	for i := range all {
		p.pass(0, all[i][0])
		p.pass(1, all[i][1])
	}
	return threadTime(p.b) - begin
}

func (p *pair) close() {
	for _, end := range p.ends {
		unix.Close(end)
	}
}

// threadTime is the CPU time of this thread, in ns.
func threadTime(b *testing.B) float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return float64(t.Nano())
}

// emptyHooks puts programs that only return where the shim's are.
func emptyHooks(b *testing.B) (links []link.Link) {
	root, err := bpf.CgroupRoot()
	if err != nil {
		b.Fatal(err)
	}
	returns := func(spec ebpf.ProgramSpec, result int32) *ebpf.Program {
		spec.License, spec.Instructions = "GPL", asm.Instructions{asm.Mov.Imm(asm.R0, result), asm.Return()}
		p, err := ebpf.NewProgram(&spec)
		if err != nil {
			b.Skipf("SKIPPED: empty programs: %v", err)
		}
		return p
	}
	keep := func(l link.Link, err error) {
		if err != nil {
			b.Skipf("SKIPPED: empty programs: %v", err)
		}
		links = append(links, l)
	}
	for _, at := range []ebpf.AttachType{ebpf.AttachCGroupInetEgress, ebpf.AttachCGroupInetIngress} {
		p := returns(ebpf.ProgramSpec{Type: ebpf.CGroupSKB, AttachType: at}, 1)
		keep(link.AttachCgroup(link.CgroupOptions{Path: root, Attach: at, Program: p}))
		p.Close()
	}
	for _, at := range []string{"sock_send_length", "sock_recv_length"} {
		p := returns(ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: at}, 0)
		keep(link.AttachTracing(link.TracingOptions{Program: p}))
		p.Close()
	}
	return links
}

// calibrate reports what this machine does otherwise.
func calibrate(b *testing.B) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	best := math.Inf(1)
	for range 5 {
		_, took, err := p.Benchmark(make([]byte, 14), 1e6, nil)
		if err != nil {
			b.Fatal(err)
		}
		best = min(best, float64(took.Nanoseconds()))
	}
	b.ReportMetric(best, "return-ns")
	alone := func(name string, do func()) {
		const times = 100000
		best := math.Inf(1)
		for range 5 {
			begin := threadTime(b)
			for range times {
				do()
			}
			best = min(best, (threadTime(b)-begin)/times)
		}
		b.ReportMetric(best, name)
	}
	var data [64]byte
	alone("sha256-ns", func() { sum := sha256.Sum256(data[:]); data[0] = sum[0] })
	alone("syscall-ns", func() { _, _, _ = syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0) })
}
