package parquet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
	"github.com/sennit-io/sennit/schemas/tables"
	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
)

const start = event.Time(1795424400 * 1e9) // 2026-11-23T09:00:00Z

// record is a timeline of two steps.
func record(i int) sinks.Record {
	t := timeline.Timeline{ID: fmt.Sprintf("t%06d", i), Revision: 1, State: timeline.Closed, Start: start.Add(time.Duration(i) * time.Second)}
	t.End = t.Start.Add(time.Second)
	for _, id := range []string{"a", "b"} {
		t.Steps = append(t.Steps, timeline.Step{
			ID: id, Layer: timeline.LayerModel, Start: t.Start, End: t.End, EventIDs: []string{"e1", "e2"},
			Attributes: timeline.Attributes{{Key: "gen_ai.request.model", Str: "m"}},
		})
	}
	return sinks.Record{Kind: sinks.Timeline, ID: t.ID, Revision: 1, Data: t.AppendJSON(nil)}
}

// rows reads every file of a table, by the folder's day.
func rows(t *testing.T, dir string, table *tables.Table) (list []map[string]any) {
	t.Helper()
	return readRows(t, filesOf(t, dir, table))
}

func filesOf(t *testing.T, dir string, table *tables.Table) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, table.Name, "date=*", "*.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func readRows(t *testing.T, files []string) (list []map[string]any) {
	t.Helper()
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		r := parquet.NewReader(f)
		for n := r.NumRows(); n > 0; n-- {
			row := map[string]any{}
			if err := r.Read(&row); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if date := filepath.Base(filepath.Dir(name)); date != "date="+time.Unix(int64(row[tables.Day].(int32))*86400, 0).UTC().Format(time.DateOnly) {
				t.Errorf("a row of day %v is in %s", row[tables.Day], date)
			}
			list = append(list, row)
		}
		f.Close()
	}
	return list
}

func open(t *testing.T, o Options) *Sink {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, s *Sink, records ...sinks.Record) {
	t.Helper()
	if err := s.Write(context.Background(), records); err != nil {
		t.Fatal(err)
	}
}

// plain is a row as the reader of Parquet gives it.
func plain(table *tables.Table, row tables.Row) map[string]any {
	m := map[string]any{}
	for i, c := range table.Columns {
		v := row[i]
		switch {
		case c.Repeated:
			l := []any{}
			for _, s := range v.List {
				l = append(l, s)
			}
			m[c.Name] = l
		case !v.Set:
			m[c.Name] = nil
		case c.Type == tables.String:
			m[c.Name] = v.Str
		case c.Type == tables.JSON:
			var object any
			if err := json.Unmarshal([]byte(v.Str), &object); err != nil {
				panic(err)
			}
			m[c.Name] = object
		case c.Type == tables.Float:
			m[c.Name] = v.Real
		case c.Type == tables.Bool:
			m[c.Name] = v.Num == 1
		case c.Type == tables.Date:
			m[c.Name] = int32(v.Num)
		default:
			m[c.Name] = v.Num
		}
	}
	return m
}

// What is read back is what the tables say, of all columns.
func TestReadBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	want := map[*tables.Table][]map[string]any{}
	for seed := range uint64(20) {
		var tl timeline.Timeline
		var al alert.Alert
		if seed > 0 {
			eventtest.Value(&tl, seed)
			eventtest.Value(&al, seed)
		}
		tl.Start, al.Time = start, start // one day, so that the order stays
		write(t, s, sinks.Record{Kind: sinks.Timeline, Data: tl.AppendJSON(nil)}, sinks.Record{Kind: sinks.Alert, Data: al.AppendJSON(nil)})
		for _, of := range []func() (tables.Rows, error){
			func() (tables.Rows, error) { return tables.OfTimeline(tl.AppendJSON(nil)) },
			func() (tables.Rows, error) { return tables.OfAlert(al.AppendJSON(nil)) },
		} {
			all, err := of()
			if err != nil {
				t.Fatal(err)
			}
			for table, row := range all {
				want[table] = append(want[table], plain(table, row))
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables.All {
		if diff := cmp.Diff(want[table], rows(t, dir, table)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table.Name, diff)
		}
	}
}

func TestRotation(t *testing.T) {
	now := time.Unix(1795424400, 0)
	dir := t.TempDir()
	s := open(t, Options{Dir: dir, Bytes: 3 * int64(len(record(0).Data)), Age: time.Minute, Now: func() time.Time { return now }})
	f := func(what string, files, timelines int) {
		t.Helper()
		names, _ := filepath.Glob(filepath.Join(dir, "timelines", "date=*", "part-*.parquet"))
		if got := len(rows(t, dir, &tables.Timelines)); len(names) != files || got != timelines {
			t.Errorf("%s: %d files with %d timelines, want %d with %d", what, len(names), got, files, timelines)
		}
	}
	write(t, s, record(1))
	f("small and young", 0, 0)
	now = now.Add(time.Minute)
	if err := s.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	f("old", 1, 1)
	now = now.Add(time.Hour)
	write(t, s, record(2))
	f("the age is that of its first record", 1, 1)
	write(t, s, record(3), record(4))
	f("large", 2, 4)
	write(t, s, record(5), record(5+24*60*60))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f("closed; two days are two files", 4, 6)
	if left, _ := filepath.Glob(filepath.Join(dir, "*", "*", ".*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestBadRecordsAreNamed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	err := s.Write(context.Background(), []sinks.Record{record(1), {Kind: sinks.Timeline, Data: []byte(`{"timeline_id":7}`)}, {Kind: 'x', Data: []byte(`{}`)}, record(2)})
	var failed sinks.Failures
	if !errors.As(err, &failed) || len(failed) != 2 || failed[0].Index != 1 || failed[1].Index != 2 || !failed[0].Permanent {
		t.Errorf("got %v (%#v), want the failures of the two in the middle", err, failed)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(rows(t, dir, &tables.Timelines)); n != 2 {
		t.Errorf("%d timelines, want the two good ones", n)
	}
}

func TestOneWriter(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	defer s.Close()
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second writer: %v, want %v", err, ErrLocked)
	}
}

// A disk that is full: the batch fails, comes again, and is there once.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	write(t, s, record(1))
	blocked := filepath.Join(dir, "timelines", "date=2026-11-24")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil { // a file where the folder has to be
		t.Fatal(err)
	}
	tomorrow := record(24 * 60 * 60)
	if err := s.Write(context.Background(), []sinks.Record{record(2), tomorrow}); err == nil {
		t.Fatal("it was written all the same")
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	write(t, s, record(2), tomorrow)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(rows(t, dir, &tables.Timelines)); n != 3 {
		t.Errorf("%d timelines, want 3", n)
	}
}

// A write to the journal that a power cut tore apart was never said to be safe.
func TestTornJournal(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Options{Dir: dir})
	write(t, s, record(1))
	f, err := os.OpenFile(filepath.Join(dir, ".journal"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "t%s\nt{\x00\x00\x00\nt%s\nt{\"time", record(2).Data, record(3).Data)
	f.Close()
	s.lock.Close() // the process is gone
	s = open(t, Options{Dir: dir})
	write(t, s, record(4))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows(t, dir, &tables.Timelines) {
		got = append(got, row["timeline_id"].(string))
	}
	slices.Sort(got) // files are in no order
	if diff := cmp.Diff([]string{"t000001", "t000002", "t000004"}, got); diff != "" {
		t.Errorf("timelines (-want +got):\n%s", diff)
	}
}

// TestKilled writes in another process, which is killed anywhere, several times over
// one folder: what it was told was safe is there, once, and files are whole.
// SENNIT_KILLS scales it.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("SENNIT_PARQUET_DIR"); dir != "" {
		writeUntilKilled(t, dir)
	}
	dir := t.TempDir()
	kills := 5
	if n, err := strconv.Atoi(os.Getenv("SENNIT_KILLS")); err == nil {
		kills = n
	}
	safe, known := map[int]bool{}, map[string]bool{}
	for range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$", "-test.v")
		cmd.Env = append(os.Environ(), "SENNIT_PARQUET_DIR="+dir, "SENNIT_PARQUET_FROM="+strconv.Itoa(10000*len(safe)+rand.IntN(10000)))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		left := 1 + rand.IntN(60)
		wait := time.Duration(rand.IntN(3000)) * time.Microsecond
		for lines := bufio.NewScanner(out); lines.Scan(); {
			text, ok := strings.CutPrefix(lines.Text(), "safe ")
			if !ok {
				continue
			}
			i, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			safe[i] = true
			if left--; left == 0 {
				time.AfterFunc(wait, func() { cmd.Process.Kill() })
			}
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("it was not killed but ended: %v", err)
		}
		// Whatever has a name now can be read; once is enough until the end.
		fresh := slices.DeleteFunc(filesOf(t, dir, &tables.Timelines), func(name string) bool { return known[name] })
		for _, name := range fresh {
			known[name] = true
		}
		readRows(t, fresh)
	}
	if err := open(t, Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	there := map[int]int{}
	for _, row := range rows(t, dir, &tables.Timelines) {
		i, err := strconv.Atoi(strings.TrimPrefix(row["timeline_id"].(string), "t"))
		if err != nil {
			t.Fatal(err)
		}
		there[i]++
	}
	for i := range safe {
		if there[i] != 1 {
			t.Errorf("record %d was safe and is there %d times", i, there[i])
		}
	}
	for i, n := range there {
		if n != 1 {
			t.Errorf("record %d is there %d times", i, n)
		}
	}
	if got, want := len(rows(t, dir, &tables.Steps)), 2*len(there); got != want {
		t.Errorf("%d steps, want %d", got, want)
	}
	t.Logf("%d records were safe, %d are there", len(safe), len(there))
}

// writeUntilKilled rotates often, so that kills hit every part of it.
func writeUntilKilled(t *testing.T, dir string) {
	s, err := Open(Options{Dir: dir, Bytes: 4000})
	if err != nil {
		t.Fatal(err)
	}
	from, err := strconv.Atoi(os.Getenv("SENNIT_PARQUET_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	for i := from; ; i++ {
		if err := s.Write(context.Background(), []sinks.Record{record(i)}); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("safe %d\n", i)
	}
}
