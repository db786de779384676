package joint_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/testdata/joint/convert"
)

func TestExchangesAreTheTruths(t *testing.T) {
	dir := corpus(t)
	ingress, egress, _ := readTruth(t, dir)
	all := records(t, dir, convert.Options{TraceContext: true})
	f := func(facts []fact, list []*event.Event, started func(x *event.Exchange, f *fact) bool) {
		t.Helper()
		for i := range facts {
			want, n := &facts[i], 0
			for _, e := range list {
				x := e.Payload.(*event.Exchange)
				if x.Tuple.Src != want.Local || x.Tuple.Dst != want.Peer || !started(x, want) || e.Time < want.at() {
					continue
				}
				n++
				path, _, _ := strings.Cut(want.Path, "?")
				got := fact{
					Kind: want.Kind, UnixUS: want.UnixUS, TID: x.TID, Local: x.Tuple.Src, Peer: x.Tuple.Dst,
					Trace: x.Trace.TraceID, Caller: x.Trace.SpanID, Path: x.HTTP.Path,
				}
				redacted := *want
				redacted.Path = path
				if diff := cmp.Diff(redacted, got, cmp.AllowUnexported(fact{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
					t.Errorf("(-truth +record):\n%s", diff)
				}
			}
			if n != 1 {
				t.Errorf("%s at %v on %v: %d exchanges, want 1", want.Kind, want.at(), want.Peer, n)
			}
		}
	}
	f(egress, exchanges(all, event.RoleClient, modelPort), func(x *event.Exchange, f *fact) bool { return soon(f, x.Start) })
	// The agent reads a request when it comes to it.
	f(ingress, exchanges(all, event.RoleServer, agentPort), func(x *event.Exchange, f *fact) bool { return x.Start <= f.at() })
	for _, side := range []event.Role{event.RoleClient, event.RoleServer} {
		if n, m := len(exchanges(all, side, agentPort)), len(exchanges(all, side, modelPort)); n != 40 || m != 80 {
			t.Errorf("%v: %d exchanges with the agent and %d with the model, want 40 and 80", side, n, m)
		}
	}
}

func TestProcessesAreTheTruths(t *testing.T) {
	dir := corpus(t)
	_, _, tools := readTruth(t, dir)
	var meta struct {
		AgentPID uint32 `json:"agent_pid"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		t.Fatal(err)
	}
	execs, exits := map[event.ProcessRef]*event.Event{}, map[event.ProcessRef]int{}
	all := records(t, dir, convert.Options{})
	for i := range all {
		switch p, _ := all[i].Payload.(*event.Process); all[i].Kind {
		case event.KindProcessExec:
			execs[p.Process] = &all[i]
		case event.KindProcessExit:
			exits[p.Process]++
		}
	}
	if len(execs) != 81 || len(exits) != 82 { // the agent, 40 shells, 40 cats; a child that Go's runtime forks once
		t.Errorf("%d execs and %d exits, want 81 and 82", len(execs), len(exits))
	}
	found := 0
	for ref, e := range execs {
		p := e.Payload.(*event.Process)
		if exits[ref] != 1 {
			t.Errorf("process %v has %d exits", ref, exits[ref])
		}
		if p.Args != "" || p.Hashes == (event.Hashes{}) {
			t.Errorf("process %v: command line %q, hashes %v: it must travel as hashes alone", ref, p.Args, p.Hashes)
		}
		switch p.Binary {
		case "/bin/sh":
			for i := range tools {
				if tools[i].PID == ref.PID && soon(&tools[i], e.Time) {
					found++
				}
			}
			if p.Parent.PID != meta.AgentPID || execs[p.Parent] == nil {
				t.Errorf("shell %v has the parent %v, not the agent", ref, p.Parent)
			}
		case "/usr/bin/cat":
			if parent := execs[p.Parent]; parent == nil || parent.Payload.(*event.Process).Binary != "/bin/sh" {
				t.Errorf("cat %v has the parent %v, no shell", ref, p.Parent)
			}
		default:
			if ref.PID != meta.AgentPID {
				t.Errorf("process %v is %s", ref, p.Binary)
			}
		}
	}
	if found != len(tools) {
		t.Errorf("%d of %d tools of the truth have their exec", found, len(tools))
	}
}

func TestSocketsAreThoseOfStraceAndCapture(t *testing.T) {
	dir := corpus(t)
	accepted, dialled := map[uint16]bool{}, map[uint16]bool{}
	opened, owned := map[uint16]bool{}, map[uint16]bool{}
	all := records(t, dir, convert.Options{})
	for i := range all {
		s, ok := all[i].Payload.(*event.Socket)
		if !ok || s.Role != event.RoleServer || s.Tuple.Src.Port() != agentPort {
			continue
		}
		switch all[i].Kind {
		case event.KindSocketOpen:
			opened[s.Tuple.Dst.Port()] = true
		case event.KindSocketOwner:
			owned[s.Tuple.Dst.Port()] = true
		}
	}
	// By other means than the converter's.
	f, err := os.Open(filepath.Join(dir, "agent.strace.log.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(z); s.Scan(); {
		if line := s.Text(); strings.Contains(line, " accept4(") {
			var port uint16
			if _, rest, ok := strings.Cut(line, "<TCP:[127.0.0.1:18482->127.0.0.1:"); ok {
				if _, err := fmt.Sscanf(rest, "%d]", &port); err != nil {
					t.Fatal(err)
				}
				accepted[port] = true
			}
		}
	}
	capture, err := os.ReadFile(filepath.Join(dir, "loopback.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	answered := bytes.Split(capture, []byte{0x48, 0x32}) // from port 18482
	for _, p := range answered[1:] {
		if len(p) > 12 && p[11] == 0x12 { // SYN and ACK
			dialled[uint16(p[0])<<8|uint16(p[1])] = true
		}
	}
	want := map[uint16]bool{35896: true, 35904: true, 35906: true, 35914: true, 35924: true}
	for what, got := range map[string]map[uint16]bool{
		"accept4 in strace": accepted, "SYN, ACK in the capture": dialled, "socket_open": opened, "socket_owner": owned,
	} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestRecordsDoNotGiveTheAnswer(t *testing.T) {
	dir := corpus(t)
	ingress, egress, tools := readTruth(t, dir)
	driver := readDriver(t, dir)
	f := func(o convert.Options, want bool) {
		t.Helper()
		out := t.TempDir()
		if _, err := convert.Run(dir, out, o); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(out, convert.Node+".socket.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, facts := range [][]fact{ingress, egress, tools} {
			for _, f := range facts {
				for _, id := range []string{f.Trace.String(), f.SpanID.String(), f.Caller.String()} {
					if strings.Trim(id, "0") != "" && bytes.Contains(text, []byte(id)) {
						n++
					}
				}
			}
		}
		for _, r := range driver {
			n += bytes.Count(text, []byte(r.Trace.String()))
		}
		if (n > 0) != want {
			t.Errorf("%+v: the records name %d trace and span ids of the truth", o, n)
		}
		for _, secret := range []string{"session=", "user=", "tool-exec", "fakekey"} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%+v: the records contain %q", o, secret)
			}
		}
		names, err := os.ReadDir(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range names {
			if strings.Contains(e.Name(), "truth") || strings.Contains(e.Name(), "driver") {
				t.Errorf("%s was handed on", e.Name())
			}
		}
	}
	f(convert.Options{}, false)
	f(convert.Options{TraceContext: true}, true)
}
