package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ops serves what an operator asks: /healthz (the process lives), /readyz (it
// reads from the bus), /metrics, and, to this machine, /sinks.
type ops struct {
	registry *prometheus.Registry
	metrics  *Metrics
	ready    atomicReady
	desk     atomic.Pointer[desk]
	listener net.Listener
	server   *http.Server
}

func listenOps(addr string) (*ops, error) {
	o := &ops{registry: prometheus.NewRegistry()}
	o.metrics = NewMetrics(o.registry)
	if addr == "" {
		return o, nil
	}
	var err error
	if o.listener, err = net.Listen("tcp", addr); err != nil {
		return nil, fmt.Errorf("listen for /healthz and /metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !o.ready.now() {
			http.Error(w, "not ready: recovering, or the bus is away", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{}))
	mux.Handle("/sinks", deskHandler(&o.desk))
	mux.Handle("/sinks/", deskHandler(&o.desk))
	o.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return o, nil
}

func (o *ops) address() string {
	if o.listener == nil {
		return ""
	}
	return address(o.listener.Addr())
}

func address(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func (o *ops) run(ctx context.Context) error {
	if o.listener == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, o.close)
	defer stop()
	if err := o.server.Serve(o.listener); !errors.Is(err, http.ErrServerClosed) && ctx.Err() == nil {
		return fmt.Errorf("serve /healthz and /metrics: %w", err)
	}
	return nil
}

func (o *ops) close() {
	if o.server != nil {
		o.server.Close()
		o.listener.Close()
	}
}

// atomicReady asks whoever knows whether the service is ready; nobody does in the
// beginning.
type atomicReady struct{ ask atomic.Pointer[func() bool] }

func (r *atomicReady) when(f func() bool) { r.ask.Store(&f) }

func (r *atomicReady) now() bool {
	f := r.ask.Load()
	return f != nil && (*f)()
}
