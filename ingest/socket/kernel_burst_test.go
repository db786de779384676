package socket

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// bursts are those of an address's connections.
func (w *watched) bursts(at netip.AddrPort, role event.Role) (found []*event.Event) {
	for i := range w.events {
		if p, ok := w.events[i].Payload.(*event.Exchange); ok && w.events[i].Kind == event.KindBurst && p.Role == role && (p.Tuple.Src == at || p.Tuple.Dst == at) {
			found = append(found, &w.events[i])
		}
	}
	return found
}

// alike compares with the statistics of TCP, which count the end of the connection, or
// do not, and not the alert that a peer did not wait for.
func alike(tcp, bursts uint64) bool { return max(tcp, bursts)-min(tcp, bursts) < 64 }

// What goes over TLS that nobody looks into is told in bursts, of both ends: when,
// and how many bytes, none twice and none left out. Within a connection whose text is
// seen there are none.
func TestKernelBurst(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("SKIPPED: nothing goes over TLS: no curl")
	}
	const size, wait = 50000, 30 * time.Millisecond
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(wait)
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	}))
	defer server.Close()
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	ask := func() {
		args := []string{"-sSk", "--http1.1", "-d", strings.Repeat("a secret prompt ", 200)}
		for _, path := range []string{"/1", "/2", "/3"} {
			args = append(args, "-o", os.DevNull, server.URL+path)
		}
		if out, err := exec.Command(curl, args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	w := watch(t, ask)
	for _, role := range []event.Role{event.RoleClient, event.RoleServer} {
		all, closed := w.bursts(at, role), w.sockets(event.KindSocketClose, at, role)
		if len(closed) != 1 {
			t.Fatalf("%s: %d connections", role, len(closed))
		}
		var out, in uint64
		answered, last := 0, event.Time(0)
		for _, e := range all {
			p := e.Payload.(*event.Exchange)
			out, in = out+p.BytesOut, in+p.BytesIn
			if sent, asked := p.BytesIn, p.BytesOut; role == event.RoleServer {
				if p.BytesOut > size && p.BytesOut < size+5000 && p.BytesIn > 3200 {
					answered++
				}
			} else if sent > size && sent < size+5000 && asked > 3200 {
				answered++
			}
			if p.Start < last || p.FirstByte <= p.Start || e.Time < p.FirstByte || p.Cookie != closed[0].Cookie || p.Process != closed[0].Process || p.Ordinal != 0 || p.HTTP != (event.HTTP{}) {
				t.Errorf("%s: a burst after %v: %s", role, last, e.AppendJSON(nil))
			}
			if p.BytesIn+p.BytesOut > size && e.Time.Sub(p.Start) < wait {
				t.Errorf("%s: an answer that took %v came within %v", role, wait, e.Time.Sub(p.Start))
			}
			last = e.Time
		}
		// The handshake is with the first one, or apart from it on a slow machine.
		if answered != 3 || len(all) > 6 || !alike(closed[0].BytesOut, out) || !alike(closed[0].BytesIn, in) {
			t.Errorf("%s: %d bursts, %d with an answer; %d bytes out and %d in, want %d and %d", role, len(all), answered, out, in, closed[0].BytesOut, closed[0].BytesIn)
		}
	}

	inside := watch(t, ask, libssl(t, curl))
	if c, _ := inside.exchanges("/2"); len(c) != 1 {
		t.Errorf("%d exchanges within TLS", len(c))
	}
	for _, e := range inside.bursts(at, event.RoleClient) {
		// What came before the text was known is the handshake at most.
		if p := e.Payload.(*event.Exchange); p.BytesIn > size {
			t.Errorf("a burst of a connection whose text is seen: %s", e.AppendJSON(nil))
		}
	}
}

// A client that asks without a pause is told of in a bounded number of bursts, and a
// connection that stays open is told of when it falls silent.
func TestKernelBurstBounded(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	const requests = 2000
	var took time.Duration
	quiet := 0
	w := watchWith(t, func(w *watched) {
		began := time.Now()
		for range requests {
			r, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			r.Body.Close()
		}
		took = time.Since(began)
		time.Sleep(time.Second)
		w.mu.Lock()
		quiet = len(w.bursts(at, event.RoleClient))
		w.mu.Unlock()
		server.Client().CloseIdleConnections()
	})
	all := w.bursts(at, event.RoleClient)
	var in uint64
	for _, e := range all {
		in += e.Payload.(*event.Exchange).BytesIn
	}
	most := int(took/(10*time.Millisecond)) + 3
	if closed := w.sockets(event.KindSocketClose, at, event.RoleClient); len(closed) != 1 || !alike(closed[0].BytesIn, in) {
		t.Errorf("%d bytes in bursts, want %d", in, closed[0].BytesIn)
	}
	if quiet == 0 || quiet > most || len(all) > quiet+1 {
		t.Errorf("%d bursts before the end and %d in all of %d requests in %v, want at most %d", quiet, len(all), requests, took, most)
	}
}
