package live

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ops serves what an operator asks: /healthz (the process lives), /readyz (it
// reads from the bus) and /metrics.
type ops struct {
	listener net.Listener
	server   *http.Server
}

func listenOps(addr string, r *prometheus.Registry, ready func() bool) (*ops, error) {
	if addr == "" {
		return &ops{}, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for /healthz and /metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "not reading from the bus: recovering, or the bus is away", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return &ops{l, &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}}, nil
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
