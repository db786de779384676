package bench

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/schemas/event"
)

// load sends requests through the nodes' senders.
type load struct {
	cluster   *cluster
	senders   map[string]*bus.Sender
	requests  []*request
	rate      float64 // events a second, 0 for as many as the processor takes
	serial    uint64
	sent      atomic.Uint64 // events
	committed *atomic.Uint64
}

// made is how many different requests are made before the clock starts.
const made = 1024

// newLoad makes the requests; skew is the share of them whose agent is on the
// first node.
func newLoad(nodes int, skew, rate float64, committed *atomic.Uint64) *load {
	l := &load{cluster: newCluster(nodes), rate: rate, senders: map[string]*bus.Sender{}, committed: committed}
	rng := rand.New(rand.NewPCG(1, 1))
	for range made {
		agent := rng.IntN(nodes)
		if rng.Float64() < skew {
			agent = 0
		}
		l.requests = append(l.requests, l.cluster.newRequest(rng, (agent+1+rng.IntN(max(1, nodes-1)))%nodes, agent))
	}
	return l
}

// How many events may be sent and not committed: without a rate, so that the
// latency is not that of a queue without end; with one, so that what cannot keep
// up fills no disk. Latency counts from when an event was due.
const (
	aheadFree  = 50_000
	aheadPaced = 2_000_000
)

// tick is the grain in which requests are due.
const tick = time.Millisecond

// run sends until ctx ends; what it has begun to send is sent.
func (l *load) run(ctx context.Context) error {
	sending := context.WithoutCancel(ctx)
	now := time.Now()
	for _, e := range l.cluster.inventory(event.At(now)) {
		if err := l.send(sending, &e); err != nil {
			return err
		}
	}
	each := float64(len(l.requests[0].events))
	began := now
	for due := 0.0; ctx.Err() == nil; {
		now = time.Now()
		ahead, allowed := l.sent.Load()-l.committed.Load(), uint64(aheadPaced)
		if l.rate == 0 {
			due, allowed = each, aheadFree
		} else {
			due += l.rate * now.Sub(began).Seconds()
			began = now
		}
		if due < each || ahead > allowed {
			time.Sleep(tick)
			continue
		}
		for ; due >= each; due -= each {
			at := now
			if l.rate > 0 {
				at = now.Add(-time.Duration((due - each) / l.rate * 1e9))
			}
			if err := l.request(sending, event.At(at)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *load) request(ctx context.Context, due event.Time) error {
	l.serial++
	r := l.requests[l.serial%made]
	r.stamp(l.serial, due)
	for i := range r.events {
		if err := l.send(ctx, &r.events[i].event); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) send(ctx context.Context, e *event.Event) error {
	if err := l.senders[e.Node].Send(ctx, e); err != nil {
		return err
	}
	l.sent.Add(1)
	return nil
}
