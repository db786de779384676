package replay

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/sennit-io/sennit/ingest/recording"
	"github.com/sennit-io/sennit/schemas/event"
)

// spill writes what is in memory to disk, sorted.
func (c *collector) spill(ctx context.Context) error {
	index := c.sorted()
	err := c.disk.Write(ctx, c.records(index))
	clear(c.blocks)
	c.blocks, c.size = c.blocks[:0], 0
	c.res.Spilled = c.disk.Spilled()
	return err
}

// Keys on disk order like entries in memory: time, and with OrderEvent source
// and id. Payloads are the recording's form of the event behind one byte of
// flags, so that equal keys order like compare.
const (
	keyTime  = 8
	keyEvent = keyTime + 1 + len(event.ID{})
	// flagTimeless: the event has no time, which a recording cannot say; it is
	// written with any.
	flagTimeless = 1
	anyTime      = event.Time(1)
)

func (c *collector) records(index []entry) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, payload []byte) bool) {
		var key [keyEvent]byte
		for _, x := range index {
			e := c.blocks[x.block].events[x.event]
			binary.BigEndian.PutUint64(key[:], uint64(x.key)^1<<63)
			k := key[:keyTime]
			if c.o.Order == OrderEvent {
				key[keyTime] = byte(e.Source)
				copy(key[keyTime+1:], e.ID[:])
				k = key[:]
			}
			c.buf = append(c.buf[:0], 0)
			if e.Time == 0 {
				c.buf[0], e.Time = flagTimeless, anyTime
			}
			c.buf = e.AppendJSON(c.buf)
			if !yield(k, c.buf) {
				return
			}
		}
	}
}

// fromDisk hands on all that was written to disk.
func (c *collector) fromDisk(ctx context.Context, m *emitter) error {
	var d recording.Decoder
	return c.disk.Each(ctx, func(key, payload []byte) error {
		if m.b == nil {
			m.b = &event.Batch{Events: make([]event.Event, 0, BatchEvents)}
		}
		if _, err := d.Decode(payload[1:], m.b); err != nil {
			return fmt.Errorf("read back a sorted event: %w", err)
		}
		if e := &m.b.Events[len(m.b.Events)-1]; payload[0] == flagTimeless {
			e.Time = 0
		}
		m.now = event.Time(binary.BigEndian.Uint64(key) ^ 1<<63)
		if len(m.b.Events) == BatchEvents {
			return m.flush()
		}
		return nil
	})
}
