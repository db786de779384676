package receiver

import (
	"cmp"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Limits of what a sender may ask for.
const (
	maxRequest     = 16 << 20  // bytes of one request, unpacked
	maxConnections = 1024      // of each listener
	maxStreams     = 64        // requests at once on one HTTP/2 connection
	maxUnread      = 128 << 10 // bytes of one HTTP/2 connection that nobody has read yet
	drain          = 5 * time.Second
)

// Config says where to listen and what to believe. One of GRPC and HTTP is
// needed, all else has a default.
type Config struct {
	GRPC string // address to listen on, "127.0.0.1:4317"; empty for none
	HTTP string // the same for HTTP, "127.0.0.1:4318"
	// Token is what senders must show ("authorization: Bearer TOKEN"). Without
	// one only loopback addresses are listened on.
	Token  string
	Redact redact.Policy
	// Cluster and Node are where the receiver runs. They complete events that
	// name none. With a Node, events that name another one are refused as
	// forged; a receiver for senders of many nodes has none.
	Cluster, Node string
	// Prove tells what a connection from peer to local proves, once for every
	// request, from several goroutines at once. Nil: nothing, and every span is a
	// mere claim.
	Prove func(peer, local netip.AddrPort) Proof
	// TLS is spoken if it is set; it needs a certificate. Its ClientCAs and
	// ClientAuth say which senders are talked to at all.
	TLS *tls.Config
	// Wait is how long a request may wait for room, 1 s by default, and Read how
	// long it may take to come in, 30 s by default.
	Wait, Read time.Duration
	// Bytes bounds the requests that are being read or wait, unpacked; 64 MiB by
	// default, at least 17 MiB, which one request may need.
	Bytes int64
	// PerPeer is how many connections each listener takes of one address, 256 by
	// default (of 1024 in all).
	PerPeer int
}

// Proof judges the claims that come over a connection. Admit completes a claim with
// what is known and reports whether it stands, and whether the connection proves
// it: then the claim has become what is proven.
type Proof interface {
	Admit(claim *event.Workload) (stands, proven bool)
}

// OwnScope is the instrumentation scope of what Sennit says of itself. Spans of it
// are passed over: taking them in would make more of them.
const OwnScope = "github.com/sennit-io/sennit"

// Counts are records since the start: In = Events + Bad + UnknownType + Forged + Own.
type Counts struct {
	In, Events, Bad, UnknownType uint64
	// Own are spans of OwnScope.
	Own uint64
	// Forged are spans and log records of another workload or node than the one
	// that sent them.
	Forged uint64
	// Busy are requests that were sent away to come again, Failed those whose
	// events the sink could not take. Their records are not among In.
	Busy, Failed uint64
	// Crowded are connections that were closed at once because their peer had
	// Config.PerPeer of them.
	Crowded uint64
}

// Receiver listens for OTLP. Listen makes one.
type Receiver struct {
	cfg        Config
	grpc, http net.Listener
	workers    chan *worker
	room       room
	sink       ingest.Sink

	in, events, bad, unknown, forged, own, busy, failed, crowded atomic.Uint64
}

// ErrToken is returned by Listen for an address that others can reach when
// there is no token for them to show.
var ErrToken = errors.New("not a loopback address: set a token, or listen on 127.0.0.1")

// Check reports why Listen would refuse the addresses, without taking them.
func (c *Config) Check() error {
	if c.GRPC == "" && c.HTTP == "" {
		return errors.New("listen for OTLP: name an address for gRPC or HTTP")
	}
	for over, addr := range map[string]string{"gRPC": c.GRPC, "HTTP": c.HTTP} {
		if addr == "" {
			continue
		}
		if _, err := resolve(addr, c.Token); err != nil {
			return fmt.Errorf("listen for OTLP over %s on %s: %w", over, addr, err)
		}
	}
	return nil
}

// Listen opens the listeners, so that an address which cannot be had is known at
// once. Requests wait until Run.
func Listen(cfg Config) (*Receiver, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg.Wait, cfg.Read = cmp.Or(cfg.Wait, time.Second), cmp.Or(cfg.Read, 30*time.Second)
	cfg.Bytes, cfg.PerPeer = cmp.Or(cfg.Bytes, 64<<20), cmp.Or(cfg.PerPeer, maxConnections/4)
	if cfg.Bytes < maxRequest+1<<20 {
		return nil, fmt.Errorf("listen for OTLP: room for %d bytes is less than one request may need, %d", cfg.Bytes, maxRequest+1<<20)
	}
	r := &Receiver{cfg: cfg, room: room{semaphore.NewWeighted(cfg.Bytes)}}
	var err error
	if r.grpc, err = r.listen(cfg.GRPC); err != nil {
		return nil, fmt.Errorf("listen for OTLP over gRPC on %s: %w", cfg.GRPC, err)
	}
	if r.http, err = r.listen(cfg.HTTP); err != nil {
		r.Close()
		return nil, fmt.Errorf("listen for OTLP over HTTP on %s: %w", cfg.HTTP, err)
	}
	n := runtime.GOMAXPROCS(0)
	r.workers = make(chan *worker, n)
	for range n {
		w := new(worker)
		w.dec.Redact = cfg.Redact
		r.workers <- w
	}
	return r, nil
}

// resolve finds an address that may be listened on.
func resolve(addr, token string) (*net.TCPAddr, error) {
	at, err := net.ResolveTCPAddr("tcp", addr)
	if err == nil && token == "" && !at.IP.IsLoopback() {
		err = ErrToken
	}
	return at, err
}

func (r *Receiver) listen(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	at, err := resolve(addr, r.cfg.Token)
	if err != nil {
		return nil, err
	}
	l, err := net.ListenTCP("tcp", at)
	if err != nil {
		return nil, err
	}
	return limited(l, r.cfg.PerPeer, &r.crowded), nil
}

// GRPCAddr is the address listened on for gRPC, nil for none.
func (r *Receiver) GRPCAddr() net.Addr { return addr(r.grpc) }

// HTTPAddr is the address listened on for HTTP, nil for none.
func (r *Receiver) HTTPAddr() net.Addr { return addr(r.http) }

func addr(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}

// Close gives the addresses back without Run.
func (r *Receiver) Close() {
	for _, l := range []net.Listener{r.grpc, r.http} {
		if l != nil {
			l.Close()
		}
	}
}

// Counts returns the counts so far.
func (r *Receiver) Counts() Counts {
	return Counts{
		In: r.in.Load(), Events: r.events.Load(), Bad: r.bad.Load(), UnknownType: r.unknown.Load(),
		Forged: r.forged.Load(), Own: r.own.Load(), Busy: r.busy.Load(), Failed: r.failed.Load(), Crowded: r.crowded.Load(),
	}
}

// Run serves until ctx ends, then lets requests under way finish for 5 s. It
// returns nil after ctx, else why it could not go on. A Receiver runs once.
func (r *Receiver) Run(ctx context.Context, sink ingest.Sink) error {
	r.sink = sink
	g, ctx := errgroup.WithContext(ctx)
	for _, one := range []struct {
		listener net.Listener
		handler  func() http.Handler
		http1    bool
	}{{r.grpc, r.grpcHandler, false}, {r.http, r.httpHandler, true}} {
		if one.listener == nil {
			continue
		}
		s := r.server(one.handler(), one.http1)
		g.Go(func() error {
			serve := func() error { return s.Serve(one.listener) }
			if s.TLSConfig != nil {
				serve = func() error { return s.ServeTLS(one.listener, "", "") }
			}
			if err := serve(); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve OTLP on %s: %w", one.listener.Addr(), err)
			}
			return nil
		})
		g.Go(func() error {
			<-ctx.Done()
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
			defer cancel()
			if s.Shutdown(late) != nil {
				s.Close() // what is still under way is brought again
			}
			return nil
		})
	}
	return g.Wait()
}

// server is what one listener is served by. gRPC is HTTP/2 alone.
func (r *Receiver) server(handler http.Handler, http1 bool) *http.Server {
	s := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: min(10*time.Second, r.cfg.Read),
		ReadTimeout:       r.cfg.Read,
		WriteTimeout:      r.cfg.Read + 30*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // what strangers send is no news
		Protocols:         new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: maxUnread, MaxReceiveBufferPerStream: maxUnread,
			SendPingTimeout: time.Minute, // finds peers that have gone without a word
		},
	}
	s.Protocols.SetHTTP1(http1)
	s.Protocols.SetHTTP2(r.cfg.TLS != nil)
	s.Protocols.SetUnencryptedHTTP2(r.cfg.TLS == nil && !http1)
	if r.cfg.TLS != nil {
		s.TLSConfig = r.cfg.TLS.Clone()
	}
	return s
}

// ends are those of a connection, an IPv4 address written as one however the socket
// names it.
type ends struct{ peer, local netip.AddrPort }

func endsOf(req *http.Request) ends {
	a, _ := netip.ParseAddrPort(req.RemoteAddr)
	e := ends{peer: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}
	if tcp, ok := req.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		a = tcp.AddrPort()
		e.local = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return e
}

func (r *Receiver) authorized(header string) bool {
	return r.cfg.Token == "" || subtle.ConstantTimeCompare([]byte(header), []byte("Bearer "+r.cfg.Token)) == 1
}
