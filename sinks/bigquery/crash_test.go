package bigquery

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/sennit-io/sennit/schemas/timeline"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/bigquery/bigquerytest"
)

// crashBatch is the i-th batch: ten timelines, each at one of three revisions; of
// those, every fifth is taken in by another at the last.
func crashBatch(i int) (batch []sinks.Record) {
	revision := uint32(i%3 + 1)
	for k := range 10 {
		id := crashID(i, k)
		batch = append(batch, record(id, revision, k, func(t *timeline.Timeline) {
			if revision == 3 && k%5 == 0 {
				t.SupersededBy = "another"
			}
		}))
	}
	return append(batch, alertRecord(fmt.Sprint("x", i/3), revision))
}

func crashID(i, k int) string { return fmt.Sprintf("t%d-%d", i/3, k) }

// TestKilled writes in another process, which is killed at random points, against a
// server with faults; what was not acknowledged comes again, as JetStream does it.
// In the end the rows are those that were wanted. SENNIT_KILLS scales it.
func TestKilled(t *testing.T) {
	if address := os.Getenv("SENNIT_BIGQUERY"); address != "" {
		writeUntilKilled(t, address)
		return
	}
	kills := 3
	if n, err := strconv.Atoi(os.Getenv("SENNIT_KILLS")); err == nil {
		kills = n
	}
	srv := server(t)
	faults := map[bigquerytest.Fault]int{}
	srv.SetFault(func(string, int) bigquerytest.Fault {
		var f bigquerytest.Fault
		switch rand.IntN(60) {
		case 0:
			f.Code = codes.Unavailable
		case 1:
			f.Code = codes.Aborted
		case 2:
			f.Code = codes.ResourceExhausted
		case 3:
			f.Reset = true
		case 4:
			f.After = true
		}
		faults[f]++ // under the server's lock
		return f
	})
	done := -1
	for kill := range kills + 1 {
		to := 0 // until it is killed
		if kill == kills {
			to = (done + 6) / 3 * 3
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$", "-test.v")
		cmd.Env = append(os.Environ(), "SENNIT_BIGQUERY="+srv.GRPC, fmt.Sprint("SENNIT_BIGQUERY_FROM=", done+1), fmt.Sprint("SENNIT_BIGQUERY_TO=", to))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		left := 1 + rand.IntN(20)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			text, ok := strings.CutPrefix(lines.Text(), "done ")
			if !ok {
				continue
			}
			if done, err = strconv.Atoi(text); err != nil {
				t.Fatal(err)
			}
			if left--; left == 0 && to == 0 {
				time.AfterFunc(time.Duration(rand.IntN(20_000))*time.Microsecond, func() { cmd.Process.Kill() })
			}
		}
		if err := cmd.Wait(); to > 0 && err != nil || to == 0 && cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("process %d ended with %v", kill, err)
		}
	}
	var timelines, steps, alerts []string
	for i := range done + 1 {
		for k := range 10 {
			if i%3 == 2 && k%5 != 0 {
				timelines = append(timelines, crashID(i, k)+" 3")
			}
			for s := range k {
				steps = append(steps, fmt.Sprintf("%s %d s%d", crashID(i, k), i%3+1, s))
			}
		}
		alerts = append(alerts, fmt.Sprintf("x%d %d", i/3, i%3+1))
	}
	for _, l := range [][]string{timelines, steps, alerts} {
		slices.Sort(l)
	}
	same(t, "timelines", timelines, names(srv, "timelines", "timeline_id", "revision"))
	there := names(srv, "steps", "timeline_id", "revision", "step_id")
	same(t, "steps, those that came twice once", steps, slices.Compact(slices.Clone(there)))
	same(t, "alerts, those that came twice once", alerts, slices.Compact(names(srv, "alerts", "alert_id", "revision")))
	t.Logf("%d kills, %d batches, %d appends with the faults %v; %d steps, of which %d came twice", kills, done+1, srv.Appends(), faults, len(steps), len(there)-len(steps))
}

func writeUntilKilled(t *testing.T, address string) {
	from, err := strconv.Atoi(os.Getenv("SENNIT_BIGQUERY_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	to, err := strconv.Atoi(os.Getenv("SENNIT_BIGQUERY_TO"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Project: "p", Dataset: "d", Endpoint: address})
	if err != nil {
		t.Fatal(err)
	}
	for i := from; to == 0 || i < to; {
		if err := s.Write(t.Context(), crashBatch(i)); err != nil {
			time.Sleep(time.Millisecond) // the fan-out's pause
			continue
		}
		fmt.Printf("done %d\n", i)
		i++
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
