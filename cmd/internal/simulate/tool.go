package simulate

import (
	"slices"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// tool runs one tool call of an agent.
func (w *world) tool(t *task, h *hop, ru *run) {
	svc := h.pod.svc
	switch k := w.rng.intn(10); {
	case k < 4:
		w.runCommand(t, h, ru)
	case k < 6:
		w.vectorSearch(t, h, ru)
	case k < 8 || len(svc.peers) == 0:
		w.fetch(t, h, ru)
	default:
		w.askAgent(t, h, ru, svc.peers[w.rng.intn(len(svc.peers))])
	}
}

// vectorSearch asks a store in the cluster that knows nothing of traces.
func (w *world) vectorSearch(t *task, h *hop, ru *run) {
	sp, in := w.toolSpan(h, ru, "vector_search", `{"query":"invoice `+strconv.Itoa(w.rng.intn(1e6))+`","k":5}`)
	m := &message{
		method: "GET", path: "/collections/docs/points/search", host: w.vectors.name, status: 200,
		out: uint64(w.rng.between(200, 900)), in: uint64(w.rng.between(900, 20000)), inferred: []string{timeline.Assignment},
	}
	w.call(t, in, w.vectors.target(), m, w.serve)
	if sp != nil {
		w.end(sp)
	}
}

// fetch asks the web from inside the agent's process.
func (w *world) fetch(t *task, h *hop, ru *run) {
	path := "/pages/" + strconv.Itoa(w.rng.intn(1e6))
	sp, in := w.toolSpan(h, ru, "fetch_url", `{"url":"https://example.com`+path+`"}`)
	m := &message{
		method: "GET", path: path, host: w.web.host, status: 200,
		out: uint64(w.rng.between(200, 400)), in: uint64(w.rng.between(900, 90000)), inferred: []string{timeline.Assignment},
	}
	w.call(t, in, &w.web, m, func(t *task, x *exchange) { t.sleep(w.rng.lognormal(60*ms, 0.7)) })
	if sp != nil {
		w.end(sp)
	}
}

// askAgent hands work to an agent of another service, mostly on another node.
func (w *world) askAgent(t *task, h *hop, ru *run, peer *service) {
	sp, in := w.toolSpan(h, ru, "ask_"+peer.agent, `{"request":"case `+strconv.Itoa(w.rng.intn(1e6))+`"}`)
	m := &message{
		method: "POST", path: "/a2a/" + peer.agent, host: peer.name, status: 200,
		out: uint64(w.rng.between(300, 4000)), in: uint64(w.rng.between(300, 9000)), inferred: []string{timeline.Assignment},
	}
	w.call(t, in, peer.target(), m, w.serve)
	if sp != nil {
		w.end(sp)
	}
}

// runCommand runs a program, often through a shell, with children of its own.
func (w *world) runCommand(t *task, h *hop, ru *run) {
	r := h.r
	id := strconv.Itoa(w.rng.intn(1e6))
	var command, binary, args string
	var steps []childStep
	equal := true
	switch w.rng.intn(5) {
	case 0:
		command = "curl -s https://example.com/report/" + id
		binary, args, steps = "/bin/sh", `-c "`+command+`"`, []childStep{{"/usr/bin/curl", "-s https://example.com/report/" + id, stepEgress}}
	case 1:
		command = "grep -c total /data/invoice-" + id + ".csv"
		binary, args, steps = "/bin/sh", `-c "`+command+`"`, []childStep{{"/bin/grep", "-c total /data/invoice-" + id + ".csv", stepFile}}
	case 2: // the tool's argument is a name; the program it runs is another text
		command, equal = "monthly-report", false
		binary, args, steps = "/usr/bin/python3", "/opt/tools/report.py --run "+id, []childStep{{"/usr/bin/git", "-C /data log --oneline -n 3", stepFile}}
	case 3:
		command = "python3 /opt/tools/sum.py " + id
		binary, args, steps = "/usr/bin/python3", "/opt/tools/sum.py "+id, []childStep{{"", "", stepFile}}
	default:
		command = "curl -s http://metadata.google.internal/computeMetadata/v1/ -H job:" + id
		binary, args, steps = "/bin/sh", `-c "`+command+`"`, []childStep{{"/usr/bin/curl", "-s http://metadata.google.internal/computeMetadata/v1/ -H job:" + id, stepDenied}}
	}
	sp, in := w.toolSpan(h, ru, "run_command", `{"command":"`+command+`"}`)
	if r != nil && r.rogue == rogueClaim && !r.claimed {
		r.claimed = true // the span says that a command ran; none did
		began := w.s.now
		t.sleep(w.rng.lognormal(40*ms, 0.5))
		if sp != nil {
			// Where a program began meanwhile that names neither a trace nor a tool's
			// command, it may be what the tool ran.
			w.did(r, nil)
			r.acts[len(r.acts)-1].findable = !r.shared && h.pod.nameless < began-5*ms
			w.end(sp)
		}
		return
	}
	env := w.traceEnv(in)
	traced := env != nil
	rungs := []string{timeline.ToolWindow}
	if equal {
		rungs = []string{timeline.ToolCommand, timeline.ToolWindow}
	}
	t.sleep(w.rng.between(200*us, 2*ms)) // fork
	pr := w.process(h, h.proc, binary, args, env, rungs)
	if traced && !pr.lost {
		pr.fact.linkTrace(timeline.TraceContext, in.trace)
	}
	for _, c := range steps {
		w.runChild(t, in, pr, c, env, rungs, traced)
	}
	if w.rng.chance(0.003) { // a long job
		t.sleep(w.rng.between(60*s1, 600*s1))
	} else {
		t.sleep(w.rng.lognormal(30*ms, 1))
	}
	w.exitProcess(pr, "")
	t.sleep(w.rng.between(100*us, 800*us))
	if sp != nil {
		w.end(sp)
	}
}

// traceEnv is the environment of a program that its agent tells the trace, nil
// if it does not.
func (w *world) traceEnv(h *hop) []string {
	if !h.pod.svc.environ || h.span.IsZero() || !w.rng.chance(0.7) {
		return nil
	}
	b := append([]byte("TRACEPARENT=00-"), appendHex(nil, h.trace[:])...)
	b = append(appendHex(append(b, '-'), h.span[:]), "-01"...)
	return []string{"OTEL_SERVICE_NAME=" + h.pod.svc.name, string(b)}
}

// childStep is a program that a tool's program runs, or, without a binary of
// its own, what that program does itself.
type childStep struct {
	binary, args string
	does         int
}

const (
	stepFile = iota
	stepEgress
	stepDenied
)

func (w *world) runChild(t *task, h *hop, parent *process, c childStep, env []string, rungs []string, traced bool) {
	pr := parent
	if c.binary != "" {
		t.sleep(w.rng.between(300*us, 3*ms))
		pr = w.process(h, parent, c.binary, c.args, env, rungs)
		pr.fact.link(timeline.ExecLineage, parent.fact)
		if traced && !pr.lost {
			pr.fact.linkTrace(timeline.TraceContext, h.trace)
		}
	}
	in := *h
	in.proc, in.g, in.parentG = pr, 0, 0
	switch c.does {
	case stepFile:
		t.sleep(w.rng.between(200*us, 4*ms))
		if at := w.kprobeFile(pr, "/data/invoices.csv", "KPROBE_ACTION_POST", h.r == nil); at.at != 0 && h.r != nil {
			w.syscallFact(h.r, pr, "security_file_permission", at, 0)
		}
		t.sleep(w.rng.lognormal(5*ms, 0.8))
	case stepEgress:
		w.toolEgress(t, &in)
	case stepDenied:
		w.deniedEgress(t, &in)
	}
	if pr != parent {
		w.exitProcess(pr, "")
		t.sleep(w.rng.between(100*us, 900*us))
	}
}

// process starts a program for a request, with its fact.
func (w *world) process(h *hop, parent *process, binary, args string, env, rungs []string) *process {
	if env == nil && !slices.Contains(rungs, timeline.ToolCommand) {
		h.pod.nameless = w.s.now
	}
	pr := w.exec(h.pod, parent, binary, args, env, h.r)
	f := h.r.fact(kindProcess, h.pod.node)
	f.start, f.end = h.pod.node.clock(w.s.now), h.pod.node.clock(w.s.now)
	f.execID, f.pid, f.event, f.lost, f.inferred = pr.execID, pr.pid, pr.event, pr.lost, rungs
	pr.fact = f
	h.pod.busy++
	h.r.hold()
	return pr
}

// exitProcess ends it, by a signal or by itself; a process of the background
// writes its fact now.
func (w *world) exitProcess(pr *process, signal string) {
	w.exit(pr, 0, signal)
	f := pr.fact
	f.end = pr.pod.node.clock(w.s.now)
	w.background(f)
	pr.pod.busy--
	w.retire(pr.pod)
	w.drop(f.request)
}

// syscallFact records a hook that fired in a process of a request.
func (w *world) syscallFact(r *request, pr *process, function string, at stamp, sock event.SockAddr) *fact {
	f := r.fact(kindSyscall, pr.pod.node)
	f.start, f.end, f.event, f.pid, f.execID = at.at, at.at, at.id, pr.pid, pr.execID
	f.function, f.sock = function, sock
	if pr.fact != nil {
		f.link(timeline.ExecLineage, pr.fact)
		f.inferred = pr.fact.inferred
	}
	return f
}

// toolEgress is a program that asks the web on a connection of its own.
func (w *world) toolEgress(t *task, h *hop) {
	pl := &pool{}
	m := &message{
		method: "GET", path: "/report", host: w.web.host, status: 200, out: 180, in: uint64(w.rng.between(900, 90000)),
		inferred: []string{timeline.ToolWindow, timeline.DNSName},
	}
	c := w.acquire(t, pl, h.pod, h.proc, &w.web, h.r)
	x := w.roundTrip(t, c, m, h.r, func(t *task, x *exchange) { t.sleep(w.rng.lognormal(60*ms, 0.7)) })
	x.cli.link(timeline.ExecLineage, h.proc.fact)
	w.release(c, 0)
}

// deniedEgress is a program whose SYN the network policy drops: the socket is
// never established.
func (w *world) deniedEgress(t *task, h *hop) {
	w.lookup(t, h.pod, w.blocked.host, w.blocked.addr.Addr(), h.r)
	c := &conn{t: &w.blocked, pool: &pool{}, latency: 1 * ms, noise: h.r == nil}
	e := w.newEnd(c, h.pod, h.proc, event.RoleClient)
	port := h.pod.ports.take()
	e.local, e.remote = addrPort(h.pod, port), w.blocked.addr
	c.cli = e
	background := h.r == nil
	w.socketOpen(e, background)
	if at := w.kprobeSock(h.proc, "tcp_connect", e, 0, background); at.at != 0 && h.r != nil {
		w.syscallFact(h.r, h.proc, "tcp_connect", at, e.addr)
	}
	for try := range 2 {
		f := flow{src: e.local, dst: e.remote, srcPod: h.pod, kind: flowVerdict, dropped: true, egress: true, flags: flagsSYN, policy: "deny-metadata", dstName: w.blocked.host}
		if try > 0 {
			f.kind, f.policy = flowDrop, ""
		}
		t.sleep(w.rng.between(20*us, 90*us))
		if id, at, ok := w.flow(h.pod.node, &f, background); ok && h.r != nil {
			fact := h.r.fact(kindFlow, h.pod.node)
			fact.event, fact.start, fact.end = id, at, at
			fact.inferred = []string{timeline.ToolWindow}
			if !e.lost {
				fact.link(timeline.FiveTuple, h.proc.fact)
			}
		}
		if try == 0 {
			w.logPolicy(e, false, background)
			t.sleep(1 * s1) // the SYN is sent again
		}
	}
	t.sleep(w.rng.between(5*ms, 50*ms))
	w.socketClose(e, event.VerdictReset, background)
	h.pod.ports.give(port)
}
