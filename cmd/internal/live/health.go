package live

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// readiness says why a service is not ready.
type readiness struct{ ask atomic.Pointer[func() error] }

var errStarting = errors.New("starting: the state is read, or the bus is waited for")

// when asks whoever knows.
func (r *readiness) when(f func() error) { r.ask.Store(&f) }

// now is nil if the service is ready.
func (r *readiness) now() error {
	if f := r.ask.Load(); f != nil {
		return (*f)()
	}
	return errStarting
}

// busHealth is what a client of the bus knows of it.
type busHealth struct {
	log *slog.Logger
	// trouble is why the bus does not take what is sent to it, nil if it does. Set
	// before anything is sent.
	trouble func() error

	mu       sync.Mutex
	conn     *nats.Conn
	refused  error // the server's last "you may not"
	at       time.Time
	refusals uint64
	now      trouble // what tell looks at
	looks    int     // of tell since it began
	told     trouble // what was told last
}

// trouble is what may be wrong with a bus.
type trouble int

const (
	noTrouble trouble = iota
	busAway
	busRefuses
)

// longTrouble is after how many looks at it a trouble is told: shorter ones come
// with every reconnect.
const longTrouble = 3

// refusedFor is how long a refusal counts: what is refused is tried again before.
const refusedFor = 15 * time.Second

var (
	errBusAway    = errors.New("the bus is away")
	errBusRefuses = errors.New("the bus does not take events")
)

func (h *busHealth) connected(nc *nats.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn = nc
}

// refuse notes that the server does not allow something.
func (h *busHealth) refuse(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused, h.at = err, time.Now()
	h.refusals++
}

// check is nil if the bus takes what is sent, as far as is known.
func (h *busHealth) check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil || !h.conn.IsConnected() {
		err := errBusAway
		if h.conn != nil && h.conn.LastError() != nil {
			err = fmt.Errorf("%w: %w", err, h.conn.LastError())
		}
		return err
	}
	var err error
	if h.trouble != nil {
		err = h.trouble()
	}
	if time.Since(h.at) < refusedFor { // it says more than an answer that does not come
		err = h.refused
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errBusRefuses, err)
}

// tell logs when trouble has begun or ended; it looks once a second.
func (h *busHealth) tell() {
	err := h.check()
	h.mu.Lock()
	defer h.mu.Unlock()
	now := noTrouble
	switch {
	case errors.Is(err, errBusAway):
		now = busAway
	case err != nil:
		now = busRefuses
	}
	if now != h.now {
		h.now, h.looks = now, 0
	}
	if now == noTrouble {
		if h.told != noTrouble {
			h.told = noTrouble
			h.log.Info("the bus takes events again")
		}
		return
	}
	if h.looks++; h.looks != longTrouble || h.told == now {
		return
	}
	h.told = now
	if now == busAway {
		h.log.Error("events are kept here, as long as there is room: the bus cannot be reached, or does not let this user in", "error", err)
	} else {
		h.log.Error("events are kept here, as long as there is room: see the permissions of this user of the bus ('sennit nats-config'), and whether a processor has made its streams", "error", err)
	}
}

// counts returns whether the bus is connected and takes what is sent, and how often
// it refused.
func (h *busHealth) counts() (connected, takes bool, refusals uint64) {
	err := h.check()
	h.mu.Lock()
	defer h.mu.Unlock()
	return !errors.Is(err, errBusAway), err == nil, h.refusals
}
