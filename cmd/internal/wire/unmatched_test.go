package wire

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/ingest/replay/extsort"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

func TestUnmatchedLines(t *testing.T) {
	b := &event.Batch{}
	burst := b.NewExchange()
	burst.Cookie, burst.Start, burst.Process.PID = 1<<60, 1e18, 7
	burst.Tuple = event.Tuple{Proto: event.ProtoTCP, Src: netip.MustParseAddrPort("10.0.0.1:1234"), Dst: netip.MustParseAddrPort("10.0.0.2:443")}
	burst.HTTP.Status = 200
	later := &event.Event{ID: event.ID{2}, Kind: event.KindBurst, Source: event.SourceSocket, Node: "n1", Time: 1e18 + 5, Payload: burst}
	p := b.NewProcess()
	p.Process.PID, p.Binary = 9, "/bin/\u202esh"
	first := &event.Event{ID: event.ID{1}, Kind: event.KindProcessExec, Source: event.SourceTetragon, Node: "n2", Time: 1e18 + 1, Payload: p}

	u := newUnmatched(context.Background(), true, extsort.Options{})
	defer u.close()
	u.add(later, "ambiguous", []timeline.Candidate{{TimelineID: "t1", Confidence: 0.5}})
	u.add(first, "ambient", nil)
	var out bytes.Buffer
	if err := u.write(&out); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"event_id":"01000000000000000000000000000000","kind":"process_exec","source":"tetragon","node":"n2",` +
			`"start":"2001-09-09T01:46:40.000000001Z","end":"2001-09-09T01:46:40.000000001Z","pid":9,"socket_cookie":"","fate":"ambient","candidates":[],` +
			`"attributes":{"process.executable.path":"/bin/` + "\u202e" + `sh","process.pid":9}}`,
		`{"event_id":"02000000000000000000000000000000","kind":"burst","source":"socket","node":"n1",` +
			`"start":"2001-09-09T01:46:40.000000000Z","end":"2001-09-09T01:46:40.000000005Z","pid":7,"socket_cookie":"1152921504606846976","fate":"ambiguous",` +
			`"candidates":[{"timeline_id":"t1","confidence":0.5}],"attributes":{"http.response.status_code":200,"network.local.address":"10.0.0.1",` +
			`"network.local.port":1234,"network.peer.address":"10.0.0.2","network.peer.port":443,` +
			`"observed.end":"2001-09-09T01:46:40.000000005Z","observed.start":"2001-09-09T01:46:40.000000000Z","process.pid":7}}`,
	}
	if diff := cmp.Diff(strings.Join(want, "\n")+"\n", out.String()); diff != "" {
		t.Error(diff)
	}
}

// Every kind of payload has its facts, in order of their names, each once.
func TestFactsOfEveryKind(t *testing.T) {
	host := event.HTTP{Method: "GET", Host: "a", Path: "/p", Status: 200}
	payloads := []event.Payload{
		&event.EdgeRequest{HTTP: host, Start: 5}, &event.Flow{Start: 5, Policy: "p"}, &event.HTTPFlow{HTTP: host}, &event.DNS{Query: "q"},
		&event.Socket{Opened: 5, Cookie: 1}, &event.Exchange{Start: 5, HTTP: host}, &event.TLSHello{SNI: "s"}, &event.Process{Binary: "b"},
		&event.Syscall{File: "f"}, &event.Span{Start: 5, Server: "s", HTTP: host}, &event.SpanLog{Service: "s"},
	}
	for _, p := range payloads {
		f := factsOf(&event.Event{Time: 9, Payload: p})
		for i := 1; i < len(f.attrs); i++ {
			if f.attrs[i-1].Key >= f.attrs[i].Key {
				t.Errorf("%T: %q before %q", p, f.attrs[i-1].Key, f.attrs[i].Key)
			}
		}
		if len(f.attrs) == 0 && f.cookie == 0 {
			t.Errorf("%T has no facts", p)
		}
		if _, err := json.Marshal(f.attrs); err != nil {
			t.Errorf("%T: %v", p, err)
		}
		if f.start != 5 && f.start != 9 {
			t.Errorf("%T starts at %d", p, f.start)
		}
	}
}
