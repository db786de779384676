package live

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// desk answers 'sennit sinks', 'get' and 'explain' at the address of /metrics, to this
// machine alone.
type desk struct {
	js        jetstream.JetStream
	lanes     []*lane
	timelines func(prefix string, f func(text []byte) error) error
	alerts    func(f func(text []byte) error) error
}

// AskHeader must be in every request to the desk. A page in a browser cannot send
// it to another's address, so none can have alerts sent.
const AskHeader = "Sennit-Ask"

// deskHandler serves the desk once there is one.
func deskHandler(at *atomic.Pointer[desk]) http.Handler {
	mux := http.NewServeMux()
	answer := func(pattern string, f func(*desk, http.ResponseWriter, *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			from, err := netip.ParseAddrPort(r.RemoteAddr)
			switch d := at.Load(); {
			case err != nil || !from.Addr().Unmap().IsLoopback() || !localHost(r.Host) || r.Header.Get(AskHeader) == "":
				http.Error(w, "this is answered to sennit on this machine only", http.StatusForbidden)
			case d == nil:
				http.Error(w, "not ready: recovering, or the bus is away", http.StatusServiceUnavailable)
			default:
				f(d, w, r)
			}
		})
	}
	answer("GET /timelines/{prefix}", (*desk).find)
	answer("GET /alerts", (*desk).told)
	answer("GET /sinks", (*desk).list)
	answer("GET /sinks/{name}/dead", (*desk).dead)
	answer("POST /sinks/{name}/retry", (*desk).retry)
	answer("POST /sinks/{name}/test", (*desk).test)
	return mux
}

// localHost reports whether a Host header names this machine, and no name that was
// made to lead to it.
func localHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

func (d *desk) lane(w http.ResponseWriter, r *http.Request) *lane {
	for _, l := range d.lanes {
		if l.Name == r.PathValue("name") {
			return l
		}
	}
	http.Error(w, "there is no sink of this name: see 'sennit sinks list'", http.StatusNotFound)
	return nil
}

func reply(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // whoever asked has gone
}

// mostFound is how many timelines are given at once.
const mostFound = 200

var errMany = errors.New("too many")

// find writes the closed timelines whose id begins so, one a line.
func (d *desk) find(w http.ResponseWriter, r *http.Request) {
	var out []byte
	n := 0
	err := d.timelines(r.PathValue("prefix"), func(text []byte) error {
		if n++; n > mostFound {
			return errMany
		}
		out = append(append(out, text...), '\n')
		return nil
	})
	switch {
	case errors.Is(err, errMany):
		http.Error(w, "more than "+strconv.Itoa(mostFound)+" timelines begin so: type more of the id", http.StatusConflict)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/x-ndjson")
		_, _ = w.Write(out) // whoever asked has gone
	}
}

// told writes what was last told of the alerts of the last day, one a line, in no
// order. They are small, and as many as there are.
func (d *desk) told(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriter(w)
	err := d.alerts(func(text []byte) error {
		_, err := out.Write(append(text, '\n'))
		return err
	})
	if err = errors.Join(err, out.Flush()); err != nil {
		panic(http.ErrAbortHandler) // what was written must not look whole
	}
}

func (d *desk) list(w http.ResponseWriter, _ *http.Request) {
	list := []fanout.Status{}
	for _, l := range d.lanes {
		list = append(list, l.Status())
	}
	reply(w, list, nil)
}

func (d *desk) dead(w http.ResponseWriter, r *http.Request) {
	l := d.lane(w, r)
	if l == nil {
		return
	}
	list := []bus.Letter{}
	err := bus.Undelivered(r.Context(), d.js, l.Name, func(one *bus.Letter) error {
		list = append(list, *one)
		return nil
	})
	reply(w, list, err)
}

func (d *desk) retry(w http.ResponseWriter, r *http.Request) {
	l := d.lane(w, r)
	if l == nil {
		return
	}
	var sequence uint64
	if text := r.FormValue("number"); text != "" {
		var err error
		if sequence, err = strconv.ParseUint(text, 10, 64); err != nil || sequence == 0 {
			http.Error(w, "number must be one of 'sennit sinks dead'", http.StatusBadRequest)
			return
		}
	}
	n, err := bus.Resend(r.Context(), d.js, l.Name, sequence)
	reply(w, map[string]int{"sent": n}, err)
}

// testPatience is how long a sink may take for a test.
const testPatience = 30 * time.Second

func (d *desk) test(w http.ResponseWriter, r *http.Request) {
	l := d.lane(w, r)
	if l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), testPatience)
	defer cancel()
	a := testAlert(time.Now())
	began := time.Now()
	err := l.Try(ctx, sinks.Record{Kind: sinks.Alert, ID: a.ID, Revision: a.Revision, Data: a.AppendJSON(nil)})
	reply(w, map[string]any{"alert_id": a.ID, "ms": time.Since(began).Milliseconds()}, err)
}

// testAlert says that it is a test. It is of the highest severity, so that no
// receiver passes over it.
func testAlert(now time.Time) *alert.Alert {
	return &alert.Alert{
		ID: "test-" + rand.Text(), RuleID: "sennit_test", Severity: alert.Critical, Title: "A test of this receiver by 'sennit sinks test': nothing happened",
		State: alert.Open, Revision: 1, Time: event.At(now), Exact: true, Confidence: 1, Tags: []string{"test"},
	}
}
