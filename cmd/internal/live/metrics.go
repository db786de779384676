package live

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/otlp/receiver"
	"github.com/sennit-io/sennit/ingest/socket"
	"github.com/sennit-io/sennit/ingest/tail"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// Metrics are the counters of a processor, in the names of --stats. They count
// from the start of the state: recovery counts again what it pushes again.
type Metrics struct {
	notReads  atomic.Pointer[error] // nil: nothing was said yet
	notSends  atomic.Pointer[error]
	leads     bool
	mu        sync.Mutex
	stats     shard.Stats
	now, mark event.Time
	pending   uint64
	bytes     int64
	envelopes map[string]uint64
	drops     map[string]uint64
	records   [event.Sources]ingest.Tally
	lost      [event.Sources]uint64
	otlp      func() receiver.Counts             // nil for no receiver
	followed  func() tail.Counts                 // nil for no followed files
	pods      func() (known int, refused uint64) // nil for no directory
	bus       *busHealth                         // nil for the bus of this process
	up        map[event.Source]bool              // streams that are followed
	spool     *bus.Spool                         // nil for none
	gaveUp    [event.Sources]uint64              // events that the spool had no room for
	alerts    map[[2]string]uint64               // by rule and severity
	ruleSet   string                             // hash of the rules, empty for none
	ruleCount int
	badRules  uint64
	forgotten uint64 // events that were not judged
	commits   prometheus.Histogram
	lanes     []*fanout.Lane
	untaken   map[string]uint64 // messages that a sink has not taken, by its name
	streams   []bus.Usage
	sockets   *socket.Source  // nil for none
	hooks     map[string]bool // places in the kernel, and whether they are watched
}

// NewMetrics returns metrics that are registered with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{up: map[event.Source]bool{}, envelopes: map[string]uint64{}, drops: map[string]uint64{}, alerts: map[[2]string]uint64{}, untaken: map[string]uint64{}, commits: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sennit_commit_seconds", Help: "Time to make a turn durable.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	})}
	r.MustRegister(m)
	return m
}

// Ready is nil if the processor reads from the bus and sends to it, else why not.
func (m *Metrics) Ready() error {
	reads, sends := m.notReads.Load(), m.notSends.Load()
	switch {
	case reads == nil:
		return errStarting
	case *reads != nil || sends == nil:
		return *reads
	}
	return *sends
}

func (m *Metrics) ready(why error) { m.notReads.Store(&why) }

// sends says why results cannot be sent, nil if they can.
func (m *Metrics) sends(why error) {
	if why != nil {
		why = fmt.Errorf("the bus does not take results: %w", why)
	}
	m.notSends.Store(&why)
}

func (m *Metrics) lead(v bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leads = v
}

func (m *Metrics) envelope(result string, n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.envelopes[result] += n
}

func (m *Metrics) dropped(reason string, n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drops[reason] += n
}

func (m *Metrics) lines(source event.Source, t ingest.Tally) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records[source].Add(t)
}

// losses counts what sources say they have lost.
func (m *Metrics) losses(list []event.Event) {
	for i := range list {
		if p, ok := list[i].Payload.(*event.Loss); ok && int(p.Of) < len(m.lost) {
			m.mu.Lock()
			m.lost[p.Of] += p.Count
			m.mu.Unlock()
		}
	}
}

func (m *Metrics) spooled(source event.Source, gaveUp int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gaveUp[source] += uint64(gaveUp)
}

func (m *Metrics) stream(source event.Source, up bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up[source] = up
}

func (m *Metrics) rules(s *detect.Set) {
	if s == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ruleSet, m.ruleCount = s.Hash, len(s.Rules)
}

func (m *Metrics) rulesFailed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.badRules++
}

func (m *Metrics) alert(a *alert.Alert) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alerts[[2]string{a.RuleID, string(a.Severity)}]++
}

// sink has a sink counted.
func (m *Metrics) sink(l *fanout.Lane) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lanes = append(m.lanes, l)
}

// missed counts results that the stream dropped before a sink had taken them.
func (m *Metrics) missed(sink string, messages uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.untaken[sink] += messages
}

func (m *Metrics) usage(list []bus.Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.streams = list
}

// watch has the shim counted.
func (m *Metrics) watch(s *socket.Source, hooks map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sockets, m.hooks = s, hooks
}

func (m *Metrics) unjudged(events uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgotten = events
}

func (m *Metrics) commit(d time.Duration) { m.commits.Observe(d.Seconds()) }

func (m *Metrics) engine(e *shard.Engine) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats, m.mark = e.Stats(), e.Watermark()
}

func (m *Metrics) read(now event.Time, pending uint64, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now, m.pending, m.bytes = now, pending, bytes
}

var (
	descRedated   = prometheus.NewDesc("sennit_events_redated_total", "Spans that their sender dated ahead of the time at which they came, and which were taken for ones of that time.", nil, nil)
	descEvents    = prometheus.NewDesc("sennit_events_total", "Events that entered (in, derived) and their one final fate.", []string{"fate", "reason"}, nil)
	descHeld      = prometheus.NewDesc("sennit_events_held", "Events whose fate is open: in + derived less all fates.", nil, nil)
	descWaiting   = prometheus.NewDesc("sennit_waiting_bytes", "Size of the events whose fate or retention is open, packed, by where they are.", []string{"where"}, nil)
	descBudget    = prometheus.NewDesc("sennit_waiting_budget_bytes", "How much of them is kept in memory (--memory), 0 for all.", nil, nil)
	descSpill     = prometheus.NewDesc("sennit_waiting_chunks_total", "Chunks of them that were read back from the disk (fetched), and that it did not take, so that they stayed in memory (refused).", []string{"what"}, nil)
	descTimelines = prometheus.NewDesc("sennit_timelines_total", "Timelines by what happened to them.", []string{"what"}, nil)
	descOpen      = prometheus.NewDesc("sennit_timelines_open", "Timelines that are not closed yet.", nil, nil)
	descJoins     = prometheus.NewDesc("sennit_joins_total", "Joined events by method.", []string{"method"}, nil)
	descRecords   = prometheus.NewDesc("sennit_records_total", "Records from senders, followed files, agents and the kernel: in = events + bad + unknown_type + forged + own (Sennit's own traces, passed over).", []string{"source", "what"}, nil)
	descSentAway  = prometheus.NewDesc("sennit_otlp_sent_away_total", "Requests whose records are not among those in, to come again (busy: no room, failed: the events could not be handed on), and connections of peers that have too many (crowded).", []string{"why"}, nil)
	descFollowed  = prometheus.NewDesc("sennit_followed_problems_total", "Lines of followed files that were passed over since they are longer than 16 MiB (long_line), and attempts to read that failed (read_error).", []string{"what"}, nil)
	descLost      = prometheus.NewDesc("sennit_lost_upstream_total", "Records that a source lost before they were read.", []string{"source"}, nil)
	descPods      = prometheus.NewDesc("sennit_pods", "Pods that are known, those that ended a minute ago included.", nil, nil)
	descNoRoom    = prometheus.NewDesc("sennit_pods_refused_total", "Pods that the directory had no room for.", nil, nil)
	descUp        = prometheus.NewDesc("sennit_source_up", "Whether the stream of an agent is followed.", []string{"source"}, nil)
	descHooks     = prometheus.NewDesc("sennit_shim_hook", "Whether a place in the kernel is watched; all is 0 where the shim could not be loaded.", []string{"hook"}, nil)
	descBlind     = prometheus.NewDesc("sennit_shim_problems_total", "What the shim did not see or could not read: records that did not fit (lost) or are damaged (bad), heads that were none (unreadable), header blocks of HTTP/2 that refer to what was not seen (unknown), connections that were forgotten for want of room, processes whose TLS was not looked into (unfollowed), pieces of answers within TLS that were not copied (unread), answers to a POST within TLS that are neither JSON nor events, also when unpacked (opaque), and outside TLS, which are not looked into (plain).", []string{"what"}, nil)
	descSpooled   = prometheus.NewDesc("sennit_spool_envelopes", "Envelopes on the disk that the bus does not have yet.", nil, nil)
	descSpool     = prometheus.NewDesc("sennit_spool_bytes", "Their size.", nil, nil)
	descGaveUp    = prometheus.NewDesc("sennit_spool_dropped_events_total", "Events that had to make room in a full spool; each is part of a loss.", []string{"source"}, nil)
	descAlerts    = prometheus.NewDesc("sennit_alerts_total", "Alerts, each once, by rule.", []string{"rule", "severity"}, nil)
	descConnected = prometheus.NewDesc("sennit_bus_connected", "Whether the bus is connected.", nil, nil)
	descTakes     = prometheus.NewDesc("sennit_bus_takes", "Whether the bus takes what is sent to it: 0 while it is away, and while it refuses.", nil, nil)
	descRefusals  = prometheus.NewDesc("sennit_bus_refusals_total", "Times that the bus said that its user may not: permissions, and credentials that it does not know.", nil, nil)
	descRules     = prometheus.NewDesc("sennit_rules", "How many rules judge, by the hash of their files: replicas should have the same.", []string{"hash"}, nil)
	descBadRules  = prometheus.NewDesc("sennit_rules_reload_failed_total", "Changed rules that were wrong; those before stayed.", nil, nil)
	descForgotten = prometheus.NewDesc("sennit_rules_forgotten_total", "Events that a rule may hold for, and alerts told early, that were forgotten before their request had closed: more came than memory is kept for.", nil, nil)
	descEnvelopes = prometheus.NewDesc("sennit_bus_envelopes_total", "Envelopes by what became of them.", []string{"result"}, nil)
	descLeads     = prometheus.NewDesc("sennit_processor_leads", "Whether this processor sends the results of all.", nil, nil)
	descPending   = prometheus.NewDesc("sennit_bus_pending", "Messages in the stream behind the last one read.", nil, nil)
	descDelay     = prometheus.NewDesc("sennit_watermark_delay_seconds", "How far the watermark is behind the engine's clock.", nil, nil)
	descSinks     = prometheus.NewDesc("sennit_sink_results_total", "Results for a sink by what became of them: delivered, dead, ignored; retried counts attempts; shown and unshown are views of open requests.", []string{"sink", "what"}, nil)
	descBacklog   = prometheus.NewDesc("sennit_sink_backlog", "Messages of results that a sink has not taken yet: an alert each, or up to some hundreds of timelines.", []string{"sink"}, nil)
	descUntaken   = prometheus.NewDesc("sennit_sink_missed_messages_total", "Messages that the stream of results dropped before the sink had taken them, at most: some may not have been for it.", []string{"sink"}, nil)
	descStream    = prometheus.NewDesc("sennit_bus_stream_bytes", "Size of a stream of the bus.", []string{"stream"}, nil)
	descStreamMax = prometheus.NewDesc("sennit_bus_stream_max_bytes", "Size at which a stream drops its oldest messages.", []string{"stream"}, nil)
	descBytes     = prometheus.NewDesc("sennit_state_bytes", "Size of the state folder.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descEvents, descRedated, descHeld, descWaiting, descBudget, descSpill, descTimelines, descOpen, descJoins, descRecords, descSentAway, descFollowed, descLost, descPods, descNoRoom, descUp, descHooks, descBlind,
		descSpooled, descSpool, descGaveUp,
		descConnected, descTakes, descRefusals,
		descAlerts, descRules, descBadRules, descForgotten, descEnvelopes, descLeads, descPending, descDelay,
		descSinks, descBacklog, descUntaken, descStream, descStreamMax,
		descBytes,
	} {
		ch <- d
	}
	m.commits.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.commits.Collect(ch)
	var spooled int
	var spooledBytes int64
	if m.spool != nil { // it counts with its lock held what it gives up
		spooled, spooledBytes = m.spool.Size()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		put(d, prometheus.CounterValue, float64(v), labels...)
	}
	e := &m.stats.Events
	for fate, n := range map[string]uint64{
		"in": e.In, "derived": e.Derived, "joined": e.Joined, "ambiguous": e.Ambiguous, "ambient": e.Ambient,
		"control": e.Control, "duplicate": e.Duplicate, "late": e.Late,
	} {
		count(descEvents, n, fate, "")
	}
	for reason, n := range e.Dropped {
		count(descEvents, n, "dropped", reason)
	}
	for reason, n := range m.drops { // before the engine
		count(descEvents, n, "refused", reason)
	}
	count(descRedated, m.stats.Redated)
	w := &m.stats.Waiting
	put(descWaiting, prometheus.GaugeValue, float64(w.Memory), "memory")
	put(descWaiting, prometheus.GaugeValue, float64(w.Spilled), "disk")
	put(descBudget, prometheus.GaugeValue, float64(w.Limit))
	count(descSpill, w.Fetched, "fetched")
	count(descSpill, w.Refused, "refused")
	put(descHeld, prometheus.GaugeValue, float64(e.Held))
	t := &m.stats.Timelines
	count(descTimelines, t.Closed, "closed")
	count(descTimelines, t.Revised, "revised")
	count(descTimelines, t.Superseded, "superseded")
	put(descOpen, prometheus.GaugeValue, float64(t.Open))
	for method, n := range m.stats.Joins {
		count(descJoins, n, method)
	}
	records, forged, own := m.records, 0, 0
	if m.otlp != nil {
		c := m.otlp()
		records[event.SourceOTLP].Add(ingest.Tally{In: int(c.In), Bad: int(c.Bad + c.Forged + c.Own), UnknownType: int(c.UnknownType)})
		forged, own = int(c.Forged), int(c.Own)
		count(descSentAway, c.Busy, "busy")
		count(descSentAway, c.Failed, "failed")
		count(descSentAway, c.Crowded, "crowded")
	}
	if m.pods != nil {
		known, refused := m.pods()
		put(descPods, prometheus.GaugeValue, float64(known))
		count(descNoRoom, refused)
	}
	if m.followed != nil {
		c := m.followed()
		count(descFollowed, c.Long, "long_line")
		count(descFollowed, c.ReadErrors, "read_error")
	}
	for source, t := range records {
		if name := event.Source(source).String(); t.In > 0 {
			count(descRecords, uint64(t.In), name, "in")
			count(descRecords, uint64(t.In-t.Bad-t.UnknownType), name, "events")
			count(descRecords, uint64(t.UnknownType), name, "unknown_type")
			if event.Source(source) == event.SourceOTLP {
				count(descRecords, uint64(forged), name, "forged")
				count(descRecords, uint64(own), name, "own")
				t.Bad -= forged + own
			}
			count(descRecords, uint64(t.Bad), name, "bad")
		}
	}
	for source, n := range m.lost {
		if n > 0 || source == int(event.SourceSocket) {
			count(descLost, n, event.Source(source).String())
		}
	}
	if m.spool != nil {
		put(descSpooled, prometheus.GaugeValue, float64(spooled))
		put(descSpool, prometheus.GaugeValue, float64(spooledBytes))
		for source, n := range m.gaveUp {
			if n > 0 {
				count(descGaveUp, n, event.Source(source).String())
			}
		}
	}
	for hook, watched := range m.hooks {
		v := 0.0
		if watched {
			v = 1
		}
		put(descHooks, prometheus.GaugeValue, v, hook)
	}
	if m.sockets != nil {
		c := m.sockets.Counts()
		for what, n := range map[string]uint64{
			"lost": c.Lost, "bad": c.Bad, "unreadable": c.Unreadable, "unknown": c.Unknown, "forgotten": c.Forgotten,
			"unfollowed": c.Unfollowed, "unread": c.Unread, "opaque": c.Opaque, "plain": c.Plain,
		} {
			count(descBlind, n, what)
		}
	}
	for source, up := range m.up {
		put(descUp, prometheus.GaugeValue, number(up), source.String())
	}
	for of, n := range m.alerts {
		count(descAlerts, n, of[0], of[1])
	}
	if m.ruleSet != "" {
		put(descRules, prometheus.GaugeValue, float64(m.ruleCount), m.ruleSet)
		count(descBadRules, m.badRules)
		count(descForgotten, m.forgotten)
	}
	for result, n := range m.envelopes {
		count(descEnvelopes, n, result)
	}
	if m.bus != nil {
		connected, takes, refusals := m.bus.counts()
		put(descConnected, prometheus.GaugeValue, number(connected))
		put(descTakes, prometheus.GaugeValue, number(takes))
		count(descRefusals, refusals)
	}
	put(descLeads, prometheus.GaugeValue, number(m.leads))
	put(descPending, prometheus.GaugeValue, float64(m.pending))
	if m.mark != 0 {
		put(descDelay, prometheus.GaugeValue, m.now.Sub(m.mark).Seconds())
	}
	for _, l := range m.lanes {
		st := l.Status()
		count(descSinks, st.Delivered, st.Name, "delivered")
		count(descSinks, st.Shown, st.Name, "shown")
		count(descSinks, st.Unshown, st.Name, "unshown")
		count(descSinks, st.Retried, st.Name, "retried")
		count(descSinks, st.Dead, st.Name, "dead")
		count(descSinks, st.Ignored, st.Name, "ignored")
		put(descBacklog, prometheus.GaugeValue, float64(st.Backlog), st.Name)
	}
	for sink, n := range m.untaken {
		count(descUntaken, n, sink)
	}
	for _, u := range m.streams {
		put(descStream, prometheus.GaugeValue, float64(u.Bytes), u.Stream)
		if u.MaxBytes > 0 {
			put(descStreamMax, prometheus.GaugeValue, float64(u.MaxBytes), u.Stream)
		}
	}
	put(descBytes, prometheus.GaugeValue, float64(m.bytes))
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
