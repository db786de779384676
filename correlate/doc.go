// Package correlate joins events into timelines. It has no clock, no network,
// no goroutine (but for package shard) and no logger: what comes out is a
// function of the events and their times alone, so replay is production.
//
// Data flows one way:
//
//	events ─▶ window (what is due) ─▶ bind (per node: whose is it?) ─▶ stitch (per request: one timeline) ─▶ state (commit, outbox)
//
// This package holds the language between bind and stitch: rows, links and
// aliases under keys.
package correlate

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Key names a group of evidence in stitch: a trace id, or, for a request that
// has none, a hash of its first exchange.
type Key struct {
	ID    [16]byte
	Local bool // not a trace id
}

// TraceKey is the key of a trace.
func TraceKey(t event.TraceID) Key { return Key{ID: t} }

// LocalKey is the key of a request without a trace id, made from the event that
// began it.
func LocalKey(id event.ID) Key { return Key{ID: id, Local: true} }

// IsZero reports whether no key is known.
func (k Key) IsZero() bool { return k == Key{} }

// Hash spreads keys over shards.
func (k Key) Hash() uint64 { return event.TraceID(k.ID).Hash64() }

// String is the timeline id of the key's first request.
func (k Key) String() string { return hex.EncodeToString(k.ID[:]) }

// Compare orders keys by their bytes.
func (k Key) Compare(l Key) int {
	a, b := binary.BigEndian.Uint64(k.ID[:8]), binary.BigEndian.Uint64(l.ID[:8])
	if a == b {
		a, b = binary.BigEndian.Uint64(k.ID[8:]), binary.BigEndian.Uint64(l.ID[8:])
	}
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case k.Local == l.Local:
		return 0
	case l.Local:
		return -1
	}
	return 1
}

// Method is the rung of the ladder on which a join rests. A smaller one is
// stronger.
type Method uint8

// The exact rungs, strongest first.
const (
	NoMethod Method = iota
	TraceContext
	SpanPeer
	SpanSocket
	ResponseID
	Goroutine
	SocketCookie
	SockAddress
	FiveTuple
	ExecLineage
)

// The inferred rungs, strongest first.
const (
	ToolCommand Method = iota + ExecLineage + 1
	Usage
	GoroutineParent
	Thread
	Assignment
	ToolWindow
	DNSName
	EdgeWindow
	methodCount
)

// Methods is the number of methods, for tables indexed by one.
const Methods = int(methodCount)

var methodNames = [methodCount]string{
	"", timeline.TraceContext, timeline.SpanPeer, timeline.SpanSocket, timeline.ResponseID, timeline.Goroutine,
	timeline.SocketCookie, timeline.SockAddress, timeline.FiveTuple, timeline.ExecLineage,
	timeline.ToolCommand, timeline.Usage, timeline.GoroutineParent, timeline.Thread, timeline.Assignment,
	timeline.ToolWindow, timeline.DNSName, timeline.EdgeWindow,
}

func (m Method) String() string { return methodNames[m] }

// Row is one event that belongs to a group.
type Row struct {
	Key    Key
	Event  *event.Event
	Method Method
	// Copy marks a second row of one event (a denial that hit several open
	// requests): it is shown, and counted elsewhere.
	Copy bool
	// Late marks evidence that came after its window.
	Late bool
	// Counted is stitch's own mark: the event's fate has been counted.
	Counted bool
	// Conn is the connection the event happened on, nil for none. It belongs
	// to bind and goes on changing until the connection is forgotten.
	Conn *Conn
	// Span is the span that this observation and a claim have in common, or
	// hangs below, zero when bind found none.
	Span event.SpanID
	// Inferred is set where the join, or one that it hangs on, is no more than
	// likely; Method is then its rung.
	Inferred *Inference
}

// Conn sums up a connection for the steps that used it.
type Conn struct {
	Cookie   event.SocketCookie
	Opened   event.Time
	SNI      string
	Verdict  event.Verdict
	Workload *event.Workload // of the local end, nil when unknown
	PID      uint32
	// Steps counts the requests that used the connection.
	Steps uint32
}

// LinkKind says what a link states.
type LinkKind uint8

// Link kinds.
const (
	// LinkSpan: the exchange From and the span To are one step.
	LinkSpan LinkKind = iota
	// LinkPeer: the server's exchange From was caused by the client's exchange To.
	LinkPeer
	// LinkCause: the event From happened because of, and below, the event To, or
	// the span Span.
	LinkCause
)

// Link is a relation between two events of one group that only bind can see.
type Link struct {
	Key    Key
	Kind   LinkKind
	From   event.ID
	To     event.ID     // LinkPeer, LinkCause
	Span   event.SpanID // LinkSpan; LinkCause by a span, To is zero then
	Method Method
	Time   event.Time // event time of From
}

// Alias states that two keys are one request.
type Alias struct {
	A, B   Key
	Method Method
	Time   event.Time
	// Inferred is set where that is no more than likely: what A names hangs
	// below what B names.
	Inferred *Inference
}

// Fate is the one final end of an event.
type Fate uint8

// Fates, as the conservation law names them.
const (
	Joined Fate = iota
	Ambiguous
	Ambient
	Control
	Duplicate
	Late
	Dropped
	fateCount
)

// Fates is the number of fates, for tables indexed by one.
const Fates = int(fateCount)

var fateNames = [fateCount]string{"joined", "ambiguous", "ambient", "control", "duplicate", "late", "dropped"}

func (f Fate) String() string { return fateNames[f] }

// Unmatched is an event that reached no timeline.
type Unmatched struct {
	Event      *event.Event
	Fate       Fate
	Candidates []timeline.Candidate
}
