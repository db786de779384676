package shard

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/bind"
	"github.com/sennit-io/sennit/correlate/hold"
	"github.com/sennit-io/sennit/correlate/state"
	"github.com/sennit-io/sennit/correlate/stitch"
	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Config shapes an engine.
type Config struct {
	// Shards is how many workers bind and stitch have each.
	Shards int
	Window window.Config
	// Live makes the engine show requests while they are open: from their first event on
	// and once a second at most, or with LiveEvery only those that have been open for so
	// long, as often at most. Most requests are closed by then, and cost nothing.
	Live      bool
	LiveEvery time.Duration
	// Ablate breaks the engine on purpose; for tests of the scorer.
	Ablate bind.Ablation
	// Memory is how many bytes of packed events are kept in memory before what
	// waits longest goes to Spill; 0 is no limit. It changes no result.
	Memory int64
	// Spill takes what the memory does not hold; nil leaves all in memory.
	Spill hold.Spill
	// Store keeps what was decided; nil keeps nothing.
	Store state.Store
}

// DefaultConfig is one shard a core of a small machine and the design's delays.
func DefaultConfig() Config { return Config{Shards: 2, Window: window.Default()} }

// Output takes what the engine decides. It is called from the goroutine that
// calls Push or Close.
type Output interface {
	// Timeline gets each revision, owned by the receiver. The last one counts;
	// one with SupersededBy set is no timeline of its own any more. Revision 0
	// is the live view of an open request.
	Timeline(t *timeline.Timeline)
	// Unmatched gets each event whose final fate is to be in no timeline.
	Unmatched(u *Unmatched)
}

// Unmatched is an event that reached no timeline, and why.
type Unmatched = correlate.Unmatched

// Engine turns events into timelines. Its methods must be called from one
// goroutine.
type Engine struct {
	cfg      Config
	out      Output
	tracker  *window.Tracker
	dir      *bind.Directory
	hub      *bind.Hub
	aliases  *stitch.Aliases
	graves   *stitch.Graves
	binds    []*bindShard
	nodes    map[string]*nodeWork
	stitches []*stitchShard
	buckets  map[int64]*bucket // by quantum
	bucket   *bucket           // the one being filled, and its quantum
	filling  int64
	order    []int64 // the quanta of buckets, sorted
	spare    *bucket // an empty one
	sorter   sorter
	late     []*event.Event
	budget   *hold.Budget
	done     event.Time // every quantum before has been worked
	live     *live
	stats    Stats
	answers  []bind.Answer
	offers   []bind.Offer
	rows     []correlate.Row
	rowOrder []int32
	results  []*timeline.Timeline
	gone     []correlate.Unmatched
	err      error
}

// bindShard is one worker of bind and the nodes it owns.
type bindShard struct {
	sorted []*nodeWork // by name
	space  *bind.Space
	out    bind.Out
}

type nodeWork struct {
	name   string
	shard  *bindShard
	node   *bind.Node
	events []*event.Event
}

// stitchShard is one worker of stitch.
type stitchShard struct {
	s   *stitch.Stitcher
	out stitch.Out
}

// New returns an engine that has seen nothing.
func New(cfg Config, out Output) *Engine {
	cfg.Shards = max(1, cfg.Shards)
	e := &Engine{
		budget: hold.NewBudget(cfg.Memory, cfg.Spill),
		cfg:    cfg, out: out, tracker: window.NewTracker(cfg.Window), dir: bind.NewDirectory(cfg.Window),
		hub: bind.NewHub(cfg.Window), aliases: stitch.NewAliases(), graves: stitch.NewGraves(), buckets: make(map[int64]*bucket), nodes: make(map[string]*nodeWork),
	}
	for range cfg.Shards {
		e.binds = append(e.binds, &bindShard{space: bind.NewSpace(e.budget)})
		e.stitches = append(e.stitches, &stitchShard{s: stitch.New(cfg.Window, e.dir, e.graves, e.budget, cfg.Ablate)})
	}
	if cfg.Live {
		e.live = newLive(cfg, e.dir, e.budget)
	}
	return e
}

// ShowOpen makes the engine show requests while they are open from now on, each
// second and at once, whatever Config.Live and Config.LiveEvery say.
func (e *Engine) ShowOpen() {
	if e.live == nil {
		e.live = newLive(e.cfg, e.dir, e.budget)
	}
	e.live.every = 0
}

// Push takes events in, in any order, and works as far as the watermark lets
// it. now is the caller's clock, zero if it has none. The engine keeps the
// events it needs: the batch must not be used again.
func (e *Engine) Push(b *event.Batch, now event.Time) {
	quantum := event.Time(e.cfg.Window.Quantum)
	e.tracker.Tick(now)
	for i := range b.Events {
		ev := &b.Events[i]
		e.stats.Events.In++
		e.believe(ev)
		e.tracker.Observe(ev, now)
		if e.live != nil {
			e.live.observe(ev)
		}
		if ev.Time > latest { // timers beyond it would never be due
			e.unmatched(correlate.Unmatched{Event: ev, Fate: correlate.Dropped})
			continue
		}
		if ev.Time < e.done {
			if ev.Time < e.done.Add(-e.cfg.Window.Retention) {
				e.unmatched(correlate.Unmatched{Event: ev, Fate: correlate.Late})
				continue
			}
			e.late = append(e.late, ev)
			continue
		}
		q := int64(ev.Time / quantum)
		if e.bucket == nil || q != e.filling { // neighbours in time come together
			e.bucket, e.filling = e.bucketOf(q), q
		}
		e.bucket.events = append(e.bucket.events, ev)
	}
	e.bucket = nil
	e.work(e.tracker.Advance())
	if e.live != nil {
		e.live.show(e.out, max(now, e.tracker.Advance()))
		if e.err == nil {
			e.err = e.live.arena.Err()
		}
	}
}

// latest is the last event time that is believed: 2262-01-01.
const latest = event.Time(9_214_646_400e9)

// bucket is the events of one quantum to come.
type bucket struct{ events []*event.Event }

func (e *Engine) bucketOf(q int64) *bucket {
	b := e.buckets[q]
	if b == nil {
		if b, e.spare = e.spare, nil; b == nil {
			b = &bucket{}
		}
		e.buckets[q] = b
		at, _ := slices.BinarySearch(e.order, q)
		e.order = slices.Insert(e.order, at, q)
	}
	return b
}

// spareEvents is how much room for events is kept between quanta.
const spareEvents = 1 << 18

// empty keeps a bucket that was worked for the next one that begins.
func (e *Engine) empty(b *bucket) {
	if cap(b.events) <= spareEvents {
		clear(b.events)
		b.events = b.events[:0]
		e.spare = b
	}
}

// Close says that nothing more comes: everything settles.
func (e *Engine) Close() {
	e.work(event.Never)
	e.flush()
}

// Watermark is the event time up to which everything has been decided, zero at
// the beginning.
func (e *Engine) Watermark() event.Time { return e.done }

// Err returns the first error of the store; after one the engine stands still.
func (e *Engine) Err() error { return e.err }

// work advances quantum by quantum to the watermark, passing over quanta in
// which nothing happens.
func (e *Engine) work(mark event.Time) {
	quantum := event.Time(e.cfg.Window.Quantum)
	for e.err == nil && e.done.Add(e.cfg.Window.Quantum) <= mark {
		start := e.next()
		if start == event.Never {
			return
		}
		start -= start % quantum
		start = max(start, e.done)
		end := start.Add(e.cfg.Window.Quantum)
		if end > mark {
			return
		}
		e.step(start, end)
		e.done = end
	}
}

// next returns when something happens next.
func (e *Engine) next() event.Time {
	at := event.Never
	if len(e.late) > 0 {
		at = e.done
	}
	if len(e.order) > 0 {
		at = min(at, event.Time(e.order[0])*event.Time(e.cfg.Window.Quantum))
	}
	for _, b := range e.binds {
		for _, n := range b.sorted {
			at = min(at, n.node.Next())
		}
	}
	for _, s := range e.stitches {
		at = min(at, s.s.Next())
	}
	return at
}

// step works one quantum.
func (e *Engine) step(start, end event.Time) {
	e.route(start)
	e.parallel(len(e.binds), func(i int) { e.binds[i].work(start, end) })
	e.exchange(end)
	e.stitch(end)
	e.parallel(len(e.stitches), func(i int) { s := e.stitches[i]; s.s.Advance(end, &s.out) })
	e.collect(end)
}

// route sorts the quantum's events and gives each to its node. The directory
// takes them in first: an event without a node is routed by it.
func (e *Engine) route(start event.Time) {
	var events []*event.Event
	if q := int64(start / event.Time(e.cfg.Window.Quantum)); len(e.order) > 0 && e.order[0] == q {
		b := e.buckets[q]
		events = b.events
		delete(e.buckets, q)
		e.order = slices.Delete(e.order, 0, 1)
		defer e.empty(b)
	}
	e.sorter.sort(events)
	if len(e.late) > 0 {
		slices.SortFunc(e.late, event.Compare)
		events = append(slices.Clone(e.late), events...)
		clear(e.late)
		e.late = e.late[:0]
	}
	for _, ev := range events {
		e.dir.Observe(ev)
	}
	for _, ev := range events {
		node := ev.Node
		if node == "" {
			node = e.dir.NodeOf(ev)
		}
		w := e.nodeWork(node)
		w.events = append(w.events, ev)
	}
}

func (e *Engine) nodeWork(name string) *nodeWork {
	w := e.nodes[name]
	if w == nil {
		shard := e.binds[hash(name)%uint64(len(e.binds))]
		w = &nodeWork{name: name, shard: shard, node: bind.NewNode(name, e.cfg.Window, e.dir, e.cfg.Ablate, shard.space)}
		e.nodes[name] = w
		shard.sorted = append(shard.sorted, w)
		slices.SortFunc(shard.sorted, func(a, b *nodeWork) int { return strings.Compare(a.name, b.name) })
	}
	return w
}

func (s *bindShard) work(start, end event.Time) {
	s.space.Begin()
	for _, w := range s.sorted {
		if len(w.events) == 0 && w.node.Next() >= end {
			continue
		}
		w.node.Advance(w.events, start, end, &s.out)
		clear(w.events)
		w.events = w.events[:0]
	}
}

// maxRounds bounds the rounds in which the ends of connections tell each other
// what they know: one round a hop.
const maxRounds = 16

// exchange lets the nodes tell each other about the connections between them
// until nobody has news.
func (e *Engine) exchange(end event.Time) {
	for range maxRounds {
		e.offers = e.offers[:0]
		for _, b := range e.binds {
			e.offers = append(e.offers, b.out.Offers...)
			b.out.Offers = b.out.Offers[:0]
		}
		e.answers = e.hub.Match(e.offers, end, e.answers[:0])
		if len(e.answers) == 0 {
			return
		}
		for _, a := range e.answers {
			if w := e.nodes[a.Node]; w != nil {
				w.node.Answer(a, end-1, &w.shard.out)
			}
		}
	}
}

// stitch hands what bind found to the groups.
func (e *Engine) stitch(end event.Time) {
	var found []correlate.Alias
	for _, b := range e.binds {
		found = append(found, b.out.Aliases...)
	}
	slices.SortFunc(found, func(a, b correlate.Alias) int { return cmp.Or(a.A.Compare(b.A), a.B.Compare(b.B)) })
	for _, a := range found {
		winner, loser := e.aliases.Union(a.A, a.B)
		e.shardOf(winner).s.Alias(winner, a, end-1)
		if winner == loser {
			continue
		}
		e.stats.Events.Derived++
		e.stats.Events.Control++
		if g := e.shardOf(loser).s.Detach(loser); g != nil {
			e.shardOf(winner).s.Absorb(winner, g, end-1)
		}
	}
	for _, b := range e.binds {
		e.rows = append(e.rows, b.out.Rows...)
	}
	e.addRows(end)
	var doubts []correlate.Doubt
	for _, b := range e.binds {
		for _, l := range b.out.Links {
			rep := e.aliases.Find(l.Key)
			e.shardOf(rep).s.Link(rep, l, end-1)
		}
		doubts = append(doubts, b.out.Doubts...)
		e.stats.bind(&b.out)
		e.gone = append(e.gone, b.out.Unmatched...)
		b.out.Reset()
	}
	slices.SortFunc(doubts, func(a, b correlate.Doubt) int { return event.Compare(a.Event, b.Event) })
	for _, d := range doubts {
		e.doubt(d, end-1)
	}
}

// doubt lists an event with every request that it may belong to.
func (e *Engine) doubt(d correlate.Doubt, now event.Time) {
	var told []correlate.Key
	for _, c := range d.Candidates {
		if rep := e.aliases.Find(c.Key); !slices.Contains(told, rep) {
			told = append(told, rep)
			e.shardOf(rep).s.Doubt(rep, d, now)
		}
	}
}

// addRows hands the rows of a quantum to their groups, in canonical order
// whichever shard found them: a group that is full refuses the last ones.
func (e *Engine) addRows(end event.Time) {
	e.rowOrder = e.rowOrder[:0]
	for i := range e.rows {
		e.rowOrder = append(e.rowOrder, int32(i))
	}
	slices.SortFunc(e.rowOrder, func(i, j int32) int {
		a, b := &e.rows[i], &e.rows[j]
		if c := event.Compare(a.Event, b.Event); c != 0 {
			return c
		}
		return a.Key.Compare(b.Key)
	})
	for _, i := range e.rowOrder {
		r := &e.rows[i]
		rep := e.aliases.Find(r.Key)
		s := e.shardOf(rep)
		s.s.Add(rep, *r, end-1, &s.out)
	}
	clear(e.rows)
	e.rows = e.rows[:0]
}

func (e *Engine) shardOf(k correlate.Key) *stitchShard {
	return e.stitches[k.Hash()%uint64(len(e.stitches))]
}

// collect commits what the quantum decided, then delivers it.
func (e *Engine) collect(end event.Time) {
	if e.err = e.lost(); e.err != nil {
		return
	}
	for _, s := range e.stitches {
		e.results = append(e.results, s.out.Timelines...)
		e.gone = append(e.gone, s.out.Unmatched...)
		for _, keys := range s.out.Gone {
			e.aliases.Forget(keys)
		}
		e.graves.Bury(&s.out, end)
		e.stats.stitch(&s.out)
		s.out.Reset()
	}
	if len(e.results) > 0 || len(e.gone) > 0 {
		e.deliver(end)
	}
}

// lost returns why an event that waited is gone: what was decided without it must
// not go out.
func (e *Engine) lost() error {
	for _, b := range e.binds {
		if err := b.space.Err(); err != nil {
			return err
		}
	}
	for _, s := range e.stitches {
		if err := s.s.Err(); err != nil {
			return err
		}
	}
	if e.live != nil {
		return e.live.arena.Err()
	}
	return nil
}

func (e *Engine) deliver(mark event.Time) {
	slices.SortStableFunc(e.results, func(a, b *timeline.Timeline) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Revision, b.Revision))
	})
	if e.cfg.Store != nil && len(e.results) > 0 {
		if err := e.cfg.Store.Commit(state.Batch{Watermark: mark, Outbox: e.results}); err != nil {
			e.err = fmt.Errorf("commit step: %w", err)
			return
		}
	}
	for _, t := range e.results {
		if e.live != nil {
			e.live.close(t)
		}
		e.out.Timeline(t)
	}
	slices.SortFunc(e.gone, func(a, b correlate.Unmatched) int { return event.Compare(a.Event, b.Event) })
	for i := range e.gone {
		e.out.Unmatched(&e.gone[i])
	}
	clear(e.results)
	clear(e.gone)
	e.results, e.gone = e.results[:0], e.gone[:0]
}

// flush delivers what is left when the input has ended.
func (e *Engine) flush() {
	for _, s := range e.stitches {
		s.s.Advance(event.Never, &s.out)
	}
	e.collect(event.Never)
}

func (e *Engine) unmatched(u correlate.Unmatched) {
	e.stats.fate(u.Fate, 1)
	e.gone = append(e.gone, u)
}

// Stats returns the counters as they stand.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Events.Dropped = maps.Clone(s.Events.Dropped)
	s.Joins = maps.Clone(s.Joins)
	ev := &s.Events
	dropped := uint64(0)
	for _, n := range ev.Dropped {
		dropped += n
	}
	ev.Held = ev.In + ev.Derived - ev.Joined - ev.Ambiguous - ev.Ambient - ev.Control - ev.Duplicate - ev.Late - dropped
	s.Waiting = e.budget.Usage()
	for _, st := range e.stitches {
		s.Timelines.Open += st.s.Open()
	}
	return s
}

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
