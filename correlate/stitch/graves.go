package stitch

import (
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// Graves remembers for a day how many requests each forgotten trace id had, so
// that its next one is not taken for the first. All shards share it: the next
// request may live in another shard, with the group of another trace id. It is
// written between steps, by one goroutine, and only read while shards work.
type Graves struct {
	stones map[correlate.Key]tombstone
	expiry []tombstone // in order of burial
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
	for len(g.expiry) > 0 && g.expiry[0].until <= now {
		if k := g.expiry[0].key; g.stones[k].until <= now { // not buried again since
			delete(g.stones, k)
		}
		g.expiry = g.expiry[1:]
	}
	for _, t := range o.buried {
		t.until = now.Add(24 * time.Hour)
		g.stones[t.key] = t
		g.expiry = append(g.expiry, t)
	}
}
