package main

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strings"
)

// observation is one exchange as an observer beside a workload has it.
type observation struct {
	ID        string `json:"id"`
	Workload  string `json:"workload"`
	Direction string `json:"direction"`
	Peer      string `json:"peer"`
	Start     int64  `json:"start_ns"`
	End       int64  `json:"end_ns"`
	parent    string // of an "in" the "out" that caused it, and the reverse
}

// span is one span of a Jaeger trace.
type span struct {
	ID         string `json:"spanID"`
	References []struct {
		SpanID string `json:"spanID"`
	} `json:"references"`
	Operation string `json:"operationName"`
	Process   string `json:"processID"`
	Start     int64  `json:"startTime"` // microseconds
	Duration  int64  `json:"duration"`
	Tags      []struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	} `json:"tags"`
	service, kind, parent string
}

type jaeger struct {
	ID        string `json:"traceID"`
	Spans     []span `json:"spans"`
	Processes map[string]struct {
		Service string `json:"serviceName"`
	} `json:"processes"`
	Data []jaeger `json:"data"`
}

// truth says who made each call that is scored.
type truth struct{ parent, trace map[string]string }

// readTraces turns a recording of TraceWeaver (one Jaeger trace a line, gzip) into
// what an observer without trace context sees, in an order that tells nothing, and
// the truth. The spans are prepared as the paper's harness does it for its figures;
// it scores services with a single kind of caller.
func readTraces(path string) ([]observation, truth, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, truth{}, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, truth{}, fmt.Errorf("unpack %s: %w", path, err)
	}
	var all []observation
	t := truth{parent: map[string]string{}, trace: map[string]string{}}
	callers := map[string]map[string]bool{}
	var prepare func(map[string]*span, *span) []observation
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 64<<20)
	type edge struct{ workload, id, parent, trace string }
	var edges []edge
	for lines.Scan() {
		var tr jaeger
		if err := json.Unmarshal(lines.Bytes(), &tr); err != nil {
			return nil, t, fmt.Errorf("read %s: %w", path, err)
		}
		if len(tr.Data) > 0 {
			tr = tr.Data[0]
		}
		spans := tr.index()
		if prepare == nil {
			prepare = preparation(spans)
		}
		prepared := prepare(spans, rootOf(spans))
		in := map[string]string{} // span → opaque id
		for _, o := range prepared {
			if o.Direction == "in" {
				in[o.ID] = opaque(tr.ID, "in", o.ID)
			}
		}
		for _, o := range prepared {
			span := o.ID
			o.ID = opaque(tr.ID, o.Direction, span)
			if o.Direction == "in" {
				if callers[o.Workload] == nil {
					callers[o.Workload] = map[string]bool{}
				}
				callers[o.Workload][o.Peer] = true
			} else {
				edges = append(edges, edge{o.Workload, o.ID, in[o.parent], tr.ID})
			}
			all = append(all, o)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, t, fmt.Errorf("read %s: %w", path, err)
	}
	for _, e := range edges {
		if len(callers[e.workload]) == 1 {
			t.parent[e.id], t.trace[e.id] = e.parent, e.trace
		}
	}
	slices.SortFunc(all, func(a, b observation) int { return strings.Compare(a.ID, b.ID) })
	return all, t, nil
}

func (tr *jaeger) index() map[string]*span {
	spans := make(map[string]*span, len(tr.Spans))
	for i := range tr.Spans {
		s := &tr.Spans[i]
		s.service = tr.Processes[s.Process].Service
		if len(s.References) > 0 {
			s.parent = s.References[0].SpanID
		}
		for _, tag := range s.Tags {
			if tag.Key == "span.kind" {
				s.kind, _ = tag.Value.(string)
			}
		}
		spans[s.ID] = s
	}
	return spans
}

func rootOf(spans map[string]*span) *span {
	for _, s := range spans {
		if s.parent == "" {
			return s
		}
	}
	return nil
}

// opaque hides what an id would tell of the trace.
func opaque(parts ...string) string {
	h := fnv.New128a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	sum := h.Sum(nil)
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(sum[:8])^binary.BigEndian.Uint64(sum[8:])))
}

// preparation knows the application by its operations.
func preparation(spans map[string]*span) func(map[string]*span, *span) []observation {
	for _, s := range spans {
		switch s.Operation {
		case "init-span":
			return prepareNode
		case "ComposeReview":
			return prepareMedia
		}
	}
	return prepareHotel
}

// prepareHotel takes the traces of one page; client and server spans are both
// recorded and used as they are.
func prepareHotel(spans map[string]*span, root *span) (out []observation) {
	if root.Operation != "HTTP GET /hotels" {
		return nil
	}
	callee := map[string]string{}
	for _, s := range spans {
		if s.kind == "server" && s.parent != "" {
			callee[s.parent] = s.service
		}
	}
	for _, s := range spans {
		switch {
		case s.kind != "server":
			out = append(out, observe("out", s.ID, s.service, callee[s.ID], s, s.parent))
		case s.parent == "":
			out = append(out, observe("in", s.ID, s.service, "client", s, ""))
		default:
			out = append(out, observe("in", s.ID, s.service, spans[s.parent].service, s, s.parent))
		}
	}
	return out
}

// prepareMedia cuts the trace at ComposeReview and drops what a process does
// within itself; the other spans are server spans.
func prepareMedia(spans map[string]*span, _ *span) []observation {
	var root *span
	for _, s := range spans {
		if s.Operation == "ComposeReview" {
			root = s
		}
	}
	if root == nil {
		return nil
	}
	for above := root.parent; above != ""; {
		s := spans[above]
		delete(spans, above)
		above = s.parent
	}
	root.parent = ""
	var internal []string
	for id, s := range spans {
		if s.parent != "" && spans[s.parent].Process == s.Process {
			internal = append(internal, id)
		}
	}
	for _, id := range internal {
		delete(spans, id)
	}
	return mirror(spans, root)
}

func prepareNode(spans map[string]*span, root *span) []observation {
	if root.Operation != "init-span" {
		return nil
	}
	return mirror(spans, root)
}

// mirror makes of every span below the root what its service served and what its
// parent's called.
func mirror(spans map[string]*span, root *span) []observation {
	out := []observation{observe("in", root.ID, root.service, "client", root, "")}
	for _, s := range spans {
		if s == root {
			continue
		}
		caller := spans[s.parent].service
		out = append(out,
			observe("out", s.ID+"/c", caller, s.service, s, s.parent),
			observe("in", s.ID, s.service, caller, s, s.ID+"/c"))
	}
	return out
}

func observe(direction, id, workload, peer string, s *span, parent string) observation {
	return observation{
		ID: id, Workload: workload, Direction: direction, Peer: peer,
		Start: s.Start * 1000, End: (s.Start + s.Duration) * 1000, parent: parent,
	}
}
