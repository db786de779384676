package live

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/bus"
	"github.com/sennit-io/sennit/ingest/otlp/receiver"
	"github.com/sennit-io/sennit/ingest/tail"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/sinks/fanout"
)

// Metrics are the counters of a processor, in the names of --stats. They count
// from the start of the state: recovery counts again what it pushes again.
type Metrics struct {
	isReady   atomic.Bool
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
	otlp      func() receiver.Counts // nil for no receiver
	followed  func() tail.Counts     // nil for no followed files
	up        map[event.Source]bool  // streams that are followed
	spool     *bus.Spool             // nil for none
	gaveUp    [event.Sources]uint64  // events that the spool had no room for
	alerts    map[[2]string]uint64   // by rule and severity
	commits   prometheus.Histogram
	lanes     []*fanout.Lane
}

// NewMetrics returns metrics that are registered with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{up: map[event.Source]bool{}, envelopes: map[string]uint64{}, drops: map[string]uint64{}, alerts: map[[2]string]uint64{}, commits: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sennit_commit_seconds", Help: "Time to make a turn durable.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
	})}
	r.MustRegister(m)
	return m
}

// Ready reports whether the processor reads from the bus.
func (m *Metrics) Ready() bool { return m.isReady.Load() }

func (m *Metrics) ready(v bool) { m.isReady.Store(v) }

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

func (m *Metrics) commit(d time.Duration) { m.commits.Observe(d.Seconds()) }

func (m *Metrics) engine(e *shard.Engine, now event.Time, pending uint64, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats, m.now, m.mark, m.pending, m.bytes = e.Stats(), now, e.Watermark(), pending, bytes
}

var (
	descEvents    = prometheus.NewDesc("sennit_events_total", "Events that entered (in, derived) and their one final fate.", []string{"fate", "reason"}, nil)
	descHeld      = prometheus.NewDesc("sennit_events_held", "Events whose fate is open: in + derived less all fates.", nil, nil)
	descTimelines = prometheus.NewDesc("sennit_timelines_total", "Timelines by what happened to them.", []string{"what"}, nil)
	descOpen      = prometheus.NewDesc("sennit_timelines_open", "Timelines that are not closed yet.", nil, nil)
	descJoins     = prometheus.NewDesc("sennit_joins_total", "Joined events by method.", []string{"method"}, nil)
	descRecords   = prometheus.NewDesc("sennit_records_total", "Records from senders, followed files, agents and the kernel: in = events + bad + unknown_type + forged.", []string{"source", "what"}, nil)
	descSentAway  = prometheus.NewDesc("sennit_otlp_sent_away_total", "Requests whose records are not among those in, to come again (busy: no room, failed: the events could not be handed on), and connections of peers that have too many (crowded).", []string{"why"}, nil)
	descFollowed  = prometheus.NewDesc("sennit_followed_problems_total", "Lines of followed files that were passed over since they are longer than 16 MiB (long_line), and attempts to read that failed (read_error).", []string{"what"}, nil)
	descLost      = prometheus.NewDesc("sennit_lost_upstream_total", "Records that a source lost before they were read.", []string{"source"}, nil)
	descUp        = prometheus.NewDesc("sennit_source_up", "Whether the stream of an agent is followed.", []string{"source"}, nil)
	descSpooled   = prometheus.NewDesc("sennit_spool_envelopes", "Envelopes on the disk that the bus does not have yet.", nil, nil)
	descSpool     = prometheus.NewDesc("sennit_spool_bytes", "Their size.", nil, nil)
	descGaveUp    = prometheus.NewDesc("sennit_spool_dropped_events_total", "Events that had to make room in a full spool; each is part of a loss.", []string{"source"}, nil)
	descAlerts    = prometheus.NewDesc("sennit_alerts_total", "Alerts, each once, by rule.", []string{"rule", "severity"}, nil)
	descEnvelopes = prometheus.NewDesc("sennit_bus_envelopes_total", "Envelopes by what became of them.", []string{"result"}, nil)
	descLeads     = prometheus.NewDesc("sennit_processor_leads", "Whether this processor sends the results of all.", nil, nil)
	descPending   = prometheus.NewDesc("sennit_bus_pending", "Messages in the stream behind the last one read.", nil, nil)
	descDelay     = prometheus.NewDesc("sennit_watermark_delay_seconds", "How far the watermark is behind the engine's clock.", nil, nil)
	descSinks     = prometheus.NewDesc("sennit_sink_results_total", "Results for a sink by what became of them: delivered, dead, ignored; retried counts attempts.", []string{"sink", "what"}, nil)
	descBacklog   = prometheus.NewDesc("sennit_sink_backlog", "Messages of results that a sink has not taken yet: an alert each, or up to some hundreds of timelines.", []string{"sink"}, nil)
	descBytes     = prometheus.NewDesc("sennit_state_bytes", "Size of the state folder.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descEvents, descHeld, descTimelines, descOpen, descJoins, descRecords, descSentAway, descFollowed, descLost, descUp,
		descSpooled, descSpool, descGaveUp,
		descAlerts, descEnvelopes, descLeads, descPending, descDelay,
		descSinks, descBacklog,
		descBytes,
	} {
		ch <- d
	}
	m.commits.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.commits.Collect(ch)
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
	put(descHeld, prometheus.GaugeValue, float64(e.Held))
	t := &m.stats.Timelines
	count(descTimelines, t.Closed, "closed")
	count(descTimelines, t.Revised, "revised")
	count(descTimelines, t.Superseded, "superseded")
	put(descOpen, prometheus.GaugeValue, float64(t.Open))
	for method, n := range m.stats.Joins {
		count(descJoins, n, method)
	}
	records, forged := m.records, 0
	if m.otlp != nil {
		c := m.otlp()
		records[event.SourceOTLP].Add(ingest.Tally{In: int(c.In), Bad: int(c.Bad + c.Forged), UnknownType: int(c.UnknownType)})
		forged = int(c.Forged)
		count(descSentAway, c.Busy, "busy")
		count(descSentAway, c.Failed, "failed")
		count(descSentAway, c.Crowded, "crowded")
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
				t.Bad -= forged
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
		envelopes, bytes := m.spool.Size()
		put(descSpooled, prometheus.GaugeValue, float64(envelopes))
		put(descSpool, prometheus.GaugeValue, float64(bytes))
		for source, n := range m.gaveUp {
			if n > 0 {
				count(descGaveUp, n, event.Source(source).String())
			}
		}
	}
	for source, up := range m.up {
		v := 0.0
		if up {
			v = 1
		}
		put(descUp, prometheus.GaugeValue, v, source.String())
	}
	for of, n := range m.alerts {
		count(descAlerts, n, of[0], of[1])
	}
	for result, n := range m.envelopes {
		count(descEnvelopes, n, result)
	}
	leads := 0.0
	if m.leads {
		leads = 1
	}
	put(descLeads, prometheus.GaugeValue, leads)
	put(descPending, prometheus.GaugeValue, float64(m.pending))
	if m.mark != 0 {
		put(descDelay, prometheus.GaugeValue, m.now.Sub(m.mark).Seconds())
	}
	for _, l := range m.lanes {
		st := l.Status()
		count(descSinks, st.Delivered, st.Name, "delivered")
		count(descSinks, st.Retried, st.Name, "retried")
		count(descSinks, st.Dead, st.Name, "dead")
		count(descSinks, st.Ignored, st.Name, "ignored")
		put(descBacklog, prometheus.GaugeValue, float64(st.Backlog), st.Name)
	}
	put(descBytes, prometheus.GaugeValue, float64(m.bytes))
}
