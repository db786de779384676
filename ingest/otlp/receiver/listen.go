package receiver

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/net/netutil"
)

// peerLimit is a listener that keeps one peer from taking all connections.
type peerLimit struct {
	net.Listener
	most    int // connections of one peer
	refused *atomic.Uint64

	mu   sync.Mutex
	open map[netip.Prefix]int
}

func limited(l net.Listener, most int, refused *atomic.Uint64) net.Listener {
	return netutil.LimitListener(&peerLimit{Listener: l, most: most, refused: refused, open: map[netip.Prefix]int{}}, maxConnections)
}

// Accept closes the connections of peers that have enough of them.
func (l *peerLimit) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := peerPrefix(c.RemoteAddr())
		l.mu.Lock()
		ok := l.open[from] < l.most
		if ok {
			l.open[from]++
		}
		l.mu.Unlock()
		if ok {
			return &peerConn{Conn: c, close: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		l.refused.Add(1)
		c.Close()
	}
}

func (l *peerLimit) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

// peerPrefix is whose an address is: of IPv6, a host has the last 64 bits.
func peerPrefix(a net.Addr) netip.Prefix {
	from, _ := netip.ParseAddrPort(a.String())
	ip, bits := from.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}

type peerConn struct {
	net.Conn
	close func()
}

func (c *peerConn) Close() error {
	c.close()
	return c.Conn.Close()
}
