package wire

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sennit-io/sennit/cmd/internal/simulate"
	"github.com/sennit-io/sennit/correlate/detect"
	"github.com/sennit-io/sennit/ingest/replay"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/racetest"
)

var (
	proofClean = flag.Int("rules-clean", racetest.Size(1500, 300), "clean requests of TestRulesProof; make rules-proof takes 100,000")
	proofRogue = flag.Int("rules-rogue", racetest.Size(1500, 300), "requests of TestRulesProof of which one in five does something rogue")
	proofSeed  = flag.Uint64("rules-seed", 6, "seed of the rogue half of TestRulesProof")
)

// The starter rules find what simulate's agents do behind their own backs, and accuse
// no clean request. Spans come as SDKs send them: after their end, in batches, with
// tools of up to ten minutes; the lines are taken in the order in which they arrive.
func TestRulesProof(t *testing.T) {
	rules, err := detect.Load(os.DirFS("../../../deploy/rules"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("clean", func(t *testing.T) {
		w := judged(t, rules, simulate.Options{Requests: *proofClean, Concurrency: 64, Seed: 5})
		w.accuse(t, nil)
	})
	t.Run("rogue", func(t *testing.T) {
		w := judged(t, rules, simulate.Options{Requests: *proofRogue, Concurrency: 64, Rogue: 0.2, Seed: *proofSeed})
		acts := map[string][]rogue{}
		done, found := map[string]int{}, map[string]int{}
		readLines(t, filepath.Join(w.dir, "truth-acts.jsonl"), func(a rogue) {
			acts[a.Trace] = append(acts[a.Trace], a)
			if !a.Findable {
				return
			}
			done[a.Act]++
			if slices.ContainsFunc(w.alerts, func(one alert.Alert) bool { return a.explains(&one) }) {
				found[a.Act]++
			}
		})
		found["egress"] = w.evil(t)
		for _, act := range []string{"exec", "egress", "claim", "forge"} {
			t.Logf("%s: %d of %d found", act, found[act], done[act])
			const least = 0.99
			if done[act] == 0 || float64(found[act]) < least*float64(done[act]) {
				t.Errorf("%s: %d of %d found, want %v of them", act, found[act], done[act], least)
			}
		}
		w.accuse(t, acts)
	})
}

// rogue is a line of truth-acts.jsonl.
type rogue struct {
	Trace    string `json:"trace_id"`
	Act      string `json:"act"`
	Event    string `json:"event_id"`
	Findable bool   `json:"findable"`
}

// finds are the rules that tell of an act.
var finds = map[string][]string{
	"exec":   {"exec_outside_tool", "shell_outside_tool", "secret_file", "secret_file_then_egress", "killed"}, // it opens a token, tools send afterwards, and half are killed for it
	"egress": {"egress_unclaimed", "egress_of_no_request"},
	"claim":  {"tool_not_seen"},
	"forge":  {"trace_id_reused"},
}

// explains reports whether an alert tells of the act: it rests on the act's event, or,
// where the act is none, is of its request.
func (r *rogue) explains(a *alert.Alert) bool {
	switch r.Act {
	case "exec":
		return a.RuleID == "exec_outside_tool" && slices.Contains(a.EventIDs, r.Event)
	case "egress":
		return false // it is of no request: evil counts them
	}
	return slices.Contains(finds[r.Act], a.RuleID) && strings.HasPrefix(a.TimelineID, r.Trace)
}

// world is a simulated cluster and what the rules say of it.
type world struct {
	dir     string
	alerts  []alert.Alert
	denied  map[string]bool     // traces of which a policy stopped something
	clients map[string][]string // trace → clients that the load balancer's log names
}

func judged(t *testing.T, rules *detect.Set, o simulate.Options) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), denied: map[string]bool{}, clients: map[string][]string{}}
	if _, err := simulate.Run(t.Context(), o, w.dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(w.dir, "alerts")
	err := Replay(context.Background(), Options{
		Replay: replay.Options{Paths: []string{w.dir}, Order: replay.OrderArrival, TempDir: w.dir},
		Form:   None, Out: io.Discard, Messages: io.Discard, Rules: rules, AlertsFile: file, Strict: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	readLines(t, file, func(a alert.Alert) { w.alerts = append(w.alerts, a) })
	readLines(t, filepath.Join(w.dir, "truth.jsonl"), func(f struct {
		Trace string `json:"trace_id"`
		Kind  string
	},
	) {
		if f.Kind == "flow" {
			w.denied[f.Trace] = true
		}
	})
	readLines(t, filepath.Join(w.dir, "cloud.gcp.jsonl"), func(l struct {
		Trace       string
		HTTPRequest struct{ RemoteIP string }
	},
	) {
		trace := l.Trace[strings.LastIndexByte(l.Trace, '/')+1:]
		if who := l.HTTPRequest.RemoteIP; who != "" && !slices.Contains(w.clients[trace], who) {
			w.clients[trace] = append(w.clients[trace], who)
		}
	})
	return w
}

// evil counts the connections of rogue egress that were told of: the connection itself
// or, of the same process to the same host, one of the quarter of an hour before it.
func (w *world) evil(t *testing.T) (found int) {
	t.Helper()
	type open struct {
		ID, Kind, Node string
		Time           time.Time
		Payload        struct {
			Tuple   struct{ Dst string }
			Process struct{ PID int }
			Role    string
		}
	}
	told := map[string]bool{}
	for _, a := range w.alerts {
		if a.RuleID == "egress_of_no_request" || a.RuleID == "egress_unclaimed" {
			for _, id := range a.EventIDs {
				told[id] = true
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "*.socket.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		last := map[int]time.Time{} // process → told
		var all []open
		readLines(t, file, func(o open) {
			if o.Kind == "socket_open" && o.Payload.Role == "client" && o.Payload.Tuple.Dst == "198.51.100.66:443" {
				all = append(all, o)
			}
		})
		slices.SortFunc(all, func(a, b open) int { return a.Time.Compare(b.Time) })
		for _, o := range all {
			if told[o.ID] {
				last[o.Payload.Process.PID] = o.Time
			}
			if at, ok := last[o.Payload.Process.PID]; ok && o.Time.Sub(at) < 15*time.Minute {
				found++
			}
		}
	}
	return found
}

// accuse fails for each alert on a wrong request whose joins are all exact, and if more
// of the others are wrong than the confidence of their joins says, and three standard
// deviations. Wrong is an alert that neither an act nor what the cluster does on purpose
// explains: tools ask for the metadata service and are stopped, the firewall turns
// requests away, and the windows of one browser send one trace id from two addresses.
func (w *world) accuse(t *testing.T, acts map[string][]rogue) {
	t.Helper()
	wrong := map[string]int{}
	guessed, mistaken := map[string]float64{}, map[string]bool{} // by timeline
	for i := range w.alerts {
		a := &w.alerts[i]
		trace, _, _ := strings.Cut(a.TimelineID, "-")
		mine := acts[trace]
		switch a.RuleID {
		case "metadata_service", "denied_in_tool":
			if w.denied[trace] {
				continue
			}
		case "waf_denied": // its rate is the simulation's: 3 %
			continue
		case "trace_id_reused":
			if len(w.clients[trace]) > 1 {
				continue
			}
			mine = nil // without evidence it is a guess, even if it is right
		}
		if acts != nil && a.TimelineID == "" && a.RuleID != "forged_node" {
			continue // of an act that nothing ties to its request
		}
		if acts != nil && !a.Exact {
			guessed[a.TimelineID] = max(guessed[a.TimelineID], 1-a.Confidence)
		}
		if slices.ContainsFunc(mine, func(r rogue) bool {
			return slices.Contains(finds[r.Act], a.RuleID)
		}) {
			continue
		}
		if acts != nil && !a.Exact {
			t.Logf("an act is told of another request, as one of %d that may: %+v", len(guessed), a)
			mistaken[a.TimelineID] = true
			continue
		}
		if wrong[a.RuleID]++; wrong[a.RuleID] <= 3 {
			t.Errorf("a clean request is accused: %+v", a)
		}
	}
	t.Logf("%d alerts, false by rule: %v", len(w.alerts), wrong)
	expected := 0.0
	for _, p := range guessed {
		expected += p
	}
	t.Logf("%d requests with alerts that rest on an inferred join, %d of them another's, %.2f expected", len(guessed), len(mistaken), expected)
	if most := expected + 3*math.Sqrt(expected); float64(len(mistaken)) > most {
		t.Errorf("%d alerts are of another request, more than the %.2f that their joins own up to", len(mistaken), most)
	}
}

func readLines[T any](t *testing.T, name string, f func(T)) {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in := bufio.NewScanner(file)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var v T
		if err := json.Unmarshal(in.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f(v)
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
}
