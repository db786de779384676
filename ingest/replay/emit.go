package replay

import (
	"context"

	"github.com/sennit-io/sennit/schemas/event"
)

// emitter fills batches and hands them on.
type emitter struct {
	c    *collector
	emit func(*event.Batch, event.Time) error
	b    *event.Batch
	now  event.Time
}

func (m *emitter) flush() error {
	if m.b == nil || len(m.b.Events) == 0 {
		return nil
	}
	b := m.b
	m.b = nil
	m.c.res.Events += uint64(len(b.Events))
	now := m.now
	if m.c.o.Order == OrderEvent {
		now = 0
	}
	if err := m.emit(b, now); err != nil {
		return err
	}
	m.c.progress(Progress{Phase: PhaseEmit, Bytes: m.c.before}, false)
	return nil
}

// handOn emits everything.
func (c *collector) handOn(ctx context.Context, emit func(*event.Batch, event.Time) error) error {
	m := &emitter{c: c, emit: emit}
	c.progress(Progress{Phase: PhaseSort, Bytes: c.before}, true)
	if c.disk.Len() > 0 {
		if err := c.spill(ctx); err != nil {
			return err
		}
		if err := c.fromDisk(ctx, m); err != nil {
			return err
		}
		return m.flush()
	}
	index := c.sorted()
	for i, x := range index {
		if m.b == nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			m.b = &event.Batch{Events: make([]event.Event, 0, min(BatchEvents, len(index)-i))}
		}
		block := &c.blocks[x.block]
		m.b.Events = append(m.b.Events, block.events[x.event])
		m.now = x.key
		if block.left--; block.left == 0 {
			block.events = nil
		}
		if len(m.b.Events) == BatchEvents {
			if err := m.flush(); err != nil {
				return err
			}
		}
	}
	return m.flush()
}
