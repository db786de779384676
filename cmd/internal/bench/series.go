package bench

import (
	"context"
	"runtime/metrics"
	"sync"
	"time"
)

// Sample is how things stood at one moment.
type Sample struct {
	Seconds   float64 `json:"seconds"` // since the load began
	Sent      uint64  `json:"sent"`
	Committed uint64  `json:"committed"`
	RSS       uint64  `json:"rss_bytes"`
	Heap      uint64  `json:"heap_bytes"` // live and not yet swept
	State     uint64  `json:"state_bytes"`
	Bus       uint64  `json:"bus_bytes"`
}

// Lag is how many events wait.
func (s *Sample) Lag() uint64 { return s.Sent - min(s.Sent, s.Committed) }

// series takes a sample a second.
type series struct {
	mu   sync.Mutex
	list []Sample
}

func (s *series) run(ctx context.Context, take func() Sample) {
	began := time.Now()
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		one := take()
		one.Seconds = time.Since(began).Seconds()
		s.mu.Lock()
		s.list = append(s.list, one)
		s.mu.Unlock()
	}
}

func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
