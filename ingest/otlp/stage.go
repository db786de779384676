package otlp

import (
	"bytes"
	"math"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
)

// readStage finds what a span means in an agent's run and what it says about
// it. What GenAI conventions say beats what the span is as an HTTP call.
func (d *Decoder) readStage(s *event.Span, a *attrs) {
	if a.set&genAISlots == 0 && s.Scope != adkScope {
		if isRPC(s, a) {
			s.Stage = event.StageHTTP
		}
		return
	}
	g := &s.GenAI
	g.Operation = d.str(a.text(slotOperation))
	g.Provider = d.str(a.text(slotProvider))
	g.Agent = d.str(a.text(slotAgent))
	g.Model = d.str(a.text(slotModel))
	g.Tool = d.str(a.text(slotTool))
	g.ToolType = d.str(a.text(slotToolType))
	g.ToolCallID = d.str(a.text(slotToolCallID))
	g.Conversation = d.str(a.text(slotConversation))
	g.Invocation = d.str(a.text(slotInvocation))
	g.ResponseID = d.str(a.text(slotResponseID))
	g.Finish = d.finish(a.text(slotFinish))
	g.Usage.Input = a.uint(slotInput, math.MaxInt64)
	g.Usage.Output = a.uint(slotOutput, math.MaxInt64)

	s.Stage = genAIStage(s, a)
	switch {
	case s.Stage == event.StageNone && (isRPC(s, a) || a.set.has(slotMCPMethod) && isEnd(s.Kind)):
		s.Stage = event.StageHTTP
		return
	case s.Stage == event.StageNone:
		return
	}
	g.Framework = framework(s, a)
	d.readNames(s, a)
}

// genAIStage decides by the first convention that has an opinion.
func genAIStage(s *event.Span, a *attrs) event.Stage {
	g := &s.GenAI
	stage := operationStage(g.Operation)
	if stage == event.StageNone {
		stage = inferenceStage(view(a.text(slotInferenceKind)))
	}
	if stage == event.StageNone {
		stage = loopStage(view(a.text(slotLoopKind)))
	}
	if stage == event.StageNone && string(a.text(slotMCPMethod)) == "tools/call" {
		stage = event.StageTool
	}
	if stage == event.StageNone && s.Scope == adkScope && g.Operation == "" {
		verb, _, _ := strings.Cut(s.Name, " ")
		stage = operationStage(verb)
	}
	if stage == event.StageNone && g.Model != "" && (g.Operation != "" || g.Usage != event.Usage{}) {
		stage = event.StageModel // an operation of a provider's own
	}
	if stage != event.StageTool {
		return stage
	}
	switch {
	case s.Name == mergedSpan || g.Tool == mergedTools:
		return event.StageToolGroup
	case g.Tool == transferTool || g.Tool == "" && nameAfter(s.Name, "execute_tool") == transferTool:
		return event.StageHandoff
	case strings.HasPrefix(s.Name, "handoff to ") && a.set.has(slotInferenceKind):
		return event.StageHandoff // OpenInference on the OpenAI Agents SDK
	}
	return stage
}

// readNames takes from the span's name, and from Traceloop's entity, what no
// attribute says, and reads the arguments of tools.
func (d *Decoder) readNames(s *event.Span, a *attrs) {
	g := &s.GenAI
	switch s.Stage {
	case event.StageAgent:
		if g.Agent == "" {
			g.Agent = d.str(a.text(slotLoopEntity))
		}
		if g.Agent == "" {
			g.Agent = nameAfter(s.Name, "invoke_agent", "agent_run", "create_agent", "invoke_workflow", "invoke_node")
		}
	case event.StageModel:
		if g.Model == "" {
			g.Model = nameAfter(s.Name, "generate_content", "chat", "text_completion", "embeddings")
		}
	case event.StageTool, event.StageHandoff:
		if g.Tool == "" {
			g.Tool = d.str(a.text(slotLoopEntity))
		}
		if g.Tool == "" {
			g.Tool = nameAfter(s.Name, "execute_tool", "tool_call", "tools/call")
		}
		if args := a.text(slotToolArgs); len(args) > 0 {
			d.readToolArgs(s, args)
		}
		if s.Stage == event.StageHandoff && g.HandoffTo == "" {
			g.HandoffTo, _ = strings.CutPrefix(s.Name, "handoff to ")
			if g.HandoffTo == s.Name {
				g.HandoffTo = ""
			}
		}
	}
}

func framework(s *event.Span, a *attrs) string {
	switch {
	case s.Scope == adkScope:
		return adk
	case a.set.has(slotInferenceKind):
		return openInference
	case a.set.has(slotLoopKind) || a.set.has(slotLoopEntity):
		return openLLMetry
	case a.set.has(slotMCPMethod):
		return mcp
	}
	return otel
}

// isRPC reports an HTTP or RPC span of one end of a connection.
func isRPC(s *event.Span, a *attrs) bool { return a.set&httpSlots != 0 && isEnd(s.Kind) }

func isEnd(k event.SpanKind) bool { return k == event.SpanKindClient || k == event.SpanKindServer }

// nameAfter returns what follows one of the verbs in a span's name, without the
// brackets that older ADKs set around it.
func nameAfter(name string, verbs ...string) string {
	head, rest, ok := strings.Cut(name, " ")
	if !ok {
		return ""
	}
	for _, v := range verbs {
		if head == v {
			if n := len(rest); n > 1 && rest[0] == '[' && rest[n-1] == ']' {
				return rest[1 : n-1]
			}
			return rest
		}
	}
	return ""
}

// finish is the first finish reason in lower case. Writers without arrays put a
// JSON list into a text, Python's enums print with their type.
func (d *Decoder) finish(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if b[0] == '[' {
		s := &d.args
		s.Reset(b)
		b = nil
		for s.Array(); s.Next(); {
			if s.Peek() == '"' && len(b) == 0 {
				b = s.BytesIn(&d.arena)
				continue
			}
			s.Skip()
		}
		if s.End() != nil {
			return ""
		}
	}
	b = bytes.TrimPrefix(b, []byte("FinishReason."))
	return d.names.Lower(b[:min(len(b), 64)])
}
