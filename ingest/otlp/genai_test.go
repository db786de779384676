package otlp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

func TestAliases(t *testing.T) {
	seen := map[string]bool{}
	for i := range aliases {
		a := &aliases[i]
		if seen[a.key] {
			t.Errorf("%s stands in the table twice", a.key)
		}
		seen[a.key] = true
		if got := lookup([]byte(a.key)); got != a {
			t.Errorf("lookup of %s finds %v", a.key, got)
		}
		if a.slot == slotNone || a.framework == "" || a.version == "" {
			t.Errorf("%s says too little: %+v", a.key, a)
		}
		for _, other := range []string{a.key + "x", a.key[1:], "x" + a.key, strings.ToUpper(a.key)} {
			if got := lookup([]byte(other)); got != nil && got.key != other {
				t.Errorf("lookup of %s finds %s", other, got.key)
			}
		}
	}
	if lookup(nil) != nil {
		t.Error("the empty key is known")
	}
}

// TestFrameworks reads the spans of one model call, one tool call and one agent
// as each framework writes them.
func TestFrameworks(t *testing.T) {
	f := func(scope, name, kind string, pairs []string, stage event.Stage, want event.GenAI) {
		t.Helper()
		line := spanLine(fmt.Sprintf(`,"name":%q,"kind":%q`, name, kind) + attributes(pairs...))
		line = strings.Replace(line, `"scope":{}`, fmt.Sprintf(`"scope":{"name":%q}`, scope), 1)
		_, s := decodeOne(t, redact.Policy{}, line)
		s.GenAI.ToolHashes = event.Hashes{}
		x, _ := json.Marshal(want)
		y, _ := json.Marshal(s.GenAI)
		if diff := cmp.Diff(string(x), string(y)); s.Stage != stage || diff != "" {
			t.Errorf("%s %v: stage %q, want %q (-want +got):\n%s", name, pairs, s.Stage, stage, diff)
		}
	}
	model := func(g event.GenAI) event.GenAI {
		g.Usage, g.Model = event.Usage{Input: 348, Output: 92}, "m-1"
		return g
	}
	in, out := `{"intValue":"348"}`, `{"intValue":92}`

	// ADK Go 2.0
	f(adkScope, "invoke_agent coordinator", "INTERNAL", []string{
		"gen_ai.operation.name", "invoke_agent", "gen_ai.agent.name", "coordinator",
		"gen_ai.conversation.id", "s1", "gcp.vertex.agent.invocation_id", "e-1",
	}, event.StageAgent,
		event.GenAI{Operation: "invoke_agent", Agent: "coordinator", Conversation: "s1", Invocation: "e-1", Framework: "adk"})
	f(adkScope, "generate_content m-1", "INTERNAL", []string{
		"gen_ai.operation.name", "generate_content", "gen_ai.request.model", "m-1",
		"gen_ai.usage.input_tokens", in, "gen_ai.usage.output_tokens", out,
		"gen_ai.response.finish_reasons", `{"arrayValue":{"values":[{"stringValue":""},{"stringValue":"STOP"},{"stringValue":"X"}]}}`,
	},
		event.StageModel, model(event.GenAI{Operation: "generate_content", Finish: "stop", Framework: "adk"}))
	f(adkScope, "execute_tool (merged)", "INTERNAL", []string{
		"gen_ai.operation.name", "execute_tool", "gen_ai.tool.name", "(merged tools)",
		"gcp.vertex.agent.tool_call_args", "N/A",
	}, event.StageToolGroup,
		event.GenAI{Operation: "execute_tool", Tool: "(merged tools)", Framework: "adk"})
	f(adkScope, "execute_tool transfer_to_agent", "INTERNAL", []string{
		"gen_ai.operation.name", "execute_tool", "gen_ai.tool.name", "transfer_to_agent",
		"gcp.vertex.agent.tool_call_args", `{"agent_name":"executor"}`, "gen_ai.tool.call.id", "adk-1",
	}, event.StageHandoff,
		event.GenAI{Operation: "execute_tool", Tool: "transfer_to_agent", ToolCallID: "adk-1", HandoffTo: "executor", Framework: "adk"})
	f(adkScope, "invoke_node n", "INTERNAL", []string{"gen_ai.operation.name", "invoke_node", "gen_ai.node.name", "n"}, event.StageAgent,
		event.GenAI{Operation: "invoke_node", Agent: "n", Framework: "adk"})

	// ADK Python, schemas v1 and v2
	f(adkScope, "invocation", "INTERNAL", nil, event.StageAgent, event.GenAI{Framework: "adk"})
	f(adkScope, "agent_run [root]", "INTERNAL", nil, event.StageAgent, event.GenAI{Agent: "root", Framework: "adk"})
	f(adkScope, "call_llm", "INTERNAL", []string{
		"gen_ai.system", "gcp.vertex.agent", "gen_ai.request.model", "m-1", "gen_ai.usage.input_tokens", in,
		"gen_ai.usage.output_tokens", out, "gcp.vertex.agent.session_id", "s1", "gcp.vertex.agent.invocation_id", "e-1",
		"gen_ai.response.finish_reasons", `["max_tokens"]`,
	},
		event.StageModel, model(event.GenAI{Provider: "gcp.vertex.agent", Conversation: "s1", Invocation: "e-1", Finish: "max_tokens", Framework: "adk"}))
	f(adkScope, "execute_tool sh", "INTERNAL", []string{
		"gen_ai.operation.name", "execute_tool", "gen_ai.tool.name", "sh", "gen_ai.tool.type", "FunctionTool",
		"gcp.vertex.agent.tool_call_args", "{}",
	}, event.StageTool,
		event.GenAI{Operation: "execute_tool", Tool: "sh", ToolType: "FunctionTool", Framework: "adk"})
	f(adkScope, "invoke_workflow root", "INTERNAL", []string{"gen_ai.operation.name", "invoke_workflow", "gen_ai.workflow.name", "root"}, event.StageAgent,
		event.GenAI{Operation: "invoke_workflow", Agent: "root", Framework: "adk"})
	f(adkScope, "send_data", "INTERNAL", nil, event.StageNone, event.GenAI{})

	// ADK Java
	f(adkScope, "call_llm", "INTERNAL", []string{
		"gen_ai.operation.name", "call_llm", "gen_ai.request.model", "m-1", "gen_ai.usage.input_tokens", in,
		"gen_ai.usage.output_tokens", out,
	}, event.StageModel, model(event.GenAI{Operation: "call_llm", Framework: "adk"}))
	f(adkScope, "tool_call [sh]", "INTERNAL", []string{"gen_ai.tool_call.id", "c1"}, event.StageTool,
		event.GenAI{Tool: "sh", ToolCallID: "c1", Framework: "adk"})
	f(adkScope, "tool_response [sh]", "INTERNAL", nil, event.StageNone, event.GenAI{})

	// OpenTelemetry, 1.26 to 1.36 and genai 0.1.0; model beats HTTP
	f("openai", "chat m-1", "CLIENT", []string{
		"gen_ai.system", "openai", "gen_ai.operation.name", "chat", "gen_ai.request.model", "m-1",
		"gen_ai.response.model", "m-1-2026", "gen_ai.usage.prompt_tokens", in, "gen_ai.usage.completion_tokens", out, "gen_ai.response.id", "r1",
		"http.request.method", "POST", "url.full", "https://api.openai.com/v1/chat",
	}, event.StageModel,
		model(event.GenAI{Operation: "chat", Provider: "openai", ResponseID: "r1", Framework: "otel"}))
	f("x", "chat m-1", "CLIENT", []string{
		"gen_ai.provider.name", "aws.bedrock", "gen_ai.operation.name", "chat", "gen_ai.usage.input_tokens", in,
		"gen_ai.usage.output_tokens", `{"doubleValue":92}`,
	}, event.StageModel, model(event.GenAI{Operation: "chat", Provider: "aws.bedrock", Framework: "otel"}))
	f("x", "create_agent a", "CLIENT", []string{"gen_ai.operation.name", "create_agent"}, event.StageAgent,
		event.GenAI{Operation: "create_agent", Agent: "a", Framework: "otel"})
	f("x", "search_memory", "CLIENT", []string{"gen_ai.operation.name", "search_memory"}, event.StageRetrieval,
		event.GenAI{Operation: "search_memory", Framework: "otel"})
	f("x", "own", "CLIENT", []string{
		"gen_ai.operation.name", "responses", "gen_ai.request.model", "m-1", "gen_ai.usage.input_tokens", in,
		"gen_ai.usage.output_tokens", out,
	}, event.StageModel, model(event.GenAI{Operation: "responses", Framework: "otel"}))

	// OpenInference
	f("openinference.instrumentation.langchain", "LangGraph", "INTERNAL", []string{"openinference.span.kind", "CHAIN", "session.id", "s1", "input.value", "prompt"},
		event.StageAgent, event.GenAI{Conversation: "s1", Framework: "openinference"})
	f("oi", "agent", "INTERNAL", []string{"openinference.span.kind", "AGENT", "agent.name", "a"}, event.StageAgent, event.GenAI{Agent: "a", Framework: "openinference"})
	f("oi", "ChatOpenAI", "INTERNAL", []string{
		"openinference.span.kind", "LLM", "llm.model_name", "m-1", "llm.provider", "openai",
		"llm.token_count.prompt", in, "llm.token_count.completion", out,
	}, event.StageModel, model(event.GenAI{Provider: "openai", Framework: "openinference"}))
	f("oi", "sh", "INTERNAL", []string{"openinference.span.kind", "TOOL", "tool.name", "sh", "tool.parameters", `{"command":"ls"}`}, event.StageTool,
		event.GenAI{Tool: "sh", Framework: "openinference"})
	f("oi", "handoff to billing", "INTERNAL", []string{"openinference.span.kind", "TOOL"}, event.StageHandoff,
		event.GenAI{HandoffTo: "billing", Framework: "openinference"})
	f("oi", "r", "INTERNAL", []string{"openinference.span.kind", "GUARDRAIL"}, event.StageRetrieval, event.GenAI{Framework: "openinference"})
	f("oi", "p", "INTERNAL", []string{"openinference.span.kind", "PROMPT"}, event.StageNone, event.GenAI{})

	// OpenLLMetry
	f("tl", "a.agent", "INTERNAL", []string{"traceloop.span.kind", "agent", "traceloop.entity.name", "a"}, event.StageAgent, event.GenAI{Agent: "a", Framework: "openllmetry"})
	f("tl", "sh.tool", "INTERNAL", []string{"traceloop.span.kind", "tool", "traceloop.entity.name", "sh"}, event.StageTool, event.GenAI{Tool: "sh", Framework: "openllmetry"})
	f("tl", "step.task", "INTERNAL", []string{"traceloop.span.kind", "task", "traceloop.entity.name", "step"}, event.StageNone, event.GenAI{})
	f("opentelemetry.instrumentation.openai", "openai.chat", "CLIENT", []string{
		"llm.request.type", "chat", "llm.request.model", "m-1",
		"llm.usage.prompt_tokens", in, "llm.usage.completion_tokens", out, "gen_ai.completion.0.finish_reason", "stop",
	},
		event.StageModel, model(event.GenAI{Operation: "chat", Finish: "stop", Framework: "otel"}))

	// MCP
	f("mcp", "tools/call sh", "CLIENT", []string{"mcp.method.name", "tools/call", "mcp.session.id", "s1", "rpc.system", "jsonrpc"}, event.StageTool,
		event.GenAI{Tool: "sh", Conversation: "s1", Framework: "mcp"})
	f("mcp", "tools/list", "CLIENT", []string{"mcp.method.name", "tools/list"}, event.StageHTTP, event.GenAI{})
	f("mcp", "tools/call transfer_to_agent", "SERVER", []string{"mcp.method.name", "tools/call", "gen_ai.tool.name", "transfer_to_agent"}, event.StageHandoff,
		event.GenAI{Tool: "transfer_to_agent", Framework: "mcp"})

	// None of these
	f("otelhttp", "GET /x", "SERVER", []string{"http.request.method", "GET", "session.id", "browser"}, event.StageHTTP, event.GenAI{Conversation: "browser"})
	f("app", "execute_tool sh", "INTERNAL", []string{"session.id", "s"}, event.StageNone, event.GenAI{Conversation: "s"})
	f("app", "execute_tool sh", "INTERNAL", []string{"app.x", "y"}, event.StageNone, event.GenAI{})
}
