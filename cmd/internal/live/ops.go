package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// ops serves what an operator asks: /healthz (the process lives), /readyz (it
// reads from the bus), /metrics, and, to this machine, /sinks, /alerts and /timelines; and, apart from them,
// profiles of the process.
type ops struct {
	registry *prometheus.Registry
	metrics  *Metrics
	ready    readiness
	desk     atomic.Pointer[desk]
	http     *endpoint // nil for none, as pprof
	pprof    *endpoint
}

// ErrOpen says that an address can be reached by others than this machine.
var ErrOpen = errors.New("not a loopback address")

// Check reports why the addresses would be refused, without taking them.
func (s *Service) Check() error {
	if _, err := resolve(s.HTTP, s.HTTPOpen); err != nil {
		if errors.Is(err, ErrOpen) {
			err = fmt.Errorf("%w: listen on 127.0.0.1, or say that anybody who reaches it may ask (--http-open)", err)
		}
		return fmt.Errorf("listen for /healthz and /metrics: %w", err)
	}
	if _, err := resolve(s.PProf, false); err != nil {
		if errors.Is(err, ErrOpen) {
			err = fmt.Errorf("%w: profiles show what is in memory, listen on 127.0.0.1", err)
		}
		return fmt.Errorf("listen for profiles: %w", err)
	}
	return nil
}

func listenOps(s *Service) (*ops, error) {
	o := &ops{registry: prometheus.NewRegistry()}
	o.metrics = NewMetrics(o.registry)
	if err := s.Check(); err != nil {
		return nil, err
	}
	var err error
	if o.http, err = listen(s.HTTP, o.answers(), s.HTTPOpen); err != nil {
		return nil, fmt.Errorf("listen for /healthz and /metrics: %w", err)
	}
	if o.pprof, err = listen(s.PProf, profiles(), false); err != nil {
		o.close()
		return nil, fmt.Errorf("listen for profiles: %w", err)
	}
	return o, nil
}

func (o *ops) answers() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.ready.now(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{}))
	mux.Handle("/timelines/", deskHandler(&o.desk))
	mux.Handle("/alerts", deskHandler(&o.desk))
	mux.Handle("/sinks", deskHandler(&o.desk))
	mux.Handle("/sinks/", deskHandler(&o.desk))
	return mux
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

func (o *ops) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, o.close)
	defer stop()
	var g errgroup.Group
	for _, e := range []*endpoint{o.http, o.pprof} {
		g.Go(func() error {
			if err := e.serve(); err != nil && ctx.Err() == nil {
				return fmt.Errorf("serve /healthz, /metrics and profiles: %w", err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (o *ops) close() {
	o.http.close()
	o.pprof.close()
}

// endpoint is an address that is listened on; nil is none.
type endpoint struct {
	listener net.Listener
	server   *http.Server
}

// resolve finds an address, nil for none, which others may reach only if that is
// meant.
func resolve(addr string, open bool) (*net.TCPAddr, error) {
	if addr == "" {
		return nil, nil
	}
	at, err := net.ResolveTCPAddr("tcp", addr)
	if err == nil && !open && !at.IP.IsLoopback() {
		err = fmt.Errorf("%s is %w", addr, ErrOpen)
	}
	return at, err
}

func listen(addr string, h http.Handler, open bool) (*endpoint, error) {
	at, err := resolve(addr, open)
	if at == nil || err != nil {
		return nil, err
	}
	l, err := net.ListenTCP("tcp", at)
	if err != nil {
		return nil, err
	}
	return &endpoint{l, &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}}, nil
}

func (e *endpoint) serve() error {
	if e == nil {
		return nil
	}
	if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (e *endpoint) close() {
	if e != nil {
		e.server.Close()
		e.listener.Close()
	}
}

func (e *endpoint) address() string {
	if e == nil {
		return ""
	}
	return address(e.listener.Addr())
}

func address(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
