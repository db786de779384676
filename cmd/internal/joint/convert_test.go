package joint_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/testdata/joint/convert"
)

const (
	head = "POST /run?user=u&session=s HTTP/1.1\r\nHost: agent\r\n" +
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nContent-Length: 4\r\n\r\n"
	get     = "GET /health HTTP/1.1\r\nHost: agent\r\n\r\n"
	noBody  = "HTTP/1.1 204 No Content\r\n\r\n"
	waiting = "HTTP/1.1 100 Continue\r\n\r\n"
	chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nhello world!\r\n0\r\n\r\n"
)

// exchangeLines are the exchanges of a capture, as the client's end has them,
// in short.
func exchangeLines(t *testing.T, c *capture, o convert.Options) (out []string) {
	t.Helper()
	for _, line := range strings.Split(summary(t, made{capture: c.String(), clock: madeClock}, o), "\n") {
		if strings.Contains(line, " exchange ") && strings.Contains(line, `"role":"client"`) {
			_, line, _ = strings.Cut(line, `"role":"client",`)
			out = append(out, line)
		}
	}
	return out
}

func TestExchangesOfCapture(t *testing.T) {
	f := func(c *capture, o convert.Options, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, exchangeLines(t, c, o)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	const afterHead = uint32(1001 + len(head))
	one := func(trace string) string {
		return `"ordinal":1,"protocol":"http/1.1","start":"48:20.020000000Z","first_byte":"48:20.030000000Z","bytes_out":"145","bytes_in":"94",` +
			`"http":{"method":"POST","host":"agent","path":"/run","status":200}` + trace + `}`
	}

	// Two requests on one connection: the first in two pieces of which one is
	// sent twice, and its answer out of order; around them what is none of it.
	c := newCapture()
	c.add(5, "127.0.0.1:39999", agent, "P.", 7, "from before the capture")
	c.open(10, caller, agent)
	c.add(20, caller, agent, "P.", 1001, head)
	c.add(22, caller, agent, "P.", afterHead, "body")
	c.add(24, caller, agent, "P.", afterHead, "body")
	c.add(25, agent, caller, ".", 2000, "")
	c.udp(26)
	c.add(30, agent, caller, "P.", 2001, waiting)
	c.add(40, agent, caller, "P.", uint32(2001+len(waiting)+40), chunked[40:])
	c.add(50, agent, caller, "P.", uint32(2001+len(waiting)), chunked[:40])
	c.add(60, caller, agent, "P.", afterHead+4, get)
	c.add(70, agent, caller, "P.", uint32(2001+len(waiting)+len(chunked)), noBody)
	two := `"ordinal":2,"protocol":"http/1.1","start":"48:20.060000000Z","first_byte":"48:20.070000000Z","bytes_out":"37","bytes_in":"27",` +
		`"http":{"method":"GET","host":"agent","path":"/health","status":204}}`
	f(c, convert.Options{}, one(""), two)
	f(c, convert.Options{TraceContext: true},
		one(`,"trace":{"trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","format":"traceparent"}`), two)

	// The end of a request, or of its answer, that was not seen.
	c = newCapture()
	c.open(10, caller, agent)
	c.add(20, caller, agent, "P.", 1001, head)
	f(c, convert.Options{})
	c.add(22, caller, agent, "P.", afterHead, "body")
	f(c, convert.Options{})
	c.add(30, agent, caller, "P.", 2001, waiting)
	f(c, convert.Options{})
	c.add(40, agent, caller, "P.", uint32(2001+len(waiting)), chunked[:60])
	f(c, convert.Options{})
	c.add(50, agent, caller, "P.", uint32(2001+len(waiting)+60), chunked[60:])
	f(c, convert.Options{}, one(""))

	// A port that comes back is another connection, and sequence numbers wrap.
	c = newCapture()
	c.open(10, caller, agent)
	c.add(20, caller, agent, "P.", 1001, get)
	c.add(30, agent, caller, "P.", 2001, noBody)
	c.add(40, caller, agent, "F.", uint32(1001+len(get)), "")
	c.add(41, agent, caller, "F.", uint32(2001+len(noBody)), "")
	c.add(100, caller, agent, "S", 1<<32-6, "")
	c.add(101, agent, caller, "S.", 1<<32-3, "")
	c.add(102, caller, agent, ".", 1<<32-5, "")
	c.add(110, caller, agent, "P.", 1<<32-5, get[:9])
	c.add(111, caller, agent, "P.", 4, get[9:])
	c.add(120, agent, caller, "P.", 1<<32-2, noBody)
	f(c, convert.Options{},
		`"ordinal":1,"protocol":"http/1.1","start":"48:20.020000000Z","first_byte":"48:20.030000000Z","bytes_out":"37","bytes_in":"27",`+
			`"http":{"method":"GET","host":"agent","path":"/health","status":204}}`,
		`"ordinal":1,"protocol":"http/1.1","start":"48:20.110000000Z","first_byte":"48:20.120000000Z","bytes_out":"37","bytes_in":"27",`+
			`"http":{"method":"GET","host":"agent","path":"/health","status":204}}`)
}

func TestSocketsOfCapture(t *testing.T) {
	c := newCapture()
	c.add(1, "127.0.0.1:39998", agent, "S", 50, "")
	c.add(2, agent, "127.0.0.1:39998", "R.", 0, "")
	c.open(10, caller, agent)
	c.add(20, caller, agent, "P.", 1001, get)
	c.add(30, agent, caller, "P.", 2001, noBody)
	c.add(40, caller, agent, "F.", uint32(1001+len(get)), "")
	c.add(50, agent, caller, "F.", uint32(2001+len(noBody)), "")
	c.open(60, "127.0.0.1:40001", agent)
	c.add(70, agent, "127.0.0.1:40001", "R.", 2001, "")
	c.open(80, "127.0.0.1:40002", agent)
	m := made{
		capture: c.String(), clock: madeClock,
		strace: `7 1000100.015000 accept4(3<TCP:[127.0.0.1:80]>, 0xc0, [112], SOCK_CLOEXEC) = 4<TCP:[127.0.0.1:80->127.0.0.1:40000]>
8 1000100.021000 read(4<TCP:[127.0.0.1:80->127.0.0.1:40000]>,  <unfinished ...>
7 1000100.021500 accept4(3<TCP:[127.0.0.1:80]>, 0xc0, [112], SOCK_CLOEXEC) = -1 EAGAIN (Resource temporarily unavailable)
8 1000100.022000 <... read resumed>"GET /health = (1) = 2", 4096) = 37
8 1000100.029000 write(4<TCP:[127.0.0.1:80->127.0.0.1:40000]>, "HTTP/1.1 204 No Content\r\n\r\n", 27) = 27
`,
		ftrace: `# tracer: nop
 agent-8 [000] ..... 100.090000: inet_sock_set_state: family=AF_INET protocol=IPPROTO_TCP sport=0 dport=99 saddr=127.0.0.1 daddr=127.0.0.1 oldstate=TCP_CLOSE newstate=TCP_SYN_SENT
 agent-8 [000] ..... 100.090100: inet_sock_set_state: family=AF_INET protocol=IPPROTO_TCP sport=40003 dport=99 saddr=127.0.0.1 daddr=127.0.0.1 oldstate=TCP_SYN_SENT newstate=TCP_ESTABLISHED
 agent-8 [000] ..s2. 100.090200: inet_sock_set_state: family=AF_INET protocol=IPPROTO_TCP sport=99 dport=40003 saddr=127.0.0.1 daddr=127.0.0.1 oldstate=TCP_SYN_RECV newstate=TCP_ESTABLISHED
 a b-9-8 [000] ..... 100.095000: inet_sock_set_state: family=AF_INET protocol=IPPROTO_MPTCP sport=40003 dport=99 saddr=127.0.0.1 daddr=127.0.0.1 oldstate=TCP_FIN_WAIT2 newstate=TCP_CLOSE
 a b-9-8 [000] ..... 100.099000: inet_sock_set_state: family=AF_INET protocol=IPPROTO_TCP sport=40003 dport=99 saddr=127.0.0.1 daddr=127.0.0.1 oldstate=TCP_FIN_WAIT2 newstate=TCP_CLOSE
 other-5 [000] ..... 100.099500: inet_sock_set_state: family=AF_INET protocol=IPPROTO_TCP sport=99 dport=0 saddr=127.0.0.1 daddr=0.0.0.0 oldstate=TCP_LISTEN newstate=TCP_CLOSE
`,
	}
	got := summary(t, m, convert.Options{})
	want := `48:20.002000000Z socket_close {"socket_cookie":"1","sock_addr":"18446612682070034816","tuple":{"src":"127.0.0.1:39998","dst":"127.0.0.1:80"},"role":"client","opened":"48:20.001000000Z","verdict":"reset"}
48:20.011000000Z socket_open {"socket_cookie":"2","sock_addr":"18446612682070037248","tuple":{"src":"127.0.0.1:40000","dst":"127.0.0.1:80"},"role":"client","opened":"48:20.011000000Z"}
48:20.012000000Z socket_open {"socket_cookie":"3","sock_addr":"18446612682070039680","tuple":{"src":"127.0.0.1:80","dst":"127.0.0.1:40000"},"role":"server","opened":"48:20.012000000Z"}
48:20.015000000Z socket_owner {"socket_cookie":"3","sock_addr":"18446612682070039680","tuple":{"src":"127.0.0.1:80","dst":"127.0.0.1:40000"},"role":"server","process":{"pid":7},"tid":7,"opened":"48:20.012000000Z"}
48:20.030000000Z exchange {"socket_cookie":"3","tuple":{"src":"127.0.0.1:80","dst":"127.0.0.1:40000"},"role":"server","ordinal":1,"protocol":"http/1.1","start":"48:20.020000000Z","first_byte":"48:20.030000000Z","bytes_out":"27","bytes_in":"37","http":{"method":"GET","host":"agent","path":"/health","status":204},"process":{"pid":8},"tid":8}
48:20.030000000Z exchange {"socket_cookie":"2","tuple":{"src":"127.0.0.1:40000","dst":"127.0.0.1:80"},"role":"client","ordinal":1,"protocol":"http/1.1","start":"48:20.020000000Z","first_byte":"48:20.030000000Z","bytes_out":"37","bytes_in":"27","http":{"method":"GET","host":"agent","path":"/health","status":204}}
48:20.050000000Z socket_close {"socket_cookie":"2","sock_addr":"18446612682070037248","tuple":{"src":"127.0.0.1:40000","dst":"127.0.0.1:80"},"role":"client","opened":"48:20.011000000Z","bytes_out":"37","bytes_in":"27"}
48:20.050000000Z socket_close {"socket_cookie":"3","sock_addr":"18446612682070039680","tuple":{"src":"127.0.0.1:80","dst":"127.0.0.1:40000"},"role":"server","process":{"pid":7},"tid":7,"opened":"48:20.012000000Z","bytes_out":"27","bytes_in":"37"}
48:20.061000000Z socket_open {"socket_cookie":"4","sock_addr":"18446612682070042112","tuple":{"src":"127.0.0.1:40001","dst":"127.0.0.1:80"},"role":"client","opened":"48:20.061000000Z"}
48:20.062000000Z socket_open {"socket_cookie":"5","sock_addr":"18446612682070044544","tuple":{"src":"127.0.0.1:80","dst":"127.0.0.1:40001"},"role":"server","opened":"48:20.062000000Z"}
48:20.070000000Z socket_close {"socket_cookie":"5","sock_addr":"18446612682070044544","tuple":{"src":"127.0.0.1:80","dst":"127.0.0.1:40001"},"role":"server","opened":"48:20.062000000Z","verdict":"reset"}
48:20.070000000Z socket_close {"socket_cookie":"4","sock_addr":"18446612682070042112","tuple":{"src":"127.0.0.1:40001","dst":"127.0.0.1:80"},"role":"client","opened":"48:20.061000000Z","verdict":"reset"}
48:20.081000000Z socket_open {"socket_cookie":"6","sock_addr":"18446612682070046976","tuple":{"src":"127.0.0.1:40002","dst":"127.0.0.1:80"},"role":"client","opened":"48:20.081000000Z"}
48:20.082000000Z socket_open {"socket_cookie":"7","sock_addr":"18446612682070049408","tuple":{"src":"127.0.0.1:80","dst":"127.0.0.1:40002"},"role":"server","opened":"48:20.082000000Z"}
48:20.090100000Z socket_open {"socket_cookie":"8","sock_addr":"18446612682070051840","tuple":{"src":"127.0.0.1:40003","dst":"127.0.0.1:99"},"role":"client","process":{"pid":8},"tid":8,"opened":"48:20.090100000Z"}
48:20.090200000Z socket_open {"socket_cookie":"9","sock_addr":"18446612682070054272","tuple":{"src":"127.0.0.1:99","dst":"127.0.0.1:40003"},"role":"server","opened":"48:20.090200000Z"}
48:20.099000000Z socket_close {"socket_cookie":"8","sock_addr":"18446612682070051840","tuple":{"src":"127.0.0.1:40003","dst":"127.0.0.1:99"},"role":"client","process":{"pid":8},"tid":8,"opened":"48:20.090100000Z"}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProcesses(t *testing.T) {
	m := made{
		capture: newCapture().String(), clock: madeClock,
		strace: `7 1000100.001000 execve("/app/agent", ["/app/agent", "-v"], 0x7f /* 3 vars */) = 0
7 1000100.002000 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0} => {parent_tid=[8]}, 88) = 8
8 1000100.010000 clone(child_stack=NULL, flags=CLONE_VFORK|SIGCHLD <unfinished ...>
9 1000100.012000 execve("/usr/local/bin/sh", ["sh", "-c", "cat \"a b\"", "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331"], 0x7f /* 3 vars */) = -1 ENOENT (No such file or directory)
9 1000100.013000 execve("/bin/sh", ["sh", "-c", "cat \"a b\"", "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331"], 0x7f /* 3 vars */ <unfinished ...>
8 1000100.013100 <... clone resumed>) = 9
9 1000100.013200 <... execve resumed>) = 0
9 1000100.014000 execve("/bin/cat", ["cat", "a b"], 0x7f /* 3 vars */) = 0
9 1000100.015000 exit_group(3)   = ?
9 1000100.015100 +++ exited with 3 +++
7 1000100.020000 --- SIGCHLD {si_signo=SIGCHLD, si_status=3} ---
8 1000100.030000 +++ killed by SIGKILL (core dumped) +++
7 1000100.030000 +++ killed by SIGKILL (core dumped) +++
`,
		ftrace: `   agent-8 [000] ..... 100.011000: sched_process_fork: comm=agent pid=8 child_comm=agent child_pid=9
   agent-7 [000] ..... 100.011500: sched_process_fork: comm=agent pid=7 child_comm=agent child_pid=10
   sh-9 [000] ..... 100.013150: sched_process_exec: filename=/bin/sh pid=9 old_pid=9
   cat-9 [000] ..... 100.014050: sched_process_exec: filename=/bin/cat pid=9 old_pid=9
   agent-10 [000] ..... 100.014500: sched_process_exit: comm=agent pid=10 prio=120 group_dead=true
   cat-9 [000] ..... 100.015050: sched_process_exit: comm=cat pid=9 prio=120 group_dead=true
   agent-7 [000] ..... 100.030000: sched_process_exit: comm=agent pid=7 prio=120 group_dead=false
   agent-8 [000] ..... 100.030100: sched_process_exit: comm=agent pid=8 prio=120 group_dead=true
`,
	}
	got := summary(t, m, convert.Options{})
	want := `48:20.001000000Z process_exec {"process":{"pid":7,"start_ns":"100001000000"},"tid":7,"binary":"/app/agent","hashes":"a64c0e5aea32d4560000000000000000d610657a3b94e43d0000000000000000","started":"48:20.001000000Z"}
48:20.013150000Z process_exec {"process":{"pid":9,"start_ns":"100011000000"},"parent":{"pid":7,"start_ns":"100001000000"},"tid":9,"parent_tid":8,"binary":"/bin/sh","hashes":"105e210ff9631287a6e07d840b7f89bb8ae8f58e0e9891c70000000000000000","started":"48:20.011000000Z"}
48:20.014050000Z process_exec {"process":{"pid":9,"start_ns":"100011000000"},"parent":{"pid":7,"start_ns":"100001000000"},"tid":9,"parent_tid":8,"binary":"/bin/cat","hashes":"a6e07d840b7f89bb00000000000000008ae8f58e0e9891c70000000000000000","started":"48:20.011000000Z"}
48:20.014500000Z process_exit {"process":{"pid":10,"start_ns":"100011500000"},"parent":{"pid":7,"start_ns":"100001000000"},"tid":10,"parent_tid":7,"binary":"/app/agent","started":"48:20.011500000Z"}
48:20.015050000Z process_exit {"process":{"pid":9,"start_ns":"100011000000"},"parent":{"pid":7,"start_ns":"100001000000"},"tid":9,"parent_tid":8,"binary":"/bin/cat","started":"48:20.011000000Z","exit_code":3}
48:20.030100000Z process_exit {"process":{"pid":7,"start_ns":"100001000000"},"tid":8,"binary":"/app/agent","started":"48:20.001000000Z","signal":"SIGKILL"}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHeads(t *testing.T) {
	c := newCapture()
	c.open(10, caller, agent)
	m := made{capture: c.String(), clock: madeClock}
	all := records(t, m.write(t), convert.Options{})
	if again := records(t, m.write(t), convert.Options{}); !reflect.DeepEqual(all, again) {
		t.Errorf("the same recording gives other records: %v, then %v", all, again)
	}
	ids := map[event.ID]bool{}
	for i, e := range all {
		ids[e.ID] = true
		if e.Source != event.SourceSocket || e.Node != convert.Node || e.Boot.IsZero() || e.ID.IsZero() {
			t.Errorf("record %d has the head %+v", i, e)
		}
		if i > 0 && event.Compare(&all[i-1], &e) >= 0 {
			t.Errorf("record %d is not in order", i)
		}
	}
	if len(ids) != len(all) || len(all) != 4 {
		t.Errorf("%d ids of %d records, want 4", len(ids), len(all))
	}
	first, last := all[0], all[len(all)-1]
	want := []event.Clock{
		{Of: event.SourceSocket, BootNS: 100e9, Wall: 1_000_100e9},
		{Of: event.SourceSocket, BootNS: 100_012e6 + 1, Wall: 1_000_100_012e6 + 1, Watermark: 1_000_100_012e6, Idle: true},
	}
	if diff := cmp.Diff(want, []event.Clock{*first.Payload.(*event.Clock), *last.Payload.(*event.Clock)}); diff != "" {
		t.Errorf("heartbeats (-want +got):\n%s", diff)
	}
}

func TestWhatIsWrongWithARecording(t *testing.T) {
	good := made{capture: newCapture().String(), clock: madeClock}
	f := func(m made, want string) {
		t.Helper()
		_, err := convert.Records(m.write(t), convert.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	with := func(change func(m *made)) made {
		m := good
		change(&m)
		return m
	}
	f(with(func(m *made) { m.clock = `{"realtime_ns":1}` }), "boottime_ns is missing")
	f(with(func(m *made) { m.ftrace = "# tracer\nrubbish" }), `read agent.ftrace.log: line 2: no ftrace line: "rubbish"`)
	f(with(func(m *made) { m.strace = "1 2.0 <... read resumed>) = 0" }), "a call is resumed that never began")
	f(with(func(m *made) { m.strace = "1 2.0123456789 close(3) = 0" }), "more than nine digits")
	f(with(func(m *made) { m.strace = "rubbish" }), "read agent.strace.log.gz: line 1: no strace line")
	f(with(func(m *made) { m.capture = m.capture[:20] }), "read pcap header")
	f(with(func(m *made) { m.capture = "\xa1\xb2\xc3\xd4" + m.capture[4:] }), "no little-endian capture")
	f(with(func(m *made) {
		m.ftrace = " sh-9 [000] ..... 100.013150: sched_process_exec: filename=/bin/sh pid=9 old_pid=9"
	}), "exec of process 9: strace has no such execve")

	c := newCapture()
	c.open(10, caller, agent)
	c.add(20, caller, agent, "P.", 1002, get)
	f(with(func(m *made) { m.capture = c.String() }), "the capture lacks some of its bytes")
	f(with(func(m *made) { m.capture = c.String()[:c.Len()-1] }), "read packet 4: unexpected EOF")
	c = newCapture()
	c.open(10, caller, agent)
	c.add(20, caller, agent, "P.", 1001, "no HTTP at all\r\n\r\n")
	f(with(func(m *made) { m.capture = c.String() }), "read HTTP on 127.0.0.1:40000 -> 127.0.0.1:80: read request 1: ")
	cut := c.Bytes()
	cut[24+8]-- // fewer bytes kept than there were
	f(with(func(m *made) { m.capture = string(cut) }), "of its")
}
