package bind

import (
	"github.com/sennit-io/sennit/correlate/hold"
	"github.com/sennit-io/sennit/correlate/link"
	"github.com/sennit-io/sennit/schemas/event"
)

// Space is what the nodes of one worker share: they are never driven at once.
type Space struct {
	link  link.Workspace
	short *hold.Arena // what waits for window.Config.Horizon
	long  *hold.Arena // what waits longer
	// What was unpacked in this step: events in blocks, which do not move.
	events [][]event.Event
	used   int
	batch  event.Batch
}

// NewSpace returns a space whose waiting events come out of the budget.
func NewSpace(b *hold.Budget) *Space { return &Space{short: hold.New(b), long: hold.New(b)} }

// Begin starts a step: the events of rows and fates that the last one found may
// be overwritten.
func (s *Space) Begin() {
	if len(s.events) > keepBlocks {
		s.events, s.batch = nil, event.Batch{}
	}
	s.used = 0
	s.batch.Reset()
}

// Err returns why an event that waited could not be read back, nil if none was
// lost.
func (s *Space) Err() error {
	if err := s.short.Err(); err != nil {
		return err
	}
	return s.long.Err()
}

const (
	eventBlock = 256
	keepBlocks = 64
)

// unpack ends an event's wait. It is good until the next step.
func (s *Space) unpack(a *hold.Arena, r hold.Ref) *event.Event {
	if s.used == len(s.events)*eventBlock {
		s.events = append(s.events, make([]event.Event, eventBlock))
	}
	e := &s.events[s.used/eventBlock][s.used%eventBlock]
	s.used++
	a.Get(r, e, &s.batch)
	a.Drop(r)
	return e
}

// move takes an event that has waited for its first horizon to those that wait
// longer, so that neither keeps the other's chunks.
func (s *Space) move(r hold.Ref) hold.Ref {
	used := s.used
	e := s.unpack(s.short, r)
	s.used = used
	return s.long.Put(e)
}

// kept is an event that waits for long: with the request of its process, or of a
// span about it.
type kept struct {
	ref    hold.Ref
	late   bool
	answer *question
}

func (n *Node) keep(d decision) kept { return kept{n.space.long.Put(d.e), d.late, d.request} }

// back ends the wait.
func (n *Node) back(k kept) decision {
	return decision{e: n.space.unpack(n.space.long, k.ref), late: k.late, request: k.answer}
}
