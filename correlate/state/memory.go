package state

import (
	"container/list"
	"sync"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Memory is a Store that survives nothing: it serves replay and tests. It
// forgets a timeline when Retention of event time has passed since its end,
// and keeps at most Most.
type Memory struct {
	mu        sync.RWMutex
	retention event.Time
	most      int
	byID      map[string]*list.Element
	order     *list.List // of *timeline.Timeline, in order of commit
}

// NewMemory returns an empty store. most limits the number of timelines, 0
// keeps none.
func NewMemory(retention event.Time, most int) *Memory {
	return &Memory{retention: retention, most: most, byID: make(map[string]*list.Element), order: list.New()}
}

// Commit keeps the batch's timelines.
func (m *Memory) Commit(b Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range b.Outbox {
		if e := m.byID[t.ID]; e != nil {
			m.order.Remove(e)
		}
		m.byID[t.ID] = m.order.PushBack(t)
	}
	for e := m.order.Front(); e != nil; e = m.order.Front() {
		t := e.Value.(*timeline.Timeline)
		if m.order.Len() <= m.most && t.End+m.retention >= b.Watermark {
			break
		}
		m.order.Remove(e)
		delete(m.byID, t.ID)
	}
	return nil
}

// Timeline returns the last committed revision. It must not be changed.
func (m *Memory) Timeline(id string) (*timeline.Timeline, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if e := m.byID[id]; e != nil {
		return e.Value.(*timeline.Timeline), nil
	}
	return nil, ErrNotFound
}
