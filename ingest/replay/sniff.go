package replay

import (
	"fmt"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// format is what wrote a record.
type format uint8

const (
	formatUnknown format = iota // well-formed JSON of no known shape
	formatHubble
	formatTetragon
	formatOTLP
	formatGCP
	formatK8s
	formatRecording
	formats
)

// source is where the records of a format count. A recording holds events of
// any source; they count where they came from.
func (f format) source() event.Source {
	return [formats]event.Source{
		formatHubble: event.SourceHubble, formatTetragon: event.SourceTetragon, formatOTLP: event.SourceOTLP,
		formatGCP: event.SourceGCP, formatK8s: event.SourceK8s,
	}[f]
}

// hint is what the name of a member says about its record.
type hint uint8

const (
	nothing hint = iota
	isHubble
	isTetragon
	isOTLP
	isGCP
	isK8s
	isTest        // Tetragon, if the value is an object
	maybeKind     // a recording's or a Kubernetes object's
	maybeSource   // a recording's
	maybePayload  // a recording's
	maybeBareFlow // two of them make a flow without its envelope
	skipVerdict   // a bare flow's, or a word of anybody's
)

// names of members by which writers are known: the envelope's members of
// cilium/api/v1/observer.ExportEvent and flow.Flow, of Tetragon's
// GetEventsResponse, of OTLP's export requests, of Cloud Logging's LogEntry and
// Dataplane V2's policy_action.log, of Kubernetes' API objects and watch
// events, and of event.Event.
func nameHint(name []byte) hint {
	switch string(name) {
	case "flow", "lost_events", "lostEvents", "node_status", "nodeStatus", "agent_event", "agentEvent", "debug_event", "debugEvent":
		return isHubble
	case "process_exec", "process_exit", "process_kprobe", "process_tracepoint", "process_loader", "process_uprobe",
		"process_usdt", "process_lsm", "process_throttle", "rate_limit_info", "process_connect", "process_close", "process_listen",
		"processExec", "processExit", "processKprobe", "processTracepoint", "processLoader", "processUprobe",
		"processUsdt", "processLsm", "processThrottle", "rateLimitInfo", "processConnect", "processClose", "processListen":
		return isTetragon
	case "test":
		return isTest
	case "resourceSpans", "resourceLogs", "resourceMetrics", "resourceProfiles",
		"resource_spans", "resource_logs", "resource_metrics", "resource_profiles":
		return isOTLP
	case "logName", "log_name", "insertId", "insert_id", "protoPayload", "jsonPayload", "textPayload", "httpRequest", "receiveTimestamp", "disposition":
		return isGCP
	case "apiVersion":
		return isK8s
	case "kind":
		return maybeKind
	case "source":
		return maybeSource
	case "payload":
		return maybePayload
	case "IP", "ip", "l4", "l7", "ethernet", "event_type", "eventType", "traffic_direction", "trafficDirection",
		"trace_observation_point", "traceObservationPoint", "is_reply", "isReply", "emitter":
		return maybeBareFlow
	case "verdict":
		return skipVerdict
	}
	return nothing
}

// sniffer tells what wrote a record. The zero value is ready.
type sniffer struct{ scan scan.JSON }

// sniff looks at the names of a record's members until one decides. An error
// says that it is no JSON; only a record that nothing decides is read whole.
func (s *sniffer) sniff(rec []byte) (format, error) {
	// Fast path: writers put the deciding member first. Sennit's own recordings
	// put their id there.
	if len(rec) > len(recordingHead)+32+len(recordingNext) && string(rec[:len(recordingHead)]) == recordingHead &&
		string(rec[len(recordingHead)+32:len(recordingHead)+32+len(recordingNext)]) == recordingNext {
		return formatRecording, nil
	}
	if f := decided(nameHint(firstName(rec))); f != formatUnknown {
		return f, nil
	}
	return s.slow(rec)
}

const (
	recordingHead = `{"id":"`
	recordingNext = `","kind":"`
)

func decided(h hint) format {
	switch h {
	case isHubble:
		return formatHubble
	case isTetragon:
		return formatTetragon
	case isOTLP:
		return formatOTLP
	case isGCP:
		return formatGCP
	case isK8s:
		return formatK8s
	}
	return formatUnknown
}

// firstName returns the name of the first member, nil for anything unusual.
func firstName(rec []byte) []byte {
	if len(rec) < 4 || rec[0] != '{' {
		return nil
	}
	i := 1
	for i < len(rec) && rec[i] <= ' ' {
		i++
	}
	if i == len(rec) || rec[i] != '"' {
		return nil
	}
	i++
	for j := i; j < len(rec) && j < i+32; j++ {
		if rec[j] == '"' {
			return rec[i:j]
		}
	}
	return nil
}

func (s *sniffer) slow(rec []byte) (format, error) {
	j := &s.scan
	j.Reset(rec)
	switch c := j.Peek(); c {
	case '{':
	case '[', '"', '-', 't', 'f', 'n', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		j.Skip()
		return formatUnknown, j.End()
	default:
		return formatUnknown, fmt.Errorf("%w: unexpected %q at the start", scan.ErrSyntax, c)
	}
	var kind, source, payload, verdict bool
	flow := 0
	for j.Object(); j.Next(); {
		h := nameHint(j.Key())
		if f := decided(h); f != formatUnknown {
			return f, nil
		}
		c := j.Peek()
		switch h {
		case isTest:
			if c == '{' {
				return formatTetragon, nil
			}
		case maybeKind:
			if c != '"' {
				break
			}
			name := j.Bytes()
			if len(name) > 0 && name[0] >= 'A' && name[0] <= 'Z' {
				return formatK8s, nil
			}
			kind = len(name) > 0
			if kind && (source || payload) {
				return formatRecording, nil
			}
			continue
		case maybeSource:
			source = c == '"'
		case maybePayload:
			payload = c == '{'
		case maybeBareFlow:
			flow++
		case skipVerdict:
			verdict = c == '"'
		case nothing:
			if string(j.Key()) == "type" && c == '"' {
				switch string(j.Bytes()) {
				case "ADDED", "MODIFIED", "DELETED", "BOOKMARK":
					return formatK8s, nil
				}
				continue
			}
		}
		switch {
		case kind && (source || payload), source && payload:
			return formatRecording, nil
		case flow >= 2, flow == 1 && verdict:
			return formatHubble, nil
		}
		j.Skip()
	}
	return formatUnknown, j.End()
}
