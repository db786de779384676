package otlp

import (
	"bytes"
	"encoding/json"
	"testing"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// collectorJSON renders a request as the collector's file exporter does:
// compact, members in the order of the proto, ids in hex, enums as numbers.
func collectorJSON(t testing.TB, m proto.Message) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, otlpJSON(t, m, protojson.MarshalOptions{UseEnumNumbers: true})); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// soundLogs is sampleLogs without the bad record.
func soundLogs() *logspb.LogsData {
	m := sampleLogs()
	scope := m.ResourceLogs[0].ScopeLogs[0]
	scope.LogRecords = scope.LogRecords[:len(scope.LogRecords)-1]
	return m
}
