package tetragon

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	api "github.com/cilium/tetragon/api/v1/tetragon"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/testdata/recordings"
)

// Every recorded line decodes: none is bad, only the enterprise edition's
// events are of unknown type, and all fields are those the generated types have.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings.Dir(t), "tetragon", "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings of Tetragon: %v, %v", files, err)
	}
	var d Decoder
	var total ingest.Tally
	kinds := map[event.Kind]int{}
	for _, file := range files {
		for n, line := range readLines(t, file) {
			var b event.Batch
			tally, err := d.Decode([]byte(line), &b)
			total.Add(tally)
			if tally.In != 1 || tally.In != len(b.Events)+tally.Bad+tally.UnknownType {
				t.Errorf("%s:%d: %+v and %d events do not add up", file, n+1, tally, len(b.Events))
			}
			enterprise := strings.HasPrefix(line, `{"process_connect"`) || strings.HasPrefix(line, `{"process_close"`) ||
				strings.HasPrefix(line, `{"process_listen"`)
			if errors.Is(err, ingest.ErrUnknownType) != enterprise || err != nil && !enterprise {
				t.Errorf("%s:%d: %v", file, n+1, err)
				continue
			}
			var msg api.GetEventsResponse
			if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(line), &msg); err != nil {
				t.Fatalf("%s:%d: generated types: %v", file, n+1, err)
			}
			compare(t, line, &msg, &b, err)
			for i := range b.Events {
				kinds[b.Events[i].Kind]++
			}
		}
	}
	t.Logf("%+v, %v", total, kinds)
	if total.Bad != 0 || total.UnknownType != 11 || total.In < 62 {
		t.Errorf("recordings: %+v, want none bad and 11 of unknown type", total)
	}
}

func readLines(t *testing.T, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<24)
	for sc.Scan() {
		lines = append(lines, sc.Text())
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}
