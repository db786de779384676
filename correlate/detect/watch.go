package detect

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
	"unsafe"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Options of a Watch.
type Options struct {
	// Early makes monotone rules fire before their request has closed.
	Early bool
	// Claim is how long a span may come that claims what was seen: what is refutable
	// is held for so long where the span around it has not come.
	Claim time.Duration
	// Keep is how long an event waits for its request: the longest one and its
	// retention.
	Keep time.Duration
	// Memory bounds what is remembered of the events that a rule may hold for, in
	// bytes; 0 for 256 MiB. Beyond it the oldest are forgotten, and counted (Lost).
	Memory int64
}

// Watch judges a stream: its events as they come, then what became of them. What it
// answers is a function of what it was given, in the order it was given; it has no
// clock. Not for concurrent use.
//
// It says what is true now (Verdict); Changes compares that with what was told.
type Watch struct {
	set  *Set
	opts Options

	hits  map[string]*hit // by the event's id: some rule may hold for it
	queue []*hit          // in order of coming
	bytes int64           // their size
	now   event.Time
	held  map[string]*held
	quiet map[string]event.Time // rule and subject → when last told without a request
	early map[string][]string   // triggering event → alerts that were told before their request closed
	first []noted               // the keys of early, in order
	once  map[string]event.Time // rule and request or subject → when told early
	swept event.Time
	observed
	open event.Time // the start of the last step judged of which it is open which programs are below it
	lost uint64
}

// hit is an event that a rule may hold for.
type hit struct {
	id, subject string
	at          event.Time
	fact        *fact // nil where no rule waits for its request
	rules       []int
	set         *Set
	came        event.Time
	done        bool // it has its fate
}

// size is about what it takes of memory, with its place in the index and the queue.
func (h *hit) size() int64 {
	n := int64(unsafe.Sizeof(*h)) + 96 + int64(len(h.id)+len(h.subject)+8*len(h.rules))
	if h.fact != nil {
		n += h.fact.size()
	}
	return n
}

// noted is an event of which something was told early.
type noted struct {
	event string
	at    event.Time
}

// held is a timeline with findings that may yet be refuted.
type held struct {
	t     *timeline.Timeline
	until event.Time
}

// Limits of what a watch remembers.
const (
	hitMemory = 256 << 20
	maxHeld   = 10_000 // beyond it what is held is told at once
)

// NewWatch returns a watch that has seen nothing. set may be nil for no rules.
func NewWatch(set *Set, o Options) *Watch {
	if o.Memory == 0 {
		o.Memory = hitMemory
	}
	return &Watch{
		set: set, opts: o, hits: map[string]*hit{}, held: map[string]*held{}, quiet: map[string]event.Time{},
		early: map[string][]string{}, once: map[string]event.Time{},
		observed: newObserved(),
	}
}

// Use judges by other rules from now on. Events that came before are not judged by
// them; timelines are, with their next revision.
func (w *Watch) Use(set *Set) { w.set = set }

// Set is what it judges by, nil for nothing.
func (w *Watch) Set() *Set { return w.set }

// Lost is how many events that a rule may hold for were forgotten before it was known
// whose they are, and alerts that were told early before their request had closed,
// because there were more than Options.Memory holds.
func (w *Watch) Lost() uint64 { return w.lost }

// Verdict is what is true of a timeline or an event now.
type Verdict struct {
	// Timeline is the id of what was judged, empty for an event without a request.
	Timeline string
	// Found are the alerts, at most one a rule, in the order of the rules.
	Found []alert.Alert
	// Early are alerts that were told of its events before the request closed: one
	// that is not found is refuted.
	Early []string
}

// Event takes in an event as it comes; now is the stream's time. A monotone rule that
// asks nothing of the request is judged at once: of one request, or of one process or
// connection where the event names no trace, the first event is told, the others
// become part of its alert when the request closes.
func (w *Watch) Event(e *event.Event, now event.Time) (v Verdict, err error) {
	if w.set == nil {
		return v, nil
	}
	w.now = max(w.now, now)
	w.observe(e, now, w.opts.Keep)
	rules, f, err := w.set.events(e)
	if len(rules) == 0 || w.hits[f.id] != nil {
		return v, err
	}
	h := &hit{id: f.id, subject: f.subject, at: f.at, rules: rules, set: w.set, came: now}
	if slices.ContainsFunc(rules, func(n int) bool { return w.set.Rules[n].uses&useRequest != 0 }) {
		h.fact = f
	}
	w.hits[f.id] = h
	w.queue = append(w.queue, h)
	for w.bytes += h.size(); w.bytes > w.opts.Memory && len(w.queue) > 1; {
		w.forget(1)
	}
	if e.Kind.Control() { // no request ever claims it
		return w.Unmatched(e)
	}
	if !w.opts.Early {
		return v, err
	}
	v.Timeline = f.TraceID // the id of the first request of its trace
	for _, n := range rules {
		r := w.set.Rules[n]
		if !w.set.monotone[n] || r.uses&useRequest != 0 {
			continue
		}
		key := r.ID + "\x00" + f.TraceID
		if f.TraceID == "" {
			key += f.subject
		}
		if last, ok := w.once[key]; ok && now.Sub(last) < w.opts.Claim {
			continue
		}
		w.once[key] = now
		a := r.ofEvent(f.id, f.at)
		a.TimelineID = f.TraceID
		if w.note(&a) {
			v.Found = append(v.Found, a)
		}
	}
	return v, err
}

func (w *Watch) forget(n int) {
	for _, h := range w.queue[:n] {
		if w.bytes -= h.size(); w.hits[h.id] == h {
			if !h.done {
				w.lost++
			}
			delete(w.hits, h.id)
		}
	}
	clear(w.queue[:n])
	w.queue = w.queue[n:] // moving the rest would cost as much as all that is there
}

// Live judges an open timeline by the monotone rules, on what is joined exactly.
// What it finds is told once and then left until the request has closed.
func (w *Watch) Live(t *timeline.Timeline) (Verdict, error) {
	v := Verdict{Timeline: t.ID}
	if !w.opts.Early || !w.set.Early() {
		return v, nil
	}
	found, err := w.judge(t, func(n int) bool { return w.set.monotone[n] })
	for i := range found {
		a := w.set.alert(t, &found[i])
		if a.Gaps = []string{}; a.Exact && w.note(&a) {
			v.Found = append(v.Found, a)
		}
	}
	return v, err
}

// note remembers an alert that is told early; false if it was before.
func (w *Watch) note(a *alert.Alert) bool {
	if len(a.EventIDs) == 0 {
		return true
	}
	first := a.EventIDs[0]
	if slices.Contains(w.early[first], a.ID) {
		return false
	}
	if w.early[first] == nil {
		w.first = append(w.first, noted{first, w.now})
	}
	w.early[first] = append(w.early[first], a.ID)
	if len(w.first) > int(w.opts.Memory/earlySize) {
		w.unnote(1)
	}
	return true
}

// earlySize is about what it takes to remember an alert that was told early, in bytes.
const earlySize = 256

// unnote forgets what was told early of the n events that came first.
func (w *Watch) unnote(n int) {
	for _, one := range w.first[:n] {
		if w.early[one.event] != nil {
			w.lost++
			delete(w.early, one.event)
		}
	}
	clear(w.first[:n])
	w.first = w.first[n:]
}

// take returns what was told early of an event, once.
func (w *Watch) take(event string) []string {
	ids := w.early[event]
	delete(w.early, event)
	return ids
}

// Closed judges a revision of a closed timeline by all rules. A refutable finding is
// held back where what would refute it may still come: Advance tells it later.
// watermark is the time before which everything has come.
func (w *Watch) Closed(t *timeline.Timeline, watermark event.Time) (Verdict, error) {
	delete(w.held, t.ID)
	v := Verdict{Timeline: t.ID}
	if t.SupersededBy != "" {
		return v, nil // it is judged where it went
	}
	if len(w.early) > 0 {
		for i := range t.Steps {
			for _, id := range t.Steps[i].EventIDs {
				v.Early = append(v.Early, w.take(id)...)
			}
		}
	}
	if w.set == nil {
		return v, nil
	}
	found, err := w.judge(t, func(int) bool { return true })
	w.explain(t)
	var until event.Time
	if due := w.open.Add(w.opts.Claim + decided); w.open > 0 && due > watermark && len(w.held) < maxHeld {
		until = due
	}
	found = append(found, w.ofEvents(t, &err)...)
	slices.SortStableFunc(found, func(a, b finding) int { return cmp.Compare(a.rule, b.rule) })
	for i := range found {
		f := &found[i]
		a := w.set.alert(t, f)
		if !w.set.monotone[f.rule] || !a.Exact && w.set.Rules[f.rule].Event == "" {
			if due := w.due(t, f); due > watermark && len(w.held) < maxHeld {
				until = max(until, due)
				continue
			}
		}
		v.Found = append(v.Found, a)
	}
	if until > 0 {
		as := *t
		as.Alerts = slices.Clone(t.Alerts) // the caller adds what was found
		w.held[t.ID] = &held{&as, until}
	}
	return v, err
}

// decided is how long after the claim horizon it is known which tool ran which program.
const decided = 3 * time.Minute

// due is when nothing can refute a finding any more. Children are exported before
// their parents, so a span of the agent or the server around it says that those
// within it have come.
func (w *Watch) due(t *timeline.Timeline, f *finding) event.Time {
	steps := f.steps
	if len(steps) == 0 {
		steps = []int{0}
	}
	var due event.Time
	for _, n := range steps {
		if n < len(t.Steps) && !enclosed(t, &t.Steps[n], len(f.steps) == 0) {
			due = max(due, t.Steps[n].Start.Add(w.opts.Claim))
		}
	}
	return due
}

func enclosed(t *timeline.Timeline, s *timeline.Step, whole bool) bool {
	spans := false
	for i := range t.Steps {
		o := &t.Steps[i]
		if o.SpanID == "" || o.Layer == timeline.LayerEdge {
			continue
		}
		spans = true
		if (o.Layer == timeline.LayerServer || o.Layer == timeline.LayerAgent) &&
			(whole || o.Start <= s.Start && o.End >= s.Start && (o.Node == s.Node || s.Node == "")) {
			return true
		}
	}
	return !spans // nobody tells of this request at all
}

// ofEvents finds the events of a timeline that a rule about events holds for.
func (w *Watch) ofEvents(t *timeline.Timeline, errs *error) (found []finding) {
	if len(w.hits) == 0 {
		return nil
	}
	var whole *request
	byRule := map[int]*finding{}
	at := map[int][]*hit{}
	for i := range t.Steps {
		for _, id := range t.Steps[i].EventIDs {
			h := w.hits[id]
			if h == nil || h.set != w.set {
				continue
			}
			h.done = true
			for _, n := range h.rules {
				if w.set.Rules[n].uses&useRequest != 0 {
					if whole == nil {
						v := view{t: t, w: w}
						whole = v.request(true)
					}
					h.fact.OfAgent = w.ofAgent(h.fact)
					ok, err := w.set.Rules[n].conditions[0].holds(&subject{event: h.fact, request: whole})
					if err != nil {
						*errs = errors.Join(*errs, fmt.Errorf("judge rule %s on %s: %w", w.set.Rules[n].ID, t.ID, err))
					}
					if !ok {
						continue
					}
				}
				f := byRule[n]
				if f == nil {
					f = &finding{rule: n}
					byRule[n] = f
				}
				if len(f.steps) == 0 || f.steps[len(f.steps)-1] != i {
					f.steps = append(f.steps, i)
				}
				at[n] = append(at[n], h)
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(byRule)) {
		facts := at[n]
		slices.SortStableFunc(facts, func(a, b *hit) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id)) })
		for _, f := range facts {
			byRule[n].events = append(byRule[n].events, f.id)
		}
		found = append(found, *byRule[n])
	}
	return found
}

// Unmatched judges an event that belongs to no request, or to one of several. Of one
// subject (a process, a pod and whom it asked) one alert is told in Claim.
func (w *Watch) Unmatched(e *event.Event) (v Verdict, err error) {
	h := w.hits[e.ID.String()]
	if h == nil {
		return v, nil
	}
	h.done = true
	v.Early = w.take(h.id)
	if h.set != w.set {
		return v, nil
	}
	for _, n := range h.rules {
		r := w.set.Rules[n]
		if r.uses&useRequest != 0 {
			h.fact.OfAgent = w.ofAgent(h.fact)
			ok, broken := r.conditions[0].holds(&subject{event: h.fact, request: &request{}})
			if broken != nil {
				err = errors.Join(err, fmt.Errorf("judge rule %s on event %s: %w", r.ID, h.id, broken))
			}
			if !ok {
				continue
			}
		}
		key := r.ID + "\x00" + h.subject
		if last, ok := w.quiet[key]; ok && h.at.Sub(last) < w.opts.Claim {
			continue
		}
		w.quiet[key] = h.at
		v.Found = append(v.Found, r.ofEvent(h.id, h.at))
	}
	return v, err
}

// ofEvent is the alert of an event without a request.
func (r *Rule) ofEvent(id string, at event.Time) alert.Alert {
	return alert.Alert{
		ID: idOf(r.ID, id, ""), RuleID: r.ID, Severity: r.Severity, Title: r.Title, State: alert.Open, Time: at,
		StepIDs: []string{}, EventIDs: []string{id}, Exact: true, Confidence: 1, Gaps: []string{}, Tags: r.Tags,
	}
}

// Advance says that time has passed: watermark is the time before which everything
// has come, now the stream's. It answers what was held back and is due.
func (w *Watch) Advance(watermark, now event.Time) (list []Verdict, err error) {
	w.now = max(w.now, now)
	var ids []string
	for id, h := range w.held {
		if h.until <= watermark {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		v, broken := w.Closed(w.held[id].t, watermark)
		for i := range v.Found { // its revision does not list them: the next one asks for them
			w.note(&v.Found[i])
		}
		list, err = append(list, v), errors.Join(err, broken)
	}
	old := 0
	for old < len(w.queue) && now.Sub(w.queue[old].came) > w.opts.Keep {
		old++
	}
	if old > 0 {
		w.forget(old)
	}
	if now.Sub(w.swept) > w.opts.Claim {
		w.swept = now
		for old = 0; old < len(w.first) && now.Sub(w.first[old].at) > w.opts.Claim+w.opts.Keep; {
			old++
		}
		w.unnote(old)
		past := func(_ string, at event.Time) bool { return now.Sub(at) > w.opts.Claim+w.opts.Keep }
		maps.DeleteFunc(w.once, past)
		maps.DeleteFunc(w.quiet, past)
	}
	return list, err
}
