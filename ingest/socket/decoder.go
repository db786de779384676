package socket

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/ingest/k8s/pods"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// maxConns bounds what is remembered of open connections: about 400 bytes each.
const maxConns = 1 << 18

// Decoder turns records of the shim into events. Not for concurrent use.
type Decoder struct {
	// Node, Cluster and Boot are written into every event.
	Node, Cluster string
	Boot          event.BootID
	Redact        redact.Policy
	// Own are addresses on which the observer itself takes events: connections to
	// them are not told, or every report would be reported. An unspecified address
	// stands for all.
	Own []netip.AddrPort
	// Cgroups tells which pod and container a socket or process is of; nil for
	// nobody's.
	Cgroups *pods.Cgroups
	// Pods tells the names of pods and containers; nil for uids alone.
	Pods *pods.Directory
	// Offset is wall clock minus boot clock.
	Offset time.Duration
	// Forgotten counts connections that were dropped for want of room,
	// Unreadable the packets that only looked like a head, Unknown the header
	// blocks of HTTP/2 that refer to what was not seen.
	Forgotten, Unreadable, Unknown uint64

	conns   map[uint64]*conn
	http2   map[uint64]*http2
	waiting map[uint64]struct{} // connections of which records are held
	spare   []*stream
	forks   map[uint32]bpf.Process // that have not been told, by pid
	answers answers
	plain   uint64 // answers to a client's POST outside TLS
	literal literal
	strings scan.Recent
	hasher  redact.Hasher
	hash    event.Hasher
	buf     []byte
}

// Decode appends the events of one record: none, one or two.
func (d *Decoder) Decode(r *bpf.Record, b *event.Batch) {
	switch r.Kind {
	case bpf.KindOpen, bpf.KindOwner, bpf.KindClose, bpf.KindStanding:
		d.socket(r.Kind, r.Socket, b)
	case bpf.KindBurst:
		if c := d.conns[r.Socket.Cookie]; c != nil {
			d.burst(r.Socket, c, b)
		}
	case bpf.KindQuiet:
		if c := d.conns[r.Socket.Cookie]; c != nil && !c.plain {
			d.progress(r.Socket.Cookie, c, &r.Socket.Progress, b)
		}
	case bpf.KindPlain:
		if c := d.conns[r.Head.Cookie]; c != nil && c.plain {
			c.text = r.Head.Before
			d.progress(r.Head.Cookie, c, &c.text, b)
		}
	case bpf.KindRequest:
		d.request(r, b)
	case bpf.KindResponse:
		d.response(r, b)
	case bpf.KindBody:
		if c := d.conns[r.Head.Cookie]; c != nil && c.plain && int(r.Head.Direction) != c.outgoing() {
			d.body(&c.x, r.Head.Seq, r.Data)
		}
	case bpf.KindFrame:
		d.frame(r, b)
	case bpf.KindHello:
		d.hello(r, b)
	case bpf.KindExec, bpf.KindRunning, bpf.KindExit:
		delete(d.forks, r.Process.Self.Pid)
		d.process(r, b)
	case bpf.KindFork:
		d.fork(r.Process)
	}
}

// add begins an event whose id is made of its kind, its node's boot and parts.
func (d *Decoder) add(b *event.Batch, k event.Kind, at uint64, parts ...uint64) *event.Event {
	e := b.Add(k, event.SourceSocket)
	e.Cluster, e.Node, e.Boot, e.Time = d.Cluster, d.Node, d.Boot, d.wall(at)
	h := d.hash.Reset(k).String(d.Node).Bytes(d.Boot[:]).Uint(at)
	for _, p := range parts {
		h.Uint(p)
	}
	e.ID = h.Sum()
	return e
}

// longest is beyond any time since boot; what says more is damage, not a time.
const longest = uint64(100 * 365 * 24 * time.Hour)

// wall converts a time since boot, 0 and damage as unknown.
func (d *Decoder) wall(boot uint64) event.Time {
	if boot == 0 || boot > longest {
		return 0
	}
	return event.Time(boot).Add(d.Offset)
}

// workload is that of a container as far as it is known now.
func (d *Decoder) workload(of pods.Container) event.Workload {
	w, known := d.Pods.Of(of)
	if !known {
		w.PodUID = of.PodUID
	}
	w.Cluster, w.Node = d.Cluster, d.Node
	return w
}

// conn returns what is known of a connection, from now on if it is new.
func (d *Decoder) conn(cookie uint64) *conn {
	c := d.conns[cookie]
	if c != nil {
		return c
	}
	if d.conns == nil {
		d.conns = make(map[uint64]*conn)
	}
	for old := range d.conns { // their ends must have been lost
		if len(d.conns) < maxConns {
			break
		}
		d.answers.put(&d.conns[old].x.answer)
		delete(d.conns, old)
		d.forget(old)
		d.Forgotten++
	}
	c = &conn{}
	d.conns[cookie] = c
	return c
}

// Kernel numbers of errors that mean "not accepted" (asm-generic/errno.h).
const (
	errnoReset   = 104
	errnoRefused = 111
)

func (d *Decoder) socket(k bpf.Kind, r *bpf.Socket, b *event.Batch) {
	c := d.conn(r.Cookie)
	if t := tuple(r); t.Complete() || c.tuple.IsZero() {
		c.tuple = t
	}
	c.process = event.ProcessRef{PID: r.Owner.Pid, StartNS: r.Owner.Start}
	d.forked(r.Owner.Pid, b)
	if c.of == (pods.Container{}) {
		c.of, _ = d.Cgroups.Of(event.CgroupID(r.Cgroup))
	}
	if r.Role != bpf.RoleUnknown {
		c.role = event.Role(r.Role)
	}
	if c.own = c.own || d.own(c.tuple); c.own {
		c.opaque = true
		if k == bpf.KindClose {
			delete(d.conns, r.Cookie)
			delete(d.http2, r.Cookie)
		}
		return
	}
	kind := event.KindSocketOpen
	switch {
	case k == bpf.KindOwner, k == bpf.KindStanding:
		kind = event.KindSocketOwner
	case k == bpf.KindClose:
		kind = event.KindSocketClose
		d.end(r, c, b)
		d.burst(r, c, b)
		d.endStreams(r.Cookie, c, b)
		delete(d.conns, r.Cookie)
	}
	p := b.NewSocket()
	*p = event.Socket{
		Cookie: event.SocketCookie(r.Cookie), Addr: event.SockAddr(r.Address), Netns: r.Netns, Cgroup: event.CgroupID(r.Cgroup),
		Tuple: c.tuple, Original: original(r, c.tuple.Dst), Role: c.role, Process: c.process, TID: r.Owner.Tid, Workload: d.workload(c.of), Opened: d.wall(r.Opened),
	}
	if k == bpf.KindClose {
		p.BytesOut, p.BytesIn, p.Retrans, p.SRTTUS = r.BytesOut, r.BytesIn, r.Retransmits, r.SrttUs
		if r.Error == errnoReset || r.Error == errnoRefused || r.Established == 0 {
			p.Verdict = event.VerdictReset
		}
	}
	d.add(b, kind, r.Time, r.Cookie).Payload = p
}

func (d *Decoder) own(t event.Tuple) bool {
	for _, a := range d.Own {
		for _, end := range [...]netip.AddrPort{t.Src, t.Dst} {
			if end == a || a.Addr().IsUnspecified() && end.Port() == a.Port() {
				return true
			}
		}
	}
	return false
}

func tuple(r *bpf.Socket) event.Tuple {
	return event.Tuple{
		Proto: event.ProtoTCP,
		Src:   netip.AddrPortFrom(address(uint16(r.Family), r.Local), r.LocalPort), Dst: netip.AddrPortFrom(address(uint16(r.Family), r.Peer), r.PeerPort),
	}
}

func address(family uint16, b [16]byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b).Unmap()
}

// original is where the process wanted to connect to, if that is not the peer. Who
// asks for no address in particular gets this machine: nobody translated that.
func original(r *bpf.Socket, peer netip.AddrPort) netip.AddrPort {
	if r.Asked.Family == 0 {
		return netip.AddrPort{}
	}
	asked := netip.AddrPortFrom(address(r.Asked.Family, r.Asked.Address), r.Asked.Port)
	if asked == peer || asked.Addr().IsUnspecified() {
		return netip.AddrPort{}
	}
	return asked
}

func (d *Decoder) hello(r *bpf.Record, b *event.Batch) {
	h, ok := parseHello(r.Data)
	if !ok {
		d.Unreadable++
		return
	}
	c := d.conn(r.Head.Cookie)
	if c.opaque {
		return // of a connection inside, or sent again
	}
	c.opaque, c.hello = true, true
	p := b.NewTLSHello()
	p.Cookie, p.Tuple = event.SocketCookie(r.Head.Cookie), c.tuple
	p.SNI = d.strings.String(h.name)
	d.buf = h.alpn(d.buf[:0])
	p.ALPN = d.strings.String(d.buf)
	d.add(b, event.KindTLSHello, r.Head.Time, r.Head.Cookie).Payload = p
}
