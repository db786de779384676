package webhook_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/fanout"
	"github.com/sennit-io/sennit/sinks/webhook"
)

// trouble is a receiver of bad days: it refuses, asks to wait, resets connections,
// before or after it took an alert, takes too long, and is away for a while.
type trouble struct {
	t        *testing.T
	verifier *standardwebhooks.Webhook
	addr     string
	hang     time.Duration

	mu     sync.Mutex
	random *rand.Rand
	calls  int
	took   map[string][]uint32 // revisions, by alert
	server *http.Server
}

func (r *trouble) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	if err := r.verifier.Verify(body, req.Header); err != nil {
		r.t.Error(err)
	}
	r.mu.Lock()
	r.calls++
	mood := r.random.IntN(10)
	if r.calls%60 == 0 {
		go r.restart()
	}
	if mood != 0 && mood != 1 && mood != 2 {
		var e struct {
			Data struct {
				Unmapped struct{ Sennit alert.Alert }
			}
		}
		if err := json.Unmarshal(body, &e); err != nil {
			r.t.Error(err)
		}
		a := e.Data.Unmapped.Sennit
		r.took[a.ID] = append(r.took[a.ID], a.Revision)
	}
	r.mu.Unlock()
	switch mood {
	case 0:
		w.WriteHeader(http.StatusInternalServerError)
	case 1:
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
	case 2, 3: // without and with the alert
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			r.t.Error(err)
			return
		}
		c.Close()
	case 4:
		time.Sleep(r.hang)
	}
}

// start listens where it did before.
func (r *trouble) start() {
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Error(err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addr = l.Addr().String()
	r.server = &http.Server{Handler: r, ErrorLog: log.New(io.Discard, "", 0)}
	go r.server.Serve(l)
}

func (r *trouble) restart() {
	r.mu.Lock()
	server := r.server
	r.mu.Unlock()
	server.Close()
	time.Sleep(50 * time.Millisecond)
	r.start()
}

// Whatever a receiver does, it gets each revision of each alert, in order, signed.
func TestBadDays(t *testing.T) {
	verifier, err := standardwebhooks.NewWebhook(oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	r := &trouble{t: t, verifier: verifier, addr: "127.0.0.1:0", hang: 150 * time.Millisecond, random: rand.New(rand.NewPCG(6, 1)), took: map[string][]uint32{}}
	r.start()
	defer func() { r.server.Close() }()
	s := open(t, webhook.Config{URL: "http://" + r.addr, Secrets: secrets(t, oldSecret), Timeout: 50 * time.Millisecond, Pause: 20 * time.Millisecond})
	const alerts, revisions = 60, 3
	q := fanout.NewQueue(func(yield func(sinks.Record, error) bool) {
		for revision := range uint32(revisions) {
			for id := range alerts {
				a := sample()
				a.ID, a.Revision = fmt.Sprint("alert", id), revision+1
				if !yield(record(a), nil) {
					return
				}
			}
		}
	})
	l := fanout.New(fanout.Config{
		Name: "s", Sink: s, Takes: []sinks.Kind{sinks.Alert}, Wants: s.Takes, BatchCount: 1,
		FirstRetry: 5 * time.Millisecond, LastRetry: 100 * time.Millisecond,
	})
	began := time.Now()
	if err := l.Run(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if err := q.Err(); err != nil {
		t.Error(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Logf("%d calls for %d revisions in %v: %+v", r.calls, alerts*revisions, time.Since(began).Round(time.Millisecond), l.Status())
	for id := range alerts {
		took := r.took[fmt.Sprint("alert", id)]
		var distinct []string
		for i, revision := range took {
			if i > 0 && revision < took[i-1] {
				t.Errorf("alert %d came as %v", id, took)
			}
			if i == 0 || revision != took[i-1] {
				distinct = append(distinct, fmt.Sprint(revision))
			}
		}
		if strings.Join(distinct, "") != "123" {
			t.Errorf("alert %d came as %v", id, took)
		}
	}
	if r.calls < alerts*revisions*5/4 {
		t.Errorf("%d calls: the receiver had no bad day", r.calls)
	}
}
