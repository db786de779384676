package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/schemas/tables"
)

var update = flag.Bool("update", false, "write the answers of the views anew")

// dir is where the tables of the recorded agents are, sennit the program that wrote them.
var dir, sennit string

func TestMain(m *testing.M) {
	flag.Parse()
	tmp, err := os.MkdirTemp("", "sennit-query-")
	if err != nil {
		panic(err)
	}
	dir, sennit = filepath.Join(tmp, "tables"), filepath.Join(tmp, "sennit")
	build := exec.Command("go", "build", "-o", sennit, "./cmd/sennit")
	build.Dir = "../.."
	for _, cmd := range []*exec.Cmd{build, replay(dir)} {
		if out, err := cmd.CombinedOutput(); err != nil {
			panic(string(out))
		}
	}
	code := m.Run()
	os.RemoveAll(tmp)
	os.Exit(code)
}

// replay writes the tables of the recorded agents to a folder.
func replay(dir string) *exec.Cmd {
	cmd := exec.Command(sennit, "replay", "-o", "none", "--rules", "deploy/rules", "--sink", "parquet:"+dir, "--sink-events", "testdata/agents")
	cmd.Dir = "../.."
	return cmd
}

// query runs a command line that must end with a code.
func query(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := run(context.Background(), args, &out, &errOut); code != want {
		t.Fatalf("sennit-query %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, want, errOut.String())
	}
	return out.String(), errOut.String()
}

// TestViews asks every view about the recorded agents.
func TestViews(t *testing.T) {
	const golden = "testdata/views.txt"
	var b strings.Builder
	for _, v := range tables.Views {
		if strings.HasSuffix(v.Name, "_current") {
			continue // whole tables; below
		}
		out, _ := query(t, exitOK, "--dir", dir, "--view", v.Name)
		b.WriteString("-- " + v.Name + ": " + v.Doc + "\n" + out + "\n")
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the answers are not those of %s; look at the difference, then run go test -update\n%s", golden, b.String())
	}
}

// The current tables are what `replay -o json` writes, which keeps the last
// revision of what is not superseded.
func TestCurrent(t *testing.T) {
	replay := exec.Command("go", "run", "./cmd/sennit", "replay", "-o", "json", "testdata/agents")
	replay.Dir = "../.."
	out, err := replay.Output()
	if err != nil {
		t.Fatal(err)
	}
	type key struct {
		ID       string `json:"timeline_id"`
		Revision int    `json:"revision"`
		Steps    int    `json:"steps"`
	}
	want, got := map[key]bool{}, map[key]bool{}
	for line := range strings.Lines(string(out)) {
		var tl struct {
			ID       string     `json:"timeline_id"`
			Revision int        `json:"revision"`
			Steps    []struct{} `json:"steps"`
		}
		if err := json.Unmarshal([]byte(line), &tl); err != nil {
			t.Fatal(err)
		}
		want[key{tl.ID, tl.Revision, len(tl.Steps)}] = true
	}
	answer, _ := query(t, exitOK, "--dir", dir, "-o", "json",
		`SELECT t.timeline_id, t.revision, count(s.step_id) AS steps FROM timelines_current t LEFT JOIN steps_current s USING (timeline_id) GROUP BY 1, 2`)
	for line := range strings.Lines(answer) {
		var k key
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			t.Fatal(err)
		}
		got[k] = true
	}
	if len(want) == 0 || len(want) != len(got) {
		t.Errorf("%d current timelines, want %d", len(got), len(want))
	}
	for k := range want {
		if !got[k] {
			t.Errorf("%v is not among the current timelines", k)
		}
	}
}

// What was written twice, as a sink that is sent something again does, is there once.
func TestWrittenTwice(t *testing.T) {
	twice := t.TempDir()
	if err := os.CopyFS(twice, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(twice, "*", "date=*", "part-*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(strings.TrimSuffix(name, ".parquet")+"-again.parquet", b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []string{"timelines_current", "steps_current", "alerts_current", "events_current"} {
		want, _ := query(t, exitOK, "--dir", dir, "select count(*) from "+v)
		got, _ := query(t, exitOK, "--dir", twice, "select count(*) from "+v)
		if got != want {
			t.Errorf("%s has\n%swant\n%s", v, got, want)
		}
	}
}

// A file from before a column was added is read with NULL in it; a table without
// a file has no rows.
func TestOlderFiles(t *testing.T) {
	old := t.TempDir()
	part := filepath.Join(old, "alerts", "date=2026-11-23", "part-1.parquet")
	if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
		t.Fatal(err)
	}
	query(t, exitOK, "--dir", dir, "COPY (SELECT alert_id, revision, rule_id FROM alerts) TO '"+part+"'")
	out, _ := query(t, exitOK, "--dir", old, "-o", "csv", "SELECT date, severity, tags, count(*) AS n FROM alerts_current GROUP BY ALL")
	if out != "date,severity,tags,n\n2026-11-23,,,7\n" {
		t.Errorf("alerts of an older file: %q", out)
	}
	if out, _ = query(t, exitOK, "--dir", old, "-o", "csv", "SELECT count(*) AS n FROM steps_current"); out != "n\n0\n" {
		t.Errorf("steps without a file: %q", out)
	}
}

// A row of an open request that nobody replaces any more, as after a kill, is not
// current once no request can be open for so long.
func TestOpenForever(t *testing.T) {
	f := func(row string, want string) {
		t.Helper()
		at := t.TempDir()
		part := filepath.Join(at, "timelines", "date=2026-11-23", "part-1.parquet")
		if err := os.MkdirAll(filepath.Dir(part), 0o755); err != nil {
			t.Fatal(err)
		}
		query(t, exitOK, "--dir", dir, "COPY (SELECT 'a' AS timeline_id, 0 AS revision, 7 AS update, "+row+") TO '"+part+"'")
		if out, _ := query(t, exitOK, "--dir", at, "-o", "csv", "SELECT count(*) AS n FROM timelines_current"); out != "n\n"+want+"\n" {
			t.Errorf("%s: %q rows, want %s", row, out, want)
		}
	}
	ago := func(hours int) string {
		return fmt.Sprintf("to_timestamp(epoch_us(get_current_timestamp()) / 1e6 - %d * 3600) AS start_time", hours)
	}
	f("'open' AS state, "+ago(tables.OpenHours-1), "1")
	f("'open' AS state, "+ago(tables.OpenHours+1), "0")
	f("'closed' AS state, "+ago(tables.OpenHours+1), "1")
	f(ago(tables.OpenHours+1), "1") // of files without the column
}

func TestForms(t *testing.T) {
	const sql = `SELECT 1 AS n, 'a"b' AS s, NULL AS none, DATE '2026-11-23' AS d, TIMESTAMPTZ '2026-11-23 10:00:00.5+01' AS t,
		[1, 2] AS l, 1.50::DECIMAL(4,2) AS x, 12345678901234567890123::HUGEINT AS h`
	f := func(form, want string) {
		t.Helper()
		if got, _ := query(t, exitOK, "--dir", dir, "-o", form, sql); got != want {
			t.Errorf("%s: got\n%swant\n%s", form, got, want)
		}
	}
	f("json", `{"n":1,"s":"a\"b","none":null,"d":"2026-11-23","t":"2026-11-23T09:00:00.500000Z","l":[1,2],"x":1.5,"h":12345678901234567890123}`+"\n")
	f("csv", "n,s,none,d,t,l,x,h\n"+`1,"a""b",,2026-11-23,2026-11-23T09:00:00.500000Z,"[1,2]",1.5,12345678901234567890123`+"\n")
	f("table", "n  s    none  d           t                            l        x                        h\n"+
		"1  a\"b        2026-11-23  2026-11-23T09:00:00.500000Z  [1,2]  1.5  12345678901234567890123\n")
}

// What agents said is others' text: it moves no cursor and is no formula.
func TestUntrusted(t *testing.T) {
	out, _ := query(t, exitOK, "--dir", dir, "SELECT chr(27) || '[2J' || chr(10) AS s")
	if strings.ContainsAny(out, "\x1b") || strings.Count(out, "\n") != 2 {
		t.Errorf("control characters came through: %q", out)
	}
	out, _ = query(t, exitOK, "--dir", dir, "-o", "csv", `SELECT '=HYPERLINK("http://x")' AS s, -1 AS n`)
	lines, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || lines[1][0] != `'=HYPERLINK("http://x")` || lines[1][1] != "-1" {
		t.Errorf("CSV has %q (%v)", lines, err)
	}
}

func TestWrongUse(t *testing.T) {
	f := func(code int, want string, args ...string) {
		t.Helper()
		if _, got := query(t, code, args...); !strings.Contains(got, want) {
			t.Errorf("%v says %q, want %q", args, got, want)
		}
	}
	f(exitUsage, "ask what?")
	f(exitUsage, "ask what?", "--view", "agent_latency", "select 1")
	f(exitUsage, "one query at a time", "select", "1")
	f(exitUsage, `no view "nonsense": there are timelines_current`, "--view", "nonsense")
	f(exitUsage, "must be one of", "-o", "xml", "select 1")
	f(exitUsage, "unknown flag", "--nonsense")
	f(exitFailed, "replay --sink parquet:", "--dir", filepath.Join(dir, "none"), "select 1")
	f(exitFailed, "query: ", "--dir", dir, "select nothing from nowhere")
	if out, _ := query(t, exitOK, "--views"); !strings.Contains(out, "agent_latency") {
		t.Errorf("--views lists %q", out)
	}
}
