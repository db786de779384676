package replay

import (
	"errors"
	"testing"

	"github.com/sennit-io/sennit/ingest/scan"
)

func TestSniff(t *testing.T) {
	var s sniffer
	f := func(rec string, want format) {
		t.Helper()
		if got, err := s.sniff([]byte(rec)); got != want || err != nil {
			t.Errorf("%s: got %d, %v, want %d", rec, got, err, want)
		}
	}
	f(`{"flow":{"verdict":"FORWARDED"},"node_name":"n"}`, formatHubble)
	f(`{"node_name":"n","time":"2026-11-23T07:16:00Z","flow":{}}`, formatHubble)
	f(`{"lost_events":{"num_events_lost":"1"}}`, formatHubble)
	f(`{"lostEvents":{}}`, formatHubble)
	f(`{"nodeName":"n","agentEvent":{}}`, formatHubble)
	f(`{"time":"2026-11-23T07:16:00Z","uuid":"x","verdict":"DROPPED","IP":{}}`, formatHubble)
	f(`{"time":"2026-11-23T07:16:00Z","IP":{"source":"::1"},"l4":{}}`, formatHubble)
	f(`{ "process_exec" : {}}`, formatTetragon)
	f(`{"time":"x","node_name":"n","processKprobe":{}}`, formatTetragon)
	f(`{"process_listen":{}}`, formatTetragon)
	f(`{"rate_limit_info":{}}`, formatTetragon)
	f(`{"test":{"arg0":"1"},"node_name":"n"}`, formatTetragon)
	f(`{"test":1}`, formatUnknown)
	f(`{"resourceSpans":[]}`, formatOTLP)
	f(`{"resource_logs":[]}`, formatOTLP)
	f(`{"resourceMetrics":[]}`, formatOTLP)
	f(`{"insertId":"x","logName":"l"}`, formatGCP)
	f(`{"timestamp":"x","severity":"INFO","resource":{"type":"x"},"jsonPayload":{}}`, formatGCP)
	f(`{"connection":{"src_ip":"10.0.0.1"},"disposition":"allow"}`, formatGCP)
	f(`{"connection":{"src_ip":"10.0.0.1"}}`, formatUnknown)
	f(`{"apiVersion":"v1","kind":"Pod"}`, formatK8s)
	f(`{"kind":"Pod","metadata":{}}`, formatK8s)
	f(`{"type":"ADDED","object":{}}`, formatK8s)
	f(`{"type":"other","object":{}}`, formatUnknown)
	f(`{"id":"00112233445566778899aabbccddeeff","kind":"span","source":"otlp"}`, formatRecording)
	f(`{"kind":"socket_open","source":"socket","payload":{}}`, formatRecording)
	f(`{"source":"socket","time":"x","kind":"socket_open"}`, formatRecording)
	f(`{"payload":{},"kind":"no_such_kind"}`, formatRecording)
	f(`{"trace_id":"x","kind":"exchange","node":"n"}`, formatUnknown) // a line of truth
	f(`{"\u0066low":{}}`, formatHubble)                               // spelt with an escape
	f(`{}`, formatUnknown)
	f(`[]`, formatUnknown)
	f(`"flow"`, formatUnknown)
	f(`-1.5e3`, formatUnknown)

	bad := func(rec string) {
		t.Helper()
		if got, err := s.sniff([]byte(rec)); !errors.Is(err, scan.ErrSyntax) {
			t.Errorf("%s: got %d, %v", rec, got, err)
		}
	}
	bad(``)
	bad(`hello`)
	bad("\x00")
	bad(`{"a":1`)
	bad(`{"a":1}}`)
	bad(`{"time":flow}`)
	bad(`12:00:01`)
}

// The names of a record's first member decide at once, without allocation.
func TestSniffAllocates(t *testing.T) {
	var s sniffer
	recs := [][]byte{
		[]byte(`{"flow":{"verdict":"FORWARDED"}}`),
		[]byte(`{"time":"2026-11-23T07:16:00Z","node_name":"n","process_exec":{}}`),
		[]byte(`{"id":"00112233445566778899aabbccddeeff","kind":"span","source":"otlp"}`),
		[]byte(`{"some":{"other":["thing",1]}}`),
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, r := range recs {
			if _, err := s.sniff(r); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
