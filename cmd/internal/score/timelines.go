package score

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// step is what scoring needs of a timeline.Step.
type step struct {
	timeline   int32
	node       int32
	method     int8 // -1: unknown
	exact      bool
	layer      timeline.Layer
	confidence float64
	pid        uint32
	cookie     uint64
	stream     uint32
	start      int64
	observed   int64 // observed.start, 0 for none
}

// seen is when the step began by those who observed it.
func (s *step) seen() int64 {
	if s.observed != 0 {
		return s.observed
	}
	return s.start
}

// tl is one timeline.
type tl struct {
	id       string
	revision uint32
	dead     bool // superseded, or an older revision
	owner    int32
}

var methodIndex = func() map[string]int {
	m := map[string]int{}
	for _, list := range [][]string{timeline.ExactMethods, timeline.InferredMethods} {
		for _, name := range list {
			m[name] = len(m)
		}
	}
	return m
}()

var (
	methodNames = append(append([]string{}, timeline.ExactMethods...), timeline.InferredMethods...)
	exactBits   = uint32(1)<<len(timeline.ExactMethods) - 1
)

func (s *scorer) readTimelines(r io.Reader) error {
	last := map[string]int32{}
	return eachLine(r, "timelines", func(line []byte) error {
		var in timeline.Timeline
		if err := json.Unmarshal(line, &in); err != nil {
			return err
		}
		if in.ID == "" {
			return fmt.Errorf("no timeline_id: is this the output of replay -o json?")
		}
		if in.SupersededBy != "" {
			if i, ok := last[in.ID]; ok {
				s.timelines[i].dead = true
			}
			return nil
		}
		n := int32(len(s.timelines))
		if i, ok := last[in.ID]; ok {
			switch old := &s.timelines[i]; {
			case in.Revision > old.revision:
				old.dead = true
			case in.Revision < old.revision:
				return nil
			default:
				s.report.DuplicateTimelines++
			}
		}
		last[in.ID] = n
		s.timelines = append(s.timelines, tl{id: in.ID, revision: in.Revision, owner: -1})
		for i := range in.Steps {
			if err := s.addStep(n, &in.Steps[i]); err != nil {
				return fmt.Errorf("step %s: %w", in.Steps[i].ID, err)
			}
		}
		for _, a := range in.Ambiguous {
			var id event.ID
			if err := id.UnmarshalText([]byte(a.EventID)); err != nil {
				return fmt.Errorf("ambiguous event: %w", err)
			}
			s.ambiguous[id] = struct{}{}
		}
		return nil
	})
}

func (s *scorer) addStep(n int32, in *timeline.Step) error {
	st := step{
		timeline: n, node: s.names.index(in.Node), method: -1, exact: in.Join.Exact, layer: in.Layer,
		confidence: in.Join.Confidence, pid: in.PID, start: int64(in.Start),
	}
	if i, ok := methodIndex[in.Join.Method]; ok {
		st.method = int8(i)
	}
	if in.SocketCookie != "" {
		c, err := strconv.ParseUint(in.SocketCookie, 10, 64)
		if err != nil {
			return fmt.Errorf("socket_cookie: %w", err)
		}
		st.cookie = c
	}
	if a, ok := in.Attributes.Get("http2.stream_id"); ok {
		st.stream = uint32(number(a))
	}
	if a, ok := in.Attributes.Get("observed.start"); ok {
		if a.IsNum {
			st.observed = a.Num
		} else {
			var t event.Time
			if err := t.UnmarshalText([]byte(a.Str)); err != nil {
				return fmt.Errorf("observed.start: %w", err)
			}
			st.observed = int64(t)
		}
	}
	i := int32(len(s.steps))
	s.steps = append(s.steps, st)
	for _, text := range in.EventIDs {
		var id event.ID
		if err := id.UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("event_ids: %w", err)
		}
		s.byEvent[id] = append(s.byEvent[id], i)
	}
	if st.cookie != 0 {
		k := place{st.node, st.cookie}
		s.byCookie[k] = append(s.byCookie[k], i)
	}
	if st.pid != 0 {
		k := place{st.node, uint64(st.pid)}
		s.byPID[k] = append(s.byPID[k], i)
	}
	return nil
}

func number(a timeline.Attribute) int64 {
	if a.IsNum {
		return a.Num
	}
	n, err := strconv.ParseInt(a.Str, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
