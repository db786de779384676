package main

import (
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

	"github.com/sennit-io/sennit/schemas/tables"
)

// TestKilledWriter kills sennit while it writes tables, over and over into one folder.
// After each kill DuckDB reads every file that has a name, and all rows of it; once
// sennit has been let to end, the views show what they show where nothing was killed.
// SENNIT_KILLS scales it.
func TestKilledWriter(t *testing.T) {
	kills := 9
	if n, err := strconv.Atoi(os.Getenv("SENNIT_KILLS")); err == nil {
		kills = n
	}
	torn := filepath.Join(t.TempDir(), "tables")
	killed, unfinished, files := 0, 0, 0
	for try := 0; killed < kills || unfinished == 0 || files == 0; try++ {
		if try == 20*max(kills, 1) {
			t.Fatalf("of %d processes only %d were killed before they ended; %d left unfinished files, and there are %d whole ones", try, killed, unfinished, files)
		}
		if !kill(t, replay(torn), torn, try%3) {
			continue
		}
		killed++
		if left, _ := filepath.Glob(filepath.Join(torn, "*", "date=*", ".part-*.tmp")); len(left) > 0 {
			unfinished++
		}
		if _, err := os.Stat(torn); err != nil { // it was killed before it made the folder
			continue
		}
		files = whole(t, torn)
	}
	if out, err := replay(torn).CombinedOutput(); err != nil {
		t.Fatalf("sennit after kills: %v\n%s", err, out)
	}
	files = whole(t, torn)
	want, got := answers(t, dir), answers(t, torn)
	for _, v := range tables.Views {
		if want, got := want[v.Name], got[v.Name]; !slices.Equal(want, got) {
			t.Errorf("%s after kills:\n%s\nwant\n%s", v.Name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	t.Logf("%d kills, %d of them left unfinished files; %d whole files", killed, unfinished, files)
}

// kill runs a process and kills it: at any time, once it has begun a file, or when
// the first file of this run has its name and others do not. It is false if the process
// ended before.
func kill(t *testing.T, cmd *exec.Cmd, dir string, when int) bool {
	t.Helper()
	parts := func(name string) int {
		files, err := filepath.Glob(filepath.Join(dir, "*", "date=*", name))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	before := parts("part-*.parquet")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	wait := time.Duration(rand.IntN(500)) * time.Millisecond
	if when > 0 {
		wait = time.Duration(rand.IntN(3000)) * time.Microsecond
	}
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(100 * time.Microsecond) {
		if len(ended) > 0 || when == 0 || when == 1 && parts(".part-*.tmp") > 0 || when == 2 && parts("part-*.parquet") > before {
			break
		}
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("sennit ended by itself: %v", err)
		}
		return false
	case <-time.After(wait):
	}
	if err := cmd.Process.Kill(); err != nil {
		<-ended
		return false
	}
	return <-ended != nil
}

// whole asks every view, and whether tables have the rows that their files hold, every
// column of them. It returns how many files there are.
func whole(t *testing.T, dir string) (files int) {
	t.Helper()
	db, err := openTables(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	number := func(query string) (n int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return n
	}
	for _, v := range tables.Views {
		number("SELECT count(hash(v)) FROM " + v.Name + " v")
	}
	for _, table := range tables.All {
		names, err := filepath.Glob(filepath.Join(dir, table.Name, "date=*", "part-*.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		holds := 0
		for _, name := range names {
			holds += number(fmt.Sprintf("SELECT num_rows FROM parquet_file_metadata(%s)", literal(name)))
		}
		if got := number("SELECT count(hash(t)) FROM " + table.Name + " t"); got != holds {
			t.Errorf("%s has %d rows, its %d files hold %d", table.Name, got, len(names), holds)
		}
		files += len(names)
	}
	return files
}

// answers are the rows of each view, in a fixed order.
func answers(t *testing.T, dir string) map[string][]string {
	t.Helper()
	db, err := openTables(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[string][]string{}
	for _, v := range tables.Views {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+v.Name)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := writeCSV(&b, rows); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		slices.Sort(lines)
		all[v.Name] = lines
	}
	return all
}
