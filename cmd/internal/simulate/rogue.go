package simulate

import (
	"fmt"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// rogueAct is what goes wrong on purpose in a request.
type rogueAct uint8

const (
	rogueNone   rogueAct = iota
	rogueExec            // a program that no tool call explains
	rogueEgress          // egress that no span claims
	rogueClaim           // a span that claims what never happened
	rogueForge           // an outsider sends the trace id of another's request
	rogueKinds
)

var rogueNames = [rogueKinds]string{"", "exec", "egress", "claim", "forge"}

// act is a rogue act that was done, and the fact of it, if it is one.
type act struct {
	kind rogueAct
	fact *fact
	// Something was written that tells of it. A process must be tied to its request,
	// and a claim to one that shares its trace id with no other, while no program began
	// in its pod that it might be about; of a forged trace id
	// the load balancer's log, which is a sample, must name both clients: what comes
	// from the balancer has its address.
	findable bool
}

// did notes what a request did that it should not have.
func (w *world) did(r *request, f *fact) {
	r.acts = append(r.acts, act{kind: r.rogue, fact: f, findable: r.rogue == rogueEgress})
}

// tellActs writes what a finished request did, and what those did that forged its trace
// id: of them is known only now whether the log names both.
func (w *world) tellActs(r *request) {
	r.settled = true
	if r.victim != nil && !r.victim.settled {
		r.victim.forgers = append(r.victim.forgers, r)
	} else {
		w.writeActs(r)
	}
	for _, f := range r.forgers {
		w.writeActs(f)
	}
	r.forgers = nil
}

// writeActs writes the rogue acts of a request, one JSON object a line, to
// truth-acts.jsonl.
func (w *world) writeActs(r *request) {
	for _, a := range r.acts {
		if a.kind == rogueForge {
			a.findable = r.logged && r.victim.logged
		}
		id := ""
		if a.fact != nil {
			id = a.fact.event.String()
		}
		w.actsFile.write(fmt.Appendf(nil, `{"request":%q,"trace_id":%q,"act":%q,"event_id":%q,"findable":%t}`+"\n",
			r.id, r.trace.String(), rogueNames[a.kind], id, a.findable))
	}
	r.victim = nil // else all of a chain stay
}

// chooseRogue decides whether something goes wrong in a request. One that is sent again
// keeps its trace id.
func (w *world) chooseRogue(r *request, again bool) {
	if !w.rng.chance(w.o.Rogue) {
		return
	}
	r.rogue = rogueExec + rogueAct(w.rng.intn(int(rogueKinds-1)))
	if r.rogue != rogueForge {
		return
	}
	if w.o.TraceContext == TraceNone || again || len(w.inflight) == 0 {
		r.rogue = rogueExec
		return
	}
	victim := w.inflight[w.rng.intn(len(w.inflight))]
	if victim.client == r.client { // its own: nothing is forged
		r.rogue = rogueExec
		return
	}
	r.victim = victim
	r.trace, r.shared, victim.shared = victim.trace, true, true
	victim.fragile = victim.fragile || w.o.Loss > 0
}

// misbehave does a request's rogue act inside its agent, once.
func (w *world) misbehave(t *task, h *hop) {
	r := h.r
	if r == nil || r.acted {
		return
	}
	switch r.rogue {
	case rogueExec:
		r.acted = true
		env := w.traceEnv(h) // inherited from the agent: the trace is known, the reason is not
		pr := w.process(h, h.proc, "/bin/sh", `-c "id; cat /var/run/secrets/kubernetes.io/serviceaccount/token"`, env, nil)
		if env != nil && !pr.lost {
			pr.fact.linkTrace(timeline.TraceContext, h.trace)
		}
		t.sleep(w.rng.between(1*ms, 8*ms))
		action, signal := "KPROBE_ACTION_POST", ""
		if w.rng.chance(0.5) { // on this node the policy enforces
			action, signal = "KPROBE_ACTION_SIGKILL", "SIGKILL"
		}
		if at := w.kprobeFile(pr, "/var/run/secrets/kubernetes.io/serviceaccount/token", action, false); at.at != 0 {
			w.syscallFact(r, pr, "security_file_permission", at, 0)
		}
		if signal == "" {
			t.sleep(w.rng.lognormal(5*ms, 0.5))
		}
		w.did(r, pr.fact)
		w.exitProcess(pr, signal)
	case rogueEgress:
		r.acted = true
		w.lookup(t, h.pod, w.evil.host, w.evil.addr.Addr(), r)
		pl := &pool{}
		m := &message{method: "POST", path: "/", host: w.evil.host, status: 200, out: 90_000, in: 300, inferred: []string{timeline.DNSName}}
		c := w.acquire(t, pl, h.pod, h.proc, &w.evil, r)
		x := w.roundTrip(t, c, m, r, func(t *task, x *exchange) { t.sleep(w.rng.lognormal(80*ms, 0.5)) })
		w.did(r, x.cli)
		w.release(c, 0)
	}
}
