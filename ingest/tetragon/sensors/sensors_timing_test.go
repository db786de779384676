package sensors

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	tetragondecode "github.com/sennit-io/sennit/ingest/tetragon"
	"github.com/sennit-io/sennit/schemas/event"
)

// What an event of the stream costs until it is ours: as it is read now, and as it
// was before, through generated types and their JSON.
func BenchmarkEvent(b *testing.B) {
	files, err := filepath.Glob("../../../testdata/agents/*.tetragon.jsonl")
	if err != nil || len(files) == 0 {
		b.Fatal("no recordings", err)
	}
	var records [][]byte
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			var m tetragon.GetEventsResponse
			if err := protojson.Unmarshal([]byte(line), &m); err != nil {
				b.Fatal(err)
			}
			wire, err := proto.Marshal(&m)
			if err != nil {
				b.Fatal(err)
			}
			records = append(records, wire)
		}
	}
	b.Run("wire", func(b *testing.B) {
		var d tetragondecode.Decoder
		var batch event.Batch
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			batch.Reset()
			if _, err := d.DecodeProto(records[i%len(records)], &batch); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		var d tetragondecode.Decoder
		var batch event.Batch
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			var got tetragon.GetEventsResponse
			if err := proto.Unmarshal(records[i%len(records)], &got); err != nil {
				b.Fatal(err)
			}
			text, err := got.MarshalJSON()
			if err != nil {
				b.Fatal(err)
			}
			batch.Reset()
			if _, err := d.Decode(text, &batch); err != nil {
				b.Fatal(err)
			}
		}
	})
}
