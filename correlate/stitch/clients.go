package stitch

import (
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// clients is who asked, as each kind of evidence has it; zero for unknown. They are
// not the same thing: a proxy between them makes the peer another than the one whom
// the load balancer saw, and a header in between may say anything.
type clients [clientKinds]netip.Addr

// Kinds of evidence of a client, the best first.
const (
	clientEdge = iota // the load balancer's log
	clientTold        // client.address of the server's span: often of a forwarded header
	clientPeer        // the other end of the connection
	clientKinds
)

// String is the best that is known, empty for nothing.
func (c *clients) String() string {
	for _, a := range c {
		if a.IsValid() {
			return a.String()
		}
	}
	return ""
}

// differ reports whether two requests are known to be of different clients: only like
// is compared with like, and a load balancer is nobody's client. Where the balancer
// logs a sample of the requests, who sent the others is not known by their connections.
func (c *clients) differ(o *clients) bool {
	for k := range c {
		a, b := c[k], o[k]
		if a.IsValid() && b.IsValid() && !fromBalancer(a) && !fromBalancer(b) {
			return a != b
		}
	}
	return false
}

// balanced reports whether a load balancer sent the request.
func (c *clients) balanced() bool {
	return fromBalancer(c[clientTold]) || fromBalancer(c[clientPeer])
}

// asked takes from a step that took a request in who sent it.
func (f *forest) asked(n int32, c *clients) {
	take := func(kind int, a netip.Addr) {
		if !c[kind].IsValid() {
			c[kind] = a.Unmap()
		}
	}
	for i := f.nodes[n].first; i != none; i = f.next[i] {
		switch p := f.rows[i].Event.Payload.(type) {
		case *event.Span:
			take(clientTold, p.Client)
			take(clientPeer, p.Peer.Addr())
		case *event.Exchange:
			if p.Role == event.RoleServer {
				take(clientPeer, p.Tuple.Dst.Addr())
			}
		case *event.HTTPFlow:
			take(clientPeer, p.Tuple.Src.Addr())
		}
	}
}

// Google's load balancers reach backends from these ranges
// (cloud.google.com/load-balancing/docs/firewall-rules).
var balancers = [...]netip.Prefix{netip.MustParsePrefix("35.191.0.0/16"), netip.MustParsePrefix("130.211.0.0/22")}

// fromBalancer reports whether an address is a load balancer's.
func fromBalancer(a netip.Addr) bool {
	for _, p := range balancers {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
