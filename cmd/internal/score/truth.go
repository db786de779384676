package score

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// maxLine bounds a line of either file.
const maxLine = 256 << 20

// Fact is one line of the truth.
type Fact struct {
	Request  string   `json:"request"` // empty: background
	TraceID  string   `json:"trace_id"`
	Kind     string   `json:"kind"` // exchange, process, flow, edge, ingress, egress, syscall
	Entry    bool     `json:"entry"`
	Node     string   `json:"node"`
	Key      Key      `json:"key"`
	StartNS  int64    `json:"start_ns"` // Unix time, as the record has it
	EndNS    int64    `json:"end_ns"`
	Possible []string `json:"possible"` // rungs that the written evidence allows
	Lost     bool     `json:"lost,omitempty"`
}

// Key holds the names by which a step can be known to report a fact.
type Key struct {
	EventID      string `json:"event_id,omitempty"` // 32 hex digits
	InsertID     string `json:"insert_id,omitempty"`
	SocketCookie string `json:"socket_cookie,omitempty"`
	StreamID     uint32 `json:"stream_id,omitempty"`
	Ordinal      uint32 `json:"ordinal,omitempty"`
	ExecID       string `json:"exec_id,omitempty"`
	PID          uint32 `json:"pid,omitempty"`
	Function     string `json:"function,omitempty"`
	SockAddr     string `json:"sock_addr,omitempty"`
}

// fact is a Fact without its strings.
type fact struct {
	request  int32 // -1: background
	kind     uint8
	entry    bool
	possible uint32 // bit set over methods
	node     int32
	event    event.ID
	cookie   uint64
	stream   uint32
	pid      uint32
	start    int64
	end      int64

	met     []int32 // steps
	verdict verdict
}

// eachLine calls f with every line that is not blank.
func eachLine(r io.Reader, what string, f func(line []byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 1<<20), maxLine)
	for n := 1; sc.Scan(); n++ {
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("read %s, line %d: %w", what, n, err)
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

func (s *scorer) readTruth(r io.Reader) error {
	return eachLine(r, "truth", func(line []byte) error {
		var in Fact
		if err := json.Unmarshal(line, &in); err != nil {
			return err
		}
		if in.Lost {
			s.report.Lost++
			return nil
		}
		f := fact{
			request: -1, kind: kindOf(in.Kind), entry: in.Entry, node: s.names.index(in.Node),
			stream: in.Key.StreamID, pid: in.Key.PID, start: in.StartNS, end: in.EndNS,
		}
		if f.kind == 0 {
			return fmt.Errorf("unknown kind of fact %q", in.Kind)
		}
		if in.Request != "" {
			f.request = s.requests.index(in.Request)
		}
		if in.Key.EventID != "" {
			if err := f.event.UnmarshalText([]byte(in.Key.EventID)); err != nil {
				return fmt.Errorf("event_id: %w", err)
			}
		}
		if in.Key.SocketCookie != "" {
			c, err := strconv.ParseUint(in.Key.SocketCookie, 10, 64)
			if err != nil {
				return fmt.Errorf("socket_cookie: %w", err)
			}
			f.cookie = c
		}
		for _, m := range in.Possible {
			i, ok := methodIndex[m]
			if !ok {
				return fmt.Errorf("unknown method %q", m)
			}
			f.possible |= 1 << i
		}
		s.facts = append(s.facts, f)
		return nil
	})
}

// Kinds of facts; 0 is none of them.
var kinds = []string{"", "exchange", "process", "flow", "edge", "ingress", "egress", "syscall"}

const (
	kindExchange = 1
	kindProcess  = 2
	kindEdge     = 4
	kindIngress  = 5
	kindEgress   = 6
	kindSyscall  = 7
)

func kindOf(name string) uint8 {
	for i, k := range kinds {
		if i > 0 && k == name {
			return uint8(i)
		}
	}
	return 0
}

// numbering gives strings small numbers.
type numbering struct {
	of    map[string]int32
	names []string
}

func (n *numbering) index(s string) int32 {
	if i, ok := n.of[s]; ok {
		return i
	}
	if n.of == nil {
		n.of = map[string]int32{}
	}
	i := int32(len(n.names))
	n.of[s] = i
	n.names = append(n.names, s)
	return i
}
