package simulate

import (
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// run is one invocation of an agent: what its spans share.
type run struct {
	invocation   string
	conversation string
	depth        int
}

// serveAgent answers a request with an agent, as ADK of its language runs one.
func serveAgent(w *world, t *task, h *hop, x *exchange) uint16 {
	if x.m.path == "/healthz" {
		return 200
	}
	ru := &run{
		invocation:   "e-" + string(appendUUID(nil, w.rng.uuid())),
		conversation: "s-" + string(appendUUID(nil, w.rng.uuid())[:8]),
	}
	t.sleep(w.rng.lognormal(400*us, 0.5))
	in := h
	var root *span
	if lang := h.pod.svc.lang; lang != langGo && h.pod.svc.spans && h.r != nil {
		root, in = w.span(h, scopeADK, "invocation", event.SpanKindInternal)
	}
	w.invoke(t, in, ru, h.pod.svc.agent)
	if root != nil {
		w.end(root)
	}
	w.misbehave(t, h)
	t.sleep(w.rng.lognormal(200*us, 0.5))
	return 200
}

// agentSpan starts a span of ADK, or nothing in a service without spans.
func (w *world) agentSpan(h *hop, ru *run, name, operation string) (*span, *hop) {
	if !h.pod.svc.spans || h.r == nil {
		return nil, h
	}
	sp, in := w.span(h, scopeADK, name, event.SpanKindInternal)
	sp.str("gen_ai.operation.name", operation).str("gcp.vertex.agent.invocation_id", ru.invocation)
	if h.pod.svc.lang != langGo {
		sp.str("gen_ai.system", "gcp.vertex.agent")
	}
	return sp, in
}

// invoke is invoke_agent: turns of one model call and the tools it asks for.
func (w *world) invoke(t *task, h *hop, ru *run, name string) {
	sp, in := w.agentSpan(h, ru, "invoke_agent "+name, "invoke_agent")
	if sp != nil {
		sp.str("gen_ai.agent.name", name).str("gen_ai.agent.description", "Does the work of "+name+".").
			str("gen_ai.conversation.id", ru.conversation)
	}
	turns := 1 + w.rng.intn(3)
	for turn := range turns {
		w.modelCall(t, in, ru)
		t.sleep(w.rng.lognormal(300*us, 0.7))
		if turn == turns-1 {
			break
		}
		switch {
		case h.pod.svc.lang == langGo && ru.depth == 0 && w.rng.chance(0.35):
			w.transfer(t, in, ru, "executor")
		case w.rng.chance(0.2):
			w.mergedTools(t, in, ru)
		default:
			w.tool(t, in, ru)
		}
	}
	if sp != nil {
		w.end(sp)
	}
}

// transfer is transfer_to_agent and the agent that takes over.
func (w *world) transfer(t *task, h *hop, ru *run, to string) {
	if sp, _ := w.toolSpan(h, ru, "transfer_to_agent", `{"agent_name":"`+to+`"}`); sp != nil {
		t.sleep(w.rng.between(10*us, 60*us))
		w.end(sp)
	}
	ru.depth++
	w.invoke(t, h, ru, to)
	ru.depth--
}

// mergedTools is a turn in which the model asks for several tools at once: ADK
// runs them side by side below one umbrella span.
func (w *world) mergedTools(t *task, h *hop, ru *run) {
	sp, in := w.agentSpan(h, ru, "execute_tool (merged)", "execute_tool")
	if sp != nil {
		sp.str("gen_ai.tool.name", "(merged tools)").str("gcp.vertex.agent.tool_call_args", "N/A")
	}
	tools := make([]func(*task), 2+w.rng.intn(2))
	for i := range tools {
		side := *in
		if side.g != 0 { // each on a goroutine of its own
			h.pod.goroutines++
			side.g, side.parentG = 2_000_000_000+h.pod.goroutines, h.g
		}
		tools[i] = func(t *task) { w.tool(t, &side, ru) }
	}
	t.parallel(tools...)
	if sp != nil {
		w.end(sp)
	}
}

// toolSpan starts execute_tool with the attributes of its language.
func (w *world) toolSpan(h *hop, ru *run, name, args string) (*span, *hop) {
	sp, in := w.agentSpan(h, ru, "execute_tool "+name, "execute_tool")
	if sp == nil {
		return nil, h
	}
	id := "adk-" + string(appendUUID(nil, w.rng.uuid()))
	sp.str("gen_ai.tool.name", name).str("gcp.vertex.agent.tool_call_args", args)
	switch h.pod.svc.lang {
	case langJava:
		sp.str("gen_ai.tool_call.id", id)
	case langPython:
		sp.str("gen_ai.tool.call.id", id).str("gen_ai.tool.type", "FunctionTool")
	default:
		sp.str("gen_ai.tool.call.id", id).str("gcp.vertex.agent.tool_response", "{}")
	}
	return sp, in
}

// modelCall is one call of the model: call_llm in Python and Java, inside it
// generate_content in Python, and in Go generate_content alone.
func (w *world) modelCall(t *task, h *hop, ru *run) {
	svc := h.pod.svc
	var outer, sp *span
	in := h
	switch svc.lang {
	case langGo:
		sp, in = w.agentSpan(h, ru, "generate_content "+svc.model, "generate_content")
	case langPython:
		outer, in = w.agentSpan(h, ru, "call_llm", "call_llm")
		sp, in = w.agentSpan(in, ru, "generate_content "+svc.model, "generate_content")
	case langJava:
		sp, in = w.agentSpan(h, ru, "call_llm", "call_llm")
	}
	m := &message{
		method: "POST", path: "/v1beta1/projects/sim/locations/europe-west1/publishers/google/models/" + svc.model + ":generateContent",
		host: "aiplatform.googleapis.com", status: 200, model: svc.model,
		usage:      event.Usage{Input: uint64(w.rng.between(80, 6000)), Output: uint64(w.rng.between(5, 900))},
		responseID: w.token(16), inferred: modelRungs[svc.lang],
	}
	m.out, m.in = 4*m.usage.Input+600, 4*m.usage.Output+400
	x := w.call(t, in, w.models[svc], m, func(t *task, x *exchange) {
		t.sleep(w.rng.lognormal(350*ms, 0.6))
	})
	for _, s := range [...]*span{sp, outer} {
		if s == nil {
			continue
		}
		s.str("gen_ai.request.model", svc.model).int("gen_ai.usage.input_tokens", int64(m.usage.Input)).
			int("gen_ai.usage.output_tokens", int64(m.usage.Output)).list("gen_ai.response.finish_reasons", finish[svc.lang]).
			str("gcp.vertex.agent.event_id", string(appendUUID(nil, w.rng.uuid())))
		if svc.responses {
			s.str("gen_ai.response.id", m.responseID)
		}
		if s == sp && svc.lang == langGo {
			w.log(sp, "gen_ai.choice")
		}
		if w.end(s) && svc.responses {
			x.cli.linkTrace(timeline.ResponseID, s.trace)
		}
	}
}

var finish = map[language]string{langGo: "STOP", langPython: "stop", langJava: "STOP"}

// modelRungs are what could join a model exchange without an identifier.
var modelRungs = map[language][]string{
	langGo:     {timeline.Usage, timeline.GoroutineParent, timeline.Assignment},
	langPython: {timeline.Usage, timeline.Thread, timeline.Assignment},
	langJava:   {timeline.Usage, timeline.Assignment},
}

// token draws a word of n letters and digits.
func (w *world) token(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[w.rng.intn(len(alphabet))]
	}
	return string(b)
}
