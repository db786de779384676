package stitch

import (
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// Graves remembers how many requests each forgotten trace id had, so that its
// next one is not taken for the first: for a day if it has been used again
// before, for the time of the longest request otherwise, since every trace id
// there is comes to lie here. All shards share it: the next
// request may live in another shard, with the group of another trace id. It is
// written between steps, by one goroutine, and only read while shards work.
type Graves struct {
	stones map[correlate.Key]tombstone
	expiry []tombstone // of one use, in order of burial
	reused []tombstone
}

// tombstone is what is left of a trace id.
type tombstone struct {
	key    correlate.Key
	number int        // of its last request
	last   event.Time // of the evidence beside it
	until  event.Time
}

// NewGraves returns an empty one.
func NewGraves() *Graves { return &Graves{stones: make(map[correlate.Key]tombstone)} }

// Bury takes in the trace ids that a step has forgotten.
func (g *Graves) Bury(o *Out, now event.Time) {
	g.expiry = g.forget(g.expiry, now)
	g.reused = g.forget(g.reused, now)
	for _, t := range o.buried {
		t.until = now.Add(oneUse)
		if t.number > 1 {
			t.until = now.Add(reused)
			g.reused = append(g.reused, t)
		} else {
			g.expiry = append(g.expiry, t)
		}
		g.stones[t.key] = t
	}
}

// forget drops the stones at the head of a list whose time is over.
func (g *Graves) forget(list []tombstone, now event.Time) []tombstone {
	for len(list) > 0 && list[0].until <= now {
		if k := list[0].key; g.stones[k].until <= now { // not buried again since
			delete(g.stones, k)
		}
		list = list[1:]
	}
	return list
}

const (
	oneUse = 2 * time.Hour
	reused = 24 * time.Hour
)
