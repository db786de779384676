package link

import (
	"cmp"
	"slices"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// Owner is a request that a workload served, or a span: what may have made
// calls.
type Owner struct {
	ID         uint64 // not 0
	Start, End event.Time
	// Class groups owners that behave alike (an endpoint, an operation); the
	// gaps of each class are learnt apart.
	Class uint32
	// Labels are what owner and call must agree on (the model's name, the process
	// that does both): each, if not 0, must equal the call's, if that is not 0.
	Labels [Labels]uint32
	// Sizes are what the owner says of its call, in any unit that grows with the
	// call's Sizes: tokens in and out. 0 is unknown.
	Sizes [2]uint64
	// Single says that the owner has one call at most: it is a span about it.
	Single bool
}

// Labels is how many labels an owner and a call have.
const Labels = 4

// Call is a call that the workload made.
type Call struct {
	ID         uint64 // not 0
	Peer       uint32 // the destination
	Start, End event.Time
	Labels     [Labels]uint32
	Sizes      [2]uint64 // bytes sent and received
	// Owner is the id of the owner where it is known exactly, 0 where it is not.
	// A known pair is never broken, and nobody else is given its call.
	Owner uint64
}

// Match is the decision about one call.
type Match struct {
	Call       uint64
	Owner      uint64  // the likeliest, 0 where no owner was open
	Confidence float64 // the posterior of Owner, in thousandths
	// Candidates are all owners that are not out of the question, the likeliest
	// first, with their posteriors; they and the chance that nobody here made
	// the call add up to one.
	Candidates []Candidate
}

// Candidate is an owner a call may have.
type Candidate struct {
	Owner      uint64
	Confidence float64 // in thousandths
}

// Epoch is the time for which one model holds.
const Epoch = time.Minute

// history is how many epochs a model remembers.
const history = 10

// Config of a Linker.
type Config struct {
	// Horizon is how long an owner may be under way: a call is decided when no
	// owner of it can end any more, an epoch and a horizon after its start. Longer
	// ones are not considered. 0 is a minute.
	Horizon time.Duration
	// Workspace may be shared by Linkers that are never driven at once. nil is one
	// of its own.
	Workspace *Workspace
}

// Workspace is the memory in which an epoch is decided. It carries nothing from
// one decision to the next. The zero value is ready to use.
type Workspace struct{ solver solver }

// Linker links the calls of one workload to their owners. It is driven by
// Advance and not for concurrent use. Memory is bounded by what happens within
// an epoch and a horizon.
type Linker struct {
	cfg    Config
	owners []Owner
	calls  []Call
	next   event.Time // the beginning of the first epoch not decided
	swept  event.Time // what ended before is forgotten
	known  map[uint64]uint64
	past   []packed
	// sized is set when an owner and a call have come with sizes; pastSizes are
	// their counts.
	sized, sizedOwner, sizedCall bool
	pastSizes                    []packed
	edges                        edges
}

// New returns an empty Linker.
func New(cfg Config) *Linker {
	cfg.Horizon = cmp.Or(cfg.Horizon, time.Minute)
	if cfg.Workspace == nil {
		cfg.Workspace = &Workspace{}
	}
	return &Linker{cfg: cfg, next: event.Never, known: map[uint64]uint64{}}
}

// Owner takes in an owner that has ended.
func (l *Linker) Owner(o Owner) {
	l.owners = append(l.owners, o)
	l.sizedOwner = l.sizedOwner || o.Sizes != [2]uint64{}
}

// Call takes in a call that has ended.
func (l *Linker) Call(c Call) {
	l.calls = append(l.calls, c)
	l.sizedCall = l.sizedCall || c.Sizes != [2]uint64{}
	l.next = min(l.next, epochOf(c.Start))
}

// Known says whose a call is that was taken in and not decided yet. An id that no
// owner has keeps everybody from it.
func (l *Linker) Known(call, owner uint64) { l.known[call] = owner }

// Widen makes the horizon a longer one.
func (l *Linker) Widen(horizon time.Duration) { l.cfg.Horizon = max(l.cfg.Horizon, horizon) }

// Decided returns the time before which every call that was taken in began has
// been decided once Advance has returned for mark.
func (l *Linker) Decided(mark event.Time) event.Time {
	if mark == event.Never {
		return mark
	}
	return epochOf(mark.Add(-l.cfg.Horizon))
}

// Next returns the mark at which Advance has something to decide, event.Never
// when nothing waits.
func (l *Linker) Next() event.Time {
	if l.next == event.Never {
		return event.Never
	}
	return l.next.Add(Epoch + l.cfg.Horizon)
}

// Advance returns what is final when every owner and call that ended before mark
// has been taken in, in order of the calls' starts: nothing that comes later
// changes it. A call that comes after its epoch was decided is decided with its
// own epoch's items gone, and so mostly has no owner.
func (l *Linker) Advance(mark event.Time) []Match {
	var found []Match
	for l.next != event.Never && (mark == event.Never || mark >= l.next.Add(Epoch+l.cfg.Horizon)) {
		found = l.decide(l.next, found)
	}
	if until := l.Decided(mark); until > l.swept && mark != event.Never {
		l.swept = until
		l.forget(until) // what nobody called needs it too
	}
	return found
}

func epochOf(t event.Time) event.Time {
	return t - (t%event.Time(Epoch)+event.Time(Epoch))%event.Time(Epoch)
}

// decide decides the calls that began in the epoch that begins at from. Calls
// that began later compete for the same owners and are looked at, not decided.
func (l *Linker) decide(from event.Time, found []Match) []Match {
	until := from.Add(Epoch)
	slices.SortFunc(l.owners, func(a, b Owner) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(l.calls, func(a, b Call) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.ID, b.ID))
	})
	owners, reach := l.owners, until
	for i := range owners {
		if owners[i].Start >= until {
			owners = owners[:i]
			break
		}
		reach = max(reach, min(owners[i].End, owners[i].Start.Add(l.cfg.Horizon)))
	}
	beyond := owners
	for len(beyond) < len(l.owners) && l.owners[len(beyond)].Start < reach {
		beyond = l.owners[:len(beyond)+1]
	}
	calls := l.calls
	if i, _ := slices.BinarySearchFunc(calls, reach, func(c Call, t event.Time) int { return cmp.Compare(c.Start, t) }); i < len(calls) {
		calls = calls[:i]
	}
	open := func(c Call) bool { return c.Start >= from && c.Start < until && c.Owner == 0 && l.known[c.ID] == 0 }
	if slices.ContainsFunc(calls, open) { // else there is nothing to find out
		l.sized = l.sized || l.sizedOwner && l.sizedCall
		found = l.cfg.Workspace.solver.solve(beyond, calls, from, until, l, found)
	}
	l.forget(until)
	return found
}

// forget drops what is decided and can compete for nothing any more.
func (l *Linker) forget(until event.Time) {
	l.next = event.Never
	open := until
	l.owners = slices.DeleteFunc(l.owners, func(o Owner) bool {
		if o.End < until || o.Start.Add(l.cfg.Horizon) < until {
			return true
		}
		open = min(open, o.Start)
		return false
	})
	l.calls = slices.DeleteFunc(l.calls, func(c Call) bool {
		if c.Start >= until {
			l.next = min(l.next, epochOf(c.Start))
			return false
		}
		if c.Start < open || c.Owner == 0 && l.known[c.ID] == 0 {
			delete(l.known, c.ID)
			return true
		}
		return false // its owner is still open
	})
}
