package tetragon

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
	"github.com/sennit-io/sennit/schemas/redact"
)

func decode(t *testing.T, d *Decoder, line string) *event.Event {
	t.Helper()
	var b event.Batch
	tally, err := d.Decode([]byte(line), &b)
	if err != nil || tally != (ingest.Tally{In: 1}) || len(b.Events) != 1 {
		t.Fatalf("%s: %+v, %d events, %v", line, tally, len(b.Events), err)
	}
	return &b.Events[0]
}

func parseTime(t *testing.T, s string) event.Time {
	t.Helper()
	std, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return event.At(std)
}

func TestExec(t *testing.T) {
	e := decode(t, new(Decoder), execLine)
	p := e.Payload.(*event.Process)
	node := "gke-agents-default-pool-7041cac0-9s95"
	if e.Kind != event.KindProcessExec || e.Source != event.SourceTetragon || e.Node != node || e.Time != parseTime(t, "2026-11-23T06:56:00.177706678Z") {
		t.Errorf("head %+v", e)
	}
	if p.Hashes == (event.Hashes{}) || p.Args != "" {
		t.Errorf("hashes %v, args %q: want hashes alone", p.Hashes, p.Args)
	}
	want := &event.Process{
		ExecID: p.ExecID, ParentExecID: p.ParentExecID, Hashes: p.Hashes,
		Process: event.ProcessRef{PID: 52699, StartNS: 2469829886142 + 52699000},
		Parent:  event.ProcessRef{PID: 52600, StartNS: 2469829886142 + 52600000},
		TID:     52699, UID: 10001, Binary: "/usr/bin/curl", CWD: "/srv/agent",
		Container: "551e161c47d8ff0eb665438a7bcd5b4e3ef5a297282b40a92b7c77d6bd168eb3",
		Workload: event.Workload{
			Namespace: "agents", Pod: "invoice-agent-5d4f8c7b9-x2x7q", PodUID: "7d1a3f0e-6f0b-4a57-9c0e-3d8d1a0f5b11",
			Container: "agent", Node: node,
		},
		Started: parseTime(t, "2026-11-23T06:56:00.177700327Z"),
	}
	if diff := cmp.Diff(want, p, eventtest.Equal); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

func TestProcessFacts(t *testing.T) {
	d := new(Decoder)
	f := func(process string, check func(p *event.Process) bool) {
		t.Helper()
		p := decode(t, d, `{"process_exec":{"process":`+process+`},"node_name":"n","time":"2026-11-23T06:56:00Z"}`).Payload.(*event.Process)
		if !check(p) {
			t.Errorf("%s: %+v", process, p)
		}
	}
	const tp = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	f(`{"environment_variables":[{"Key":"SECRET","Value":"x"},{"Value":"`+tp+`","Key":"TRACEPARENT"}]}`, func(p *event.Process) bool {
		return p.Trace.Format == "env" && p.Trace.TraceID.String() == tp[3:35]
	})
	f(`{"environment_variables":[{"Key":"OTHER","Value":"`+tp+`"}]}`, func(p *event.Process) bool { return p.Trace == event.TraceContext{} })
	f(`{"in_init_tree":false,"docker":"551e161c47d8ff0eb665438a7bcd5b4"}`, func(p *event.Process) bool {
		return p.Entered && p.Container == "551e161c47d8ff0eb665438a7bcd5b4"
	})
	f(`{"in_init_tree":false}`, func(p *event.Process) bool { return !p.Entered }) // of the host
	f(`{"in_init_tree":true,"docker":"551e"}`, func(p *event.Process) bool { return !p.Entered })
	f(`{"docker":"551e"}`, func(p *event.Process) bool { return !p.Entered })
	f(`{"flags":"procFS auid rootcwd"}`, func(p *event.Process) bool { return p.Inventory })
	f(`{"flags":"execve procFSx"}`, func(p *event.Process) bool { return !p.Inventory })
	f(`{"binary":"/bin/cat","arguments":"/etc/pass","flags":"execve truncArgs"}`, func(p *event.Process) bool { return p.Hashes == event.Hashes{} })
	f(`{"pid":61597,"exec_id":"ODYzMDFjYzFkZjM1OjA6NjE1OTc="}`, func(p *event.Process) bool {
		return p.Process == event.ProcessRef{PID: 61597} // ktime 0: unknown
	})
	f(`{"pid":7,"exec_id":"bm9kZS0xOjI0Njk4Mjk4ODYxNDI6MTI0NDE="}`, func(p *event.Process) bool {
		return p.Process == event.ProcessRef{PID: 7} // the exec id is another process's
	})
	f(`{"exec_id":"not base64!"}`, func(p *event.Process) bool { return p.ExecID == "not base64!" && p.Process.IsZero() })
}

func TestTimes(t *testing.T) {
	d := new(Decoder)
	f := func(line, want string) {
		t.Helper()
		if got := decode(t, d, line).Time.String(); got != want {
			t.Errorf("%s: time %q, want %q", line, got, want)
		}
	}
	f(`{"process_exec":{"process":{"start_time":"2022-01-19T11:05:54.378Z"}}}`, "2022-01-19T11:05:54.378000000Z")
	f(`{"process_exit":{"process":{"start_time":"2022-01-19T11:05:54.378Z"},"time":"2022-01-19T11:05:55Z"}}`, "2022-01-19T11:05:55.000000000Z")
	f(`{"process_exit":{"time":"2022-01-19T11:05:55Z"},"time":"2022-01-19T12:05:56+01:00"}`, "2022-01-19T11:05:56.000000000Z")
	f(`{"process_kprobe":{}}`, "")
}

func TestHooks(t *testing.T) {
	d := new(Decoder)
	f := func(event0 string, kind event.Kind, want event.Syscall) {
		t.Helper()
		e := decode(t, d, `{`+event0+`,"node_name":"n","time":"2026-11-23T06:56:00Z"}`)
		if diff := cmp.Diff(&want, e.Payload, eventtest.Equal); diff != "" || e.Kind != kind {
			t.Errorf("%s: %v (-want +got):\n%s", event0, e.Kind, diff)
		}
	}
	ap := netip.MustParseAddrPort
	f(`"process_kprobe":{"process":{"pid":9,"flags":"unknown"},"function_name":"tcp_close","action":"KPROBE_ACTION_POST","args":[{"sock_arg":{"family":"AF_INET6","protocol":"IPPROTO_TCP","saddr":"::ffff:127.0.0.1","daddr":"::","sport":45893,"cookie":"18446616041938487424"}}]}`,
		event.KindSyscall, event.Syscall{
			Process: event.ProcessRef{PID: 9}, Hook: "kprobe", Function: "tcp_close", Action: "post", SockAddr: 18446616041938487424,
			Tuple: event.Tuple{Proto: event.ProtoTCP, Src: ap("127.0.0.1:45893")},
		})
	f(`"process_kprobe":{"function_name":"security_file_permission","policy_name":"p","message":"m","args":[{"file_arg":{"path":"/etc/passwd"}},{"int_arg":4}],"return":{"int_arg":-1},"action":"KPROBE_ACTION_POST","return_action":"KPROBE_ACTION_OVERRIDE"}`,
		event.KindEnforcement, event.Syscall{Hook: "kprobe", Function: "security_file_permission", File: "/etc/passwd", Policy: "p", Message: "m", Action: "override", Return: -1})
	f(`"processKprobe":{"functionName":"tcp_connect","action":3}`, event.KindEnforcement, event.Syscall{Hook: "kprobe", Function: "tcp_connect", Action: "sigkill"})
	f(`"process_tracepoint":{"subsys":"syscalls","event":"sys_enter_openat","args":[{"int_arg":-100},{"string_arg":"/tmp/x"}],"action":"KPROBE_ACTION_SIGNAL"}`,
		event.KindEnforcement, event.Syscall{Hook: "tracepoint", Function: "syscalls/sys_enter_openat", File: "/tmp/x", Action: "signal"})
	f(`"process_kprobe":{"function_name":"sys_write","args":[{"string_arg":"a secret"}]}`, event.KindSyscall, event.Syscall{Hook: "kprobe", Function: "sys_write"})
	f(`"process_uprobe":{"path":"/usr/lib/libssl.so","symbol":"SSL_write"}`, event.KindSyscall, event.Syscall{Hook: "uprobe", Function: "SSL_write", File: "/usr/lib/libssl.so"})
	f(`"process_usdt":{"path":"/usr/bin/python3","provider":"python","name":"function__entry"}`, event.KindSyscall, event.Syscall{Hook: "usdt", Function: "python:function__entry", File: "/usr/bin/python3"})
	f(`"process_loader":{"path":"/lib/x.so","buildid":"AAEC"}`, event.KindSyscall, event.Syscall{Hook: "loader", File: "/lib/x.so"})
	f(`"process_lsm":{"function_name":"bprm_check_security","args":[{"linux_binprm_arg":{"path":"/bin/sh"}}],"action":"KPROBE_ACTION_NOTIFYENFORCER"}`,
		event.KindEnforcement, event.Syscall{Hook: "lsm", Function: "bprm_check_security", File: "/bin/sh", Action: "notifyenforcer"})
	f(`"process_lsm":{"function_name":"socket_connect","args":[{"sock_arg":{"protocol":"IPPROTO_TCP","saddr":"10.0.0.2"}},{"sockaddr_arg":{"family":"AF_INET","addr":"1.2.3.4","port":443}}]}`,
		event.KindSyscall, event.Syscall{Hook: "lsm", Function: "socket_connect", Tuple: event.Tuple{Proto: event.ProtoTCP, Src: ap("10.0.0.2:0"), Dst: ap("1.2.3.4:443")}})
	f(`"process_lsm":{"function_name":"socket_bind","args":[{"sockaddr_arg":{"addr":"0.0.0.0","port":8080}}]}`,
		event.KindSyscall, event.Syscall{Hook: "lsm", Function: "socket_bind", Tuple: event.Tuple{Src: ap("0.0.0.0:8080")}})
}

func TestLoss(t *testing.T) {
	d := new(Decoder)
	at := parseTime(t, "2026-11-23T06:56:00Z")
	f := func(event0 string, want event.Loss) {
		t.Helper()
		e := decode(t, d, `{`+event0+`,"node_name":"n","time":"2026-11-23T06:56:00Z"}`)
		want.Of = event.SourceTetragon
		if diff := cmp.Diff(&want, e.Payload); diff != "" || e.Kind != event.KindLoss || e.Time != at {
			t.Errorf("%s: %+v (-want +got):\n%s", event0, e, diff)
		}
	}
	f(`"process_throttle":{"type":"THROTTLE_START","cgroup":"session-429.scope"}`, event.Loss{Reason: "throttle start", Scope: "session-429.scope", From: at})
	f(`"process_throttle":{"cgroup":"session-429.scope","type":2}`, event.Loss{Reason: "throttle stop", Scope: "session-429.scope", To: at})
	f(`"rate_limit_info":{"number_of_dropped_process_events":"123"}`, event.Loss{Reason: "rate limit", Count: 123, From: at.Add(-time.Minute), To: at})
	f(`"rateLimitInfo":{"numberOfDroppedProcessEvents":7}`, event.Loss{Reason: "rate limit", Count: 7, From: at.Add(-time.Minute), To: at})
}

func TestRefused(t *testing.T) {
	d := new(Decoder)
	f := func(line, want string, unknown bool) {
		t.Helper()
		var b event.Batch
		tally, err := d.Decode([]byte(line), &b)
		wantTally := ingest.Tally{In: 1, Bad: 1}
		if unknown {
			wantTally = ingest.Tally{In: 1, UnknownType: 1}
		}
		if err == nil || errors.Is(err, ingest.ErrUnknownType) != unknown || !strings.Contains(err.Error(), want) || tally != wantTally || len(b.Events) != 0 {
			t.Errorf("%s: %+v, %d events, %v; want %q", line, tally, len(b.Events), err, want)
		}
	}
	f(`{"process_connect":{"process":{}},"node_name":"n"}`, "process_connect", true)
	f(`{"process_close":{},"time":"2026-11-23T06:56:00Z"}`, "process_close", true)
	f(`{"process_listen":{}}`, "process_listen", true)
	f(`{"process_dns":{"a":{"b":1}}}`, `"process_dns"`, true)
	f(`{"test":{"arg0":"1"}}`, `"test"`, true)
	f(`{"process_throttle":{"cgroup":"x"}}`, "throttle", true)
	f(`{"node_name":"n"}`, "no Tetragon event", true)
	f(`{"process_exec":null}`, "no Tetragon event", true)
	f(`[1]`, "no Tetragon event", true)
	f(`{"process_exec":{}`, "unexpected end", false)
	f(`{"process_exec":5}`, "want an object", false)
	f(`{"process_exec":{},"process_exit":{}}`, "two events", false)
	f(`{"process_exec":{"process":{"pid":-1}}}`, "unsigned", false)
	f(`{"process_exec":{},"time":"yesterday"}`, "RFC 3339", false)
	f(`{"process_kprobe":{"args":[{"sock_arg":{"saddr":"nowhere"}}]}}`, "IP address", false)
	f(`{"process_kprobe":{"args":[{"sock_arg":{"sport":70000}}]}}`, "16 bits", false)
	f(strings.Repeat(`{"process_exec":`, 70), "nesting depth", false)
	f(``, "unexpected end", false)
}

// The id of an event is the event's, not its spelling's.
func TestIDs(t *testing.T) {
	d := new(Decoder)
	id := func(line string) event.ID { t.Helper(); return decode(t, d, line).ID }
	camel := strings.NewReplacer("process_kprobe", "processKprobe", "exec_id", "execId", "function_name", "functionName", "sock_arg", "sockArg",
		"policy_name", "policyName", "return_action", "returnAction", "node_name", "nodeName", ":", " : ", `"sport" : 54321`, `"sport":"54321"`).Replace
	spelled := strings.NewReplacer("T06 : 56 : 00", "T06:56:00", "T06 : 00 : 00", "T06:00:00", "containerd : //", "containerd://",
		"https : //", "https://", "@sha256 : ", "@sha256:", "invoice : v12", "invoice:v12", "\"parent_exec_id\"", "\"parentExecId\"").Replace(camel(kprobeLine))
	if id(kprobeLine) != id(spelled) {
		t.Errorf("two spellings of one event have two ids:\n%s\n%s", kprobeLine, spelled)
	}
	if id(kprobeLine) != id(strings.Replace(kprobeLine, `"start_time":"2026-11-23T06:56:00.177700327Z"`, `"start_time":"2026-11-23T06:56:00.177700328Z"`, -1)) {
		t.Error("the id depends on the start time, which Tetragon converts anew each time")
	}
	seen := map[event.ID]string{}
	for _, line := range []string{
		execLine, strings.Replace(execLine, "process_exec", "process_exit", 1), kprobeLine,
		strings.Replace(kprobeLine, `"sport":54321`, `"sport":54322`, 1), strings.Replace(kprobeLine, "tcp_connect", "tcp_close", 1),
		strings.Replace(kprobeLine, "connect-and-file", "other", 1), strings.Replace(kprobeLine, "178Z", "179Z", 1),
		strings.Replace(kprobeLine, `"TCP_SYN_SENT"`, `"TCP_CLOSE"`, 1),
		strings.Replace(kprobeLine, `"args":[`, `"args":[{"int_arg":1},`, 1), strings.Replace(kprobeLine, `"args":[`, `"args":[{"uint_arg":2},`, 1),
		strings.Replace(kprobeLine, `"args":[`, `"args":[{"bytes_arg":"AAEC"},`, 1), strings.Replace(kprobeLine, `"args":[`, `"args":[{"bytes_arg":"AAED"},`, 1),
		strings.Replace(kprobeLine, `"args":[`, `"args":[{"capability_arg":{"value":1}},`, 1), strings.Replace(kprobeLine, `"args":[`, `"args":[{"capability_arg":{"value":2}},`, 1),
		`{"process_exec":{"process":{"pid":1}}}`, `{"process_exec":{"process":{"pid":2}}}`,
		`{"process_throttle":{"type":1,"cgroup":"a"}}`, `{"process_throttle":{"type":1,"cgroup":"b"}}`, `{"process_throttle":{"type":2,"cgroup":"b"}}`,
	} {
		got := id(line)
		if other, ok := seen[got]; ok && other != line {
			t.Errorf("one id for\n%s\n%s", line, other)
		}
		seen[got] = line
	}
}

func TestRedaction(t *testing.T) {
	const secret = "hunter2"
	line := strings.Replace(strings.ReplaceAll(execLine, "invoices/4711", "invoices/"+secret), `"flags"`, `"environment_variables":[{"Key":"TOKEN","Value":"`+secret+`"}],"flags"`, 1)
	p := decode(t, new(Decoder), line).Payload.(*event.Process)
	if strings.Contains(fmt.Sprintf("%+v", *p), secret) {
		t.Errorf("the secret came through: %+v", p)
	}
	keyed := decode(t, &Decoder{Redact: redact.Policy{Key: [32]byte{1}}}, line).Payload.(*event.Process)
	if keyed.Hashes == p.Hashes {
		t.Error("two keys, one hash")
	}
	open := decode(t, &Decoder{Redact: redact.Policy{CommandLines: true}}, line).Payload.(*event.Process)
	if !strings.Contains(fmt.Sprintf("%+v", *open), secret) || open.Args != "-s https://api.example.com/v1/invoices/"+secret {
		t.Errorf("args %q, want them as they are", open.Args)
	}
	write := strings.Replace(kprobeLine, `"args":[`, `"args":[{"string_arg":"`+secret+`"},`, 1)
	if s := decode(t, new(Decoder), write).Payload.(*event.Syscall); strings.Contains(fmt.Sprintf("%+v", *s), secret) {
		t.Errorf("the secret came through: %+v", s)
	}
}

// A pod or parent that changes is not taken for the one remembered.
func TestMemo(t *testing.T) {
	d := new(Decoder)
	for i, line := range []string{
		execLine, execLine,
		strings.ReplaceAll(execLine, `"name":"agent"`, `"name":"other"`), execLine,
		strings.Replace(execLine, `"pod":{`, `"pod":{"x":1,`, 1), execLine,
	} {
		want := decode(t, new(Decoder), line)
		if diff := cmp.Diff(want, decode(t, d, line), eventtest.Equal); diff != "" {
			t.Errorf("line %d: fresh (-) and used decoder (+) differ:\n%s", i, diff)
		}
	}
}
