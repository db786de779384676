package tables

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// reserved are the words that GoogleSQL takes as a name only in backquotes.
var reserved = strings.Fields(`ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS
	CREATE CROSS CUBE CURRENT DEFAULT DEFINE DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE
	FETCH FOLLOWING FOR FROM FULL GROUP GROUPING GROUPS HASH HAVING IF IGNORE IN INNER INTERSECT INTERVAL INTO IS JOIN
	LATERAL LEFT LIKE LIMIT LOOKUP MERGE NATURAL NEW NO NOT NULL NULLS OF ON OR ORDER OUTER OVER PARTITION PRECEDING
	PROTO QUALIFY RANGE RECURSIVE RESPECT RIGHT ROLLUP ROWS SELECT SET SOME STRUCT TABLESAMPLE THEN TO TREAT TRUE
	UNBOUNDED UNION UNNEST USING WHEN WHERE WINDOW WITH WITHIN`)

func TestWhatBigQueryWants(t *testing.T) {
	for _, table := range All {
		seen := map[string]bool{}
		for _, c := range table.Columns {
			if slices.Contains(reserved, strings.ToUpper(c.Name)) {
				t.Errorf("%s.%s is a reserved word", table.Name, c.Name)
			}
			if seen[c.Name] {
				t.Errorf("%s has %s twice", table.Name, c.Name)
			}
			if c.Required && c.Repeated || c.Repeated && c.Type != String {
				t.Errorf("%s.%s is a list of another kind than there is", table.Name, c.Name)
			}
			seen[c.Name] = true
		}
		if c := table.Columns[0]; c.Name != Day || c.Type != Date || !c.Required {
			t.Errorf("%s does not begin with its partition", table.Name)
		}
		if len(table.Cluster) > 4 {
			t.Errorf("%s has %d cluster columns, 4 are allowed", table.Name, len(table.Cluster))
		}
		for _, name := range slices.Concat(table.Cluster, table.Key) {
			if table.Columns[table.Index(name)].Repeated {
				t.Errorf("%s.%s is a list and cannot be clustered by", table.Name, name)
			}
		}
	}
}

// The scripts of deploy/bigquery are those that the tables give.
func TestScriptsAreCommitted(t *testing.T) {
	dir := "../../deploy/bigquery"
	for name, want := range Scripts(Options{Dataset: Placeholder}) {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s: run go generate ./schemas/tables\n%s", name, diff)
		}
	}
}

func TestViewsReadWhatStandsBefore(t *testing.T) {
	files, err := viewFiles.ReadDir("views")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(Views) {
		t.Errorf("there are %d files of views, and %d names", len(files), len(Views))
	}
	known := map[string]bool{}
	for _, table := range All {
		known[table.Name] = true
	}
	for _, v := range Views {
		if v.Doc == "" {
			t.Errorf("%s does not say what it is", v.Name)
		}
		sql := v.Query(BigQuery, Options{Dataset: "p.d"})
		for _, part := range strings.Split(sql, "`p.d.")[1:] {
			if name, _, _ := strings.Cut(part, "`"); !known[name] {
				t.Errorf("%s reads %s, which does not stand before it", v.Name, name)
			}
		}
		known[v.Name] = true
	}
	// What has a partition is not read without a filter on it.
	for _, v := range Views {
		if strings.HasSuffix(v.Name, "_current") {
			continue
		}
		for _, table := range All {
			if strings.Contains(v.Query(BigQuery, Options{Dataset: "p.d"}), "`p.d."+table.Name+"`") {
				t.Errorf("%s reads the table %s and not the view of what is current", v.Name, table.Name)
			}
		}
	}
}

// generated reads rows by the descriptor, with protobuf's own code.
func generated(t *testing.T, table *Table) protoreflect.MessageDescriptor {
	t.Helper()
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("row.proto"), Syntax: proto.String("proto2"),
		MessageType: []*descriptorpb.DescriptorProto{table.Descriptor()},
	}
	d, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.Messages().Get(0)
}

// What AppendProto writes is what protobuf reads by the descriptor.
func TestProtoRoundTrip(t *testing.T) {
	for seed := range uint64(40) {
		var tl timeline.Timeline
		var al alert.Alert
		if seed > 0 {
			eventtest.Value(&tl, seed)
			eventtest.Value(&al, seed)
		}
		rowsOf := []Rows{must2(OfTimeline(tl.AppendJSON(nil))), must2(OfAlert(al.AppendJSON(nil)))}
		for kind := event.KindNone + 1; event.NewPayload(kind) != nil; kind++ {
			e := event.Event{Kind: kind, Payload: event.NewPayload(kind)}
			if seed > 0 {
				eventtest.Value(&e.ID, seed)
				eventtest.Value(&e.Time, seed)
				eventtest.Value(e.Payload, seed)
			}
			rowsOf = append(rowsOf, must2(OfEvent(e.AppendJSON(nil))))
		}
		for _, rows := range rowsOf {
			for table, row := range rows {
				if len(row) != len(table.Columns) {
					t.Fatalf("%s has %d values for %d columns", table.Name, len(row), len(table.Columns))
				}
				d := generated(t, table)
				m := dynamicpb.NewMessage(d)
				if err := proto.Unmarshal(table.AppendProto(nil, row), m); err != nil {
					t.Fatalf("seed %d: %s: %v", seed, table.Name, err)
				}
				if len(m.GetUnknown()) > 0 {
					t.Errorf("seed %d: %s has fields that the descriptor does not name", seed, table.Name)
				}
				if diff := cmp.Diff(plainRow(table, row), plainMessage(m)); diff != "" {
					t.Fatalf("seed %d: %s (-row +message):\n%s", seed, table.Name, diff)
				}
			}
		}
	}
}

func must2[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func plainRow(table *Table, row Row) map[string]any {
	out := map[string]any{}
	for i, c := range table.Columns {
		v := row[i]
		switch {
		case !v.Set:
		case c.Repeated:
			out[c.Name] = v.List
		case c.Type == String, c.Type == JSON:
			out[c.Name] = v.Str
		case c.Type == Float:
			out[c.Name] = v.Real
		case c.Type == Bool:
			out[c.Name] = v.Num == 1
		case c.Type == Date:
			out[c.Name] = int32(v.Num)
		default:
			out[c.Name] = v.Num
		}
	}
	return out
}

func plainMessage(m protoreflect.Message) map[string]any {
	out := map[string]any{}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.IsList() {
			var l []string
			for i := range v.List().Len() {
				l = append(l, v.List().Get(i).String())
			}
			out[string(f.Name())] = l
			return true
		}
		out[string(f.Name())] = v.Interface()
		return true
	})
	return out
}

func TestDays(t *testing.T) {
	f := func(in string, days int64) {
		t.Helper()
		var at event.Time
		if err := at.UnmarshalText([]byte(in)); err != nil {
			t.Fatal(err)
		}
		if got := day(0, at); got.Num != days {
			t.Errorf("%s is day %d, want %d", in, got.Num, days)
		}
	}
	f("1970-01-01T00:00:00.000000001Z", 0)
	f("1970-01-01T23:59:59.999999999Z", 0)
	f("1970-01-02T00:00:00Z", 1)
	f("1969-12-31T23:59:59.999999999Z", -1)
	f("1969-12-31T00:00:00Z", -1)
	f("1969-12-30T23:59:59Z", -2)
	f("2026-11-23T09:00:02Z", 20780)
	if got := instant(-1).Num; got != -1 {
		t.Errorf("a nanosecond before the epoch is %d µs, want -1", got)
	}
	if got := count(uint64(math.MaxUint64)).Num; got != math.MaxInt64 {
		t.Errorf("a count beyond 63 bits is %d", got)
	}
}

// column reads one column of the steps of a timeline.
func column(t *testing.T, tl *timeline.Timeline, name string) map[string]Value {
	t.Helper()
	out := map[string]Value{}
	for table, row := range must2(OfTimeline(tl.AppendJSON(nil))) {
		if table == &Steps {
			out[row[Steps.Index("step_id")].Str] = row[Steps.Index(name)]
		}
	}
	return out
}

func stepOf(id, parent string, layer timeline.Layer, start, end event.Time, attrs ...string) timeline.Step {
	s := timeline.Step{ID: id, ParentID: parent, Layer: layer, Start: start, End: end}
	for i := 0; i < len(attrs); i += 2 {
		s.Attributes = append(s.Attributes, timeline.Attribute{Key: attrs[i], Str: attrs[i+1]})
	}
	return s
}

func TestStepsKnowTheirAgentAndTool(t *testing.T) {
	tl := &timeline.Timeline{ID: "t", Start: 1e9, Steps: []timeline.Step{
		stepOf("policy", "exec", timeline.LayerPolicy, 5, 6),
		stepOf("agent", "", timeline.LayerAgent, 1, 9, "gen_ai.agent.name", "a"),
		stepOf("exec", "tool", timeline.LayerProcess, 4, 7),
		stepOf("tool", "agent", timeline.LayerTool, 3, 8, "gen_ai.tool.name", "run"),
		stepOf("other", "", timeline.LayerServer, 1, 9),
		stepOf("round", "trip", timeline.LayerServer, 1, 9), // no good tree, and no endless loop
		stepOf("trip", "round", timeline.LayerServer, 1, 9),
	}}
	f := func(name string, want map[string]string) {
		t.Helper()
		got := map[string]string{}
		for id, v := range column(t, tl, name) {
			if v.Set {
				got[id] = v.Str
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	f("agent", map[string]string{"agent": "a", "tool": "a", "exec": "a", "policy": "a"})
	f("tool", map[string]string{"tool": "run", "exec": "run", "policy": "run"})
}

func TestSelfTime(t *testing.T) {
	const s = event.Time(1e9)
	tl := &timeline.Timeline{ID: "t", Start: s, Steps: []timeline.Step{
		stepOf("agent", "", timeline.LayerAgent, 10*s, 20*s),
		stepOf("m1", "agent", timeline.LayerModel, 11*s, 14*s, "observed.start", (12 * s).String()),
		stepOf("m2", "agent", timeline.LayerModel, 13*s, 15*s), // side by side: the second between is counted once
		stepOf("late", "agent", timeline.LayerTool, 19*s, 25*s),
		stepOf("flow", "agent", timeline.LayerNetwork, 10*s, 20*s), // evidence takes nothing away
		{ID: "seen", ParentID: "agent", Layer: timeline.LayerHTTP, Source: "hubble", Start: 10 * s, End: 20 * s},
		stepOf("back", "agent", timeline.LayerTool, 5*s, 4*s),
	}}
	got := map[string]int64{}
	for id, v := range column(t, tl, "self_ns") {
		if v.Set {
			got[id] = v.Num / int64(s)
		}
	}
	if diff := cmp.Diff(map[string]int64{"agent": 5, "m1": 2, "m2": 2, "late": 6}, got); diff != "" {
		t.Errorf("seconds of self (-want +got):\n%s", diff)
	}
	if w := column(t, tl, "wait_ns")["m1"]; w.Num != 1e9 {
		t.Errorf("m1 waited %d ns, want a second", w.Num)
	}
}

func TestDestinations(t *testing.T) {
	f := func(layer timeline.Layer, source, name, host, peer, want, public string) {
		t.Helper()
		s := stepOf("s", "", layer, 1, 2, "network.peer.address", peer)
		if host != "" {
			s.Attributes = append(s.Attributes, timeline.Attribute{Key: "server.address", Str: host})
		}
		s.Source, s.Name = source, name
		tl := &timeline.Timeline{ID: "t", Start: 1e9, Steps: []timeline.Step{s}}
		got, isPublic := column(t, tl, "destination")["s"], column(t, tl, "destination_public")["s"]
		if is, _ := json.Marshal(isPublic.Set && isPublic.Num == 1); got.Str != want || isPublic.Set && string(is) != public || !isPublic.Set && public != "" {
			t.Errorf("%s %s: %q, public %v; want %q, %s", layer, name, got.Str, isPublic, want, public)
		}
	}
	f("model", "otlp", "generate_content", "api.example.com", "142.250.74.11", "api.example.com", "true")
	f("http", "otlp", "HTTP POST", "svc.ns", "10.1.2.3", "svc.ns", "false")
	f("http", "otlp", "HTTP POST", "api.example.com", "", "api.example.com", "")
	f("network", "socket", "connect 1.2.3.4:443", "", "1.2.3.4", "1.2.3.4", "true")
	f("network", "socket", "connect 100.64.0.9:443", "", "100.64.0.9", "100.64.0.9", "false")
	f("network", "socket", "connect [::ffff:10.0.0.1]:443", "", "::ffff:10.0.0.1", "::ffff:10.0.0.1", "false")
	f("network", "socket", "accept 35.191.0.37:1024", "", "35.191.0.37", "", "")
	f("network", "hubble", "forwarded 10.84.1.10:8080", "", "10.84.1.10", "10.84.1.10", "false")
	f("syscall", "tetragon", "tcp_sendmsg 35.191.0.37:1", "", "35.191.0.37", "", "")
	f("syscall", "tetragon", "tcp_connect 169.254.169.254:80", "", "169.254.169.254", "169.254.169.254", "false")
	f("server", "otlp", "POST /run", "agents.example.com", "35.191.0.37", "", "")
}

// What can be asked for is in a column of its own, all else in the payload.
func TestEventColumns(t *testing.T) {
	f := func(payload event.Payload, kind event.Kind, want map[string]string) {
		t.Helper()
		e := event.Event{ID: event.ID{1}, Kind: kind, Source: event.SourceHubble, Node: "n1", Time: 1e9, Payload: payload}
		for table, row := range must2(OfEvent(e.AppendJSON(nil))) {
			for name, text := range want {
				v := row[table.Index(name)]
				got := v.Str
				if of := table.Columns[table.Index(name)].Type; of != String && of != JSON {
					got = fmt.Sprint(v.Num)
				}
				if !v.Set {
					got = "NULL"
				}
				if got != text {
					t.Errorf("%s.%s is %s, want %s", kind, name, got, text)
				}
			}
		}
	}
	tuple := event.Tuple{Proto: event.ProtoTCP, Src: netip.MustParseAddrPort("10.0.0.1:40000"), Dst: netip.MustParseAddrPort("169.254.169.254:80")}
	f(&event.Flow{Tuple: tuple, Verdict: event.VerdictDropped, Policy: "agents/egress", SrcWorkload: event.Workload{Namespace: "agents", Pod: "p"}}, event.KindPolicyVerdict, map[string]string{
		"event_id": "01000000000000000000000000000000", "kind": "policy_verdict", "source": "hubble", "node": "n1", "event_time": "1000000", "observed_time": "NULL",
		"verdict": "dropped", "name": "agents/egress", "namespace": "agents", "pod": "p", "src_address": "10.0.0.1", "src_port": "40000",
		"dst_address": "169.254.169.254", "dst_port": "80", "trace_id": "NULL", "socket_cookie": "NULL",
	})
	f(&event.Exchange{Cookie: 1 << 63, Tuple: tuple, HTTP: event.HTTP{Method: "POST", Path: "/run", Status: 500}, Trace: event.TraceContext{TraceID: event.TraceID{0xab}}}, event.KindExchange, map[string]string{
		"socket_cookie": "9223372036854775808", "name": "POST /run", "http_status": "500", "trace_id": "ab000000000000000000000000000000", "pid": "NULL",
	})
	f(&event.Process{Binary: "/bin/sh", ExecID: "x", Process: event.ProcessRef{PID: 7}}, event.KindProcessExec, map[string]string{
		"name": "/bin/sh", "exec_id": "x", "pid": "7", "payload": `{"exec_id":"x","process":{"pid":7},"binary":"/bin/sh"}`,
	})
}

func TestOfEventRefuses(t *testing.T) {
	for _, text := range []string{"", "{", `{"kind":"none such"}`, `{"id":"00000000000000000000000000000001"}`, `{"kind":"span","payload":[]}`} {
		if _, err := OfEvent([]byte(text)); err == nil {
			t.Errorf("%q has a row", text)
		}
	}
}
