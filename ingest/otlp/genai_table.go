package otlp

import "github.com/sennit-io/sennit/schemas/event"

// TableVersion is the version of the alias table: the date of its last change.
// Conventions for agents are still moving, so it is a table and not constants.
const TableVersion = "2026-11-23"

// Frameworks, as event.GenAI.Framework names them.
const (
	adk           = "adk"           // Agent Development Kit, Go, Python and Java
	otel          = "otel"          // OpenTelemetry's semantic conventions
	openInference = "openinference" // Arize
	openLLMetry   = "openllmetry"   // Traceloop
	mcp           = "mcp"           // Model Context Protocol, in OpenTelemetry's terms
)

// alias is one name of one meaning, with who writes it and a version that does
// (OpenTelemetry: semantic conventions, the release that brought it; ADK:
// language and release; OpenInference: openinference-semantic-conventions;
// OpenLLMetry: opentelemetry-semantic-conventions-ai). Of several names of one
// meaning the first in the table wins.
type alias struct {
	key       string
	slot      slot
	framework string
	version   string
	rank      uint8 // place among the names of its slot, set by keyTable
}

// What nests in what, for whoever counts. One model call is written as up to
// three spans, one in the other, and must be counted once: `call_llm` (ADK
// Python and Java), its child `generate_content` or `chat` (ADK Python v2, or
// the instrumentation of the client library), and below it the client span of
// the HTTP library (Vertex back end of ADK Go). The first two are both of stage
// model here; usage may stand on either or on both. One tool call may hold an
// MCP client span of the same tool, and that the MCP server's, all of stage
// tool. `execute_tool (merged)` holds the real tool calls of one turn (stage
// tool_group). An agent holds agents: `invocation` or `invoke_workflow`, then
// `invoke_agent`, a sub-agent's within its caller's; on a hand-off, beside the
// `transfer_to_agent` span that ordered it. Model and tool spans of ADK name no
// agent: theirs is the nearest agent span above.
var aliases = []alias{
	{key: "service.name", slot: slotService, framework: otel, version: "semconv 1.0"},
	{key: "k8s.cluster.name", slot: slotCluster, framework: otel, version: "semconv 1.0"},
	{key: "k8s.namespace.name", slot: slotNamespace, framework: otel, version: "semconv 1.0"},
	{key: "k8s.pod.name", slot: slotPod, framework: otel, version: "semconv 1.0"},
	{key: "k8s.pod.uid", slot: slotPodUID, framework: otel, version: "semconv 1.0"},
	{key: "k8s.container.name", slot: slotContainer, framework: otel, version: "semconv 1.0"},
	{key: "k8s.node.name", slot: slotNode, framework: otel, version: "semconv 1.0"},
	{key: "process.pid", slot: slotPID, framework: otel, version: "semconv 1.0"},

	{key: "network.peer.address", slot: slotPeerAddr, framework: otel, version: "semconv 1.22"},
	{key: "net.sock.peer.addr", slot: slotPeerAddr, framework: otel, version: "semconv 1.13"},
	{key: "net.peer.ip", slot: slotPeerAddr, framework: otel, version: "semconv 1.0"},
	{key: "network.peer.port", slot: slotPeerPort, framework: otel, version: "semconv 1.22"},
	{key: "net.sock.peer.port", slot: slotPeerPort, framework: otel, version: "semconv 1.13"},
	{key: "net.peer.port", slot: slotPeerPort, framework: otel, version: "semconv 1.0"},
	{key: "network.local.address", slot: slotLocalAddr, framework: otel, version: "semconv 1.22"},
	{key: "net.sock.host.addr", slot: slotLocalAddr, framework: otel, version: "semconv 1.13"},
	{key: "net.host.ip", slot: slotLocalAddr, framework: otel, version: "semconv 1.0"},
	{key: "network.local.port", slot: slotLocalPort, framework: otel, version: "semconv 1.22"},
	{key: "net.sock.host.port", slot: slotLocalPort, framework: otel, version: "semconv 1.13"},
	{key: "server.address", slot: slotServer, framework: otel, version: "semconv 1.22"},
	{key: "server.port", slot: slotServerPort, framework: otel, version: "semconv 1.22"},
	{key: "net.peer.name", slot: slotPeerName, framework: otel, version: "semconv 1.0"},
	{key: "net.host.name", slot: slotHostName, framework: otel, version: "semconv 1.0"},
	{key: "http.server_name", slot: slotHostName, framework: otel, version: "semconv 1.0"},
	{key: "net.host.port", slot: slotHostPort, framework: otel, version: "semconv 1.0"},
	{key: "client.address", slot: slotClient, framework: otel, version: "semconv 1.22"},
	{key: "http.client_ip", slot: slotClient, framework: otel, version: "semconv 1.0"},
	{key: "network.protocol.version", slot: slotProtocol, framework: otel, version: "semconv 1.22"},
	{key: "net.protocol.version", slot: slotProtocol, framework: otel, version: "semconv 1.20"},
	{key: "http.flavor", slot: slotProtocol, framework: otel, version: "semconv 1.0"},
	{key: "sennit.socket_cookie", slot: slotCookie, framework: otel, version: "Sennit 0.1"},

	{key: "http.request.method", slot: slotMethod, framework: otel, version: "semconv 1.21"},
	{key: "http.method", slot: slotMethod, framework: otel, version: "semconv 1.0"},
	{key: "http.response.status_code", slot: slotStatus, framework: otel, version: "semconv 1.21"},
	{key: "http.status_code", slot: slotStatus, framework: otel, version: "semconv 1.0"},
	{key: "url.path", slot: slotPath, framework: otel, version: "semconv 1.21"},
	{key: "http.target", slot: slotPath, framework: otel, version: "semconv 1.0"},
	{key: "url.full", slot: slotURL, framework: otel, version: "semconv 1.21"},
	{key: "http.url", slot: slotURL, framework: otel, version: "semconv 1.0"},
	{key: "http.route", slot: slotRoute, framework: otel, version: "semconv 1.0"},
	{key: "url.query", slot: slotQuery, framework: otel, version: "semconv 1.21"},
	{key: "http.host", slot: slotHost, framework: otel, version: "semconv 1.0"},
	{key: "rpc.system.name", slot: slotRPCSystem, framework: otel, version: "semconv 1.39"},
	{key: "rpc.system", slot: slotRPCSystem, framework: otel, version: "semconv 1.0"},
	{key: "rpc.service", slot: slotRPCService, framework: otel, version: "semconv 1.0"},
	{key: "rpc.method", slot: slotRPCMethod, framework: otel, version: "semconv 1.0"},

	{key: "error.type", slot: slotErrorType, framework: otel, version: "semconv 1.21"},
	{key: "exception.type", slot: slotException, framework: otel, version: "semconv 1.0"},
	{key: "event.name", slot: slotEventName, framework: otel, version: "semconv 1.0"},

	{key: "gen_ai.operation.name", slot: slotOperation, framework: otel, version: "semconv 1.27"},
	{key: "llm.request.type", slot: slotOperation, framework: openLLMetry, version: "0.4"},
	{key: "gen_ai.provider.name", slot: slotProvider, framework: otel, version: "semconv 1.37"},
	{key: "gen_ai.system", slot: slotProvider, framework: otel, version: "semconv 1.26"},
	{key: "llm.provider", slot: slotProvider, framework: openInference, version: "0.1"},
	{key: "llm.system", slot: slotProvider, framework: openInference, version: "0.1"},
	{key: "llm.vendor", slot: slotProvider, framework: openLLMetry, version: "0.4"},
	{key: "gen_ai.agent.name", slot: slotAgent, framework: otel, version: "semconv 1.31"},
	{key: "agent.name", slot: slotAgent, framework: openInference, version: "0.1"},
	{key: "gen_ai.workflow.name", slot: slotAgent, framework: adk, version: "Python 2026 (schema v2), Go 2.0.0; genai 0.1.0 merged it into gen_ai.agent.name"},
	{key: "gen_ai.node.name", slot: slotAgent, framework: adk, version: "Go 2.0.0"},
	{key: "gen_ai.request.model", slot: slotModel, framework: otel, version: "semconv 1.26"},
	{key: "llm.model_name", slot: slotModel, framework: openInference, version: "0.1"},
	{key: "llm.request.model", slot: slotModel, framework: openLLMetry, version: "0.4"},
	{key: "gen_ai.response.model", slot: slotModel, framework: otel, version: "semconv 1.26"},
	{key: "llm.response.model", slot: slotModel, framework: openLLMetry, version: "0.4"},
	{key: "embedding.model_name", slot: slotModel, framework: openInference, version: "0.1"},
	{key: "reranker.model_name", slot: slotModel, framework: openInference, version: "0.1"},
	{key: "gen_ai.tool.name", slot: slotTool, framework: otel, version: "semconv 1.31"},
	{key: "tool.name", slot: slotTool, framework: openInference, version: "0.1"},
	{key: "gen_ai.tool.type", slot: slotToolType, framework: otel, version: "semconv 1.34"},
	{key: "gen_ai.tool.call.id", slot: slotToolCallID, framework: otel, version: "semconv 1.31"},
	{key: "gen_ai.tool_call.id", slot: slotToolCallID, framework: adk, version: "Java 1.8"},
	{key: "tool_call.id", slot: slotToolCallID, framework: openInference, version: "0.1"},
	{key: "tool.id", slot: slotToolCallID, framework: openInference, version: "0.1"},
	{key: "gcp.vertex.agent.tool_call_args", slot: slotToolArgs, framework: adk, version: "Go 1.0, Python 0.1, Java 0.1"},
	{key: "gen_ai.tool.call.arguments", slot: slotToolArgs, framework: otel, version: "semconv 1.37"},
	{key: "tool.parameters", slot: slotToolArgs, framework: openInference, version: "0.1"},
	{key: "traceloop.entity.input", slot: slotToolArgs, framework: openLLMetry, version: "0.4"},
	{key: "input.value", slot: slotToolArgs, framework: openInference, version: "0.1"}, // a prompt elsewhere: read on tool spans alone
	{key: "gen_ai.conversation.id", slot: slotConversation, framework: otel, version: "semconv 1.34"},
	{key: "gcp.vertex.agent.session_id", slot: slotConversation, framework: adk, version: "Python 0.1, Java 0.1"},
	{key: "session.id", slot: slotConversation, framework: openInference, version: "0.1"},
	{key: "traceloop.association.properties.session_id", slot: slotConversation, framework: openLLMetry, version: "0.4"},
	{key: "mcp.session.id", slot: slotConversation, framework: mcp, version: "semconv 1.39"},
	{key: "gcp.vertex.agent.invocation_id", slot: slotInvocation, framework: adk, version: "Go 1.0, Python 0.1, Java 0.1"},
	{key: "gen_ai.response.id", slot: slotResponseID, framework: otel, version: "semconv 1.26"},
	{key: "llm.response.id", slot: slotResponseID, framework: openLLMetry, version: "0.4"},
	{key: "gen_ai.response.finish_reasons", slot: slotFinish, framework: otel, version: "semconv 1.26"},
	{key: "gen_ai.response.finish_reason", slot: slotFinish, framework: openLLMetry, version: "0.4"},
	{key: "gen_ai.completion.0.finish_reason", slot: slotFinish, framework: openLLMetry, version: "0.4"},
	{key: "llm.response.finish_reason", slot: slotFinish, framework: openLLMetry, version: "0.4"},
	{key: "llm.response.stop_reason", slot: slotFinish, framework: openLLMetry, version: "0.4"},
	{key: "llm.finish_reason", slot: slotFinish, framework: openInference, version: "0.1"},
	{key: "gen_ai.usage.input_tokens", slot: slotInput, framework: otel, version: "semconv 1.27"},
	{key: "gen_ai.usage.prompt_tokens", slot: slotInput, framework: otel, version: "semconv 1.26"},
	{key: "llm.token_count.prompt", slot: slotInput, framework: openInference, version: "0.1"},
	{key: "llm.usage.prompt_tokens", slot: slotInput, framework: openLLMetry, version: "0.4"},
	{key: "gen_ai.usage.output_tokens", slot: slotOutput, framework: otel, version: "semconv 1.27"},
	{key: "gen_ai.usage.completion_tokens", slot: slotOutput, framework: otel, version: "semconv 1.26"},
	{key: "llm.token_count.completion", slot: slotOutput, framework: openInference, version: "0.1"},
	{key: "llm.usage.completion_tokens", slot: slotOutput, framework: openLLMetry, version: "0.4"},
	{key: "openinference.span.kind", slot: slotInferenceKind, framework: openInference, version: "0.1"},
	{key: "traceloop.span.kind", slot: slotLoopKind, framework: openLLMetry, version: "0.4"},
	{key: "traceloop.entity.name", slot: slotLoopEntity, framework: openLLMetry, version: "0.4"},
	{key: "mcp.method.name", slot: slotMCPMethod, framework: mcp, version: "semconv 1.39"},
}

// Names of spans and tools that decide a stage.
const (
	adkScope     = "gcp.vertex.agent" // instrumentation scope of ADK in every language
	transferTool = "transfer_to_agent"
	mergedTools  = "(merged tools)" // gen_ai.tool.name of ADK's umbrella
	mergedSpan   = "execute_tool (merged)"
)

// operationStage is the stage of a gen_ai.operation.name, or of the same word
// at the head of a span's name.
func operationStage(op string) event.Stage {
	switch op {
	case "invoke_agent", "create_agent", "invoke_workflow", "invoke_node", "plan", // genai 0.1.0, ADK Go 2.0.0
		"invocation", "agent_run": // names of ADK Python spans, 2025
		return event.StageAgent
	case "chat", "generate_content", "text_completion", "embeddings", // genai 0.1.0
		"call_llm",                // ADK Python and Java
		"completion", "embedding": // llm.request.type of OpenLLMetry
		return event.StageModel
	case "execute_tool", // genai 0.1.0
		"tool_call": // name of ADK Java spans before 1.0
		return event.StageTool
	case "retrieval", "search_memory", "create_memory", "update_memory", "upsert_memory", "delete_memory",
		"create_memory_store", "delete_memory_store", // genai 0.1.0
		"rerank": // llm.request.type of OpenLLMetry
		return event.StageRetrieval
	}
	return event.StageNone
}

// inferenceStage is the stage of an openinference.span.kind. An evaluator and
// the rendering of a prompt template are none: nothing leaves the process.
func inferenceStage(kind string) event.Stage {
	switch kind {
	case "AGENT", "CHAIN":
		return event.StageAgent
	case "LLM", "EMBEDDING":
		return event.StageModel
	case "TOOL":
		return event.StageTool
	case "RETRIEVER", "RERANKER", "GUARDRAIL":
		return event.StageRetrieval
	}
	return event.StageNone
}

// loopStage is the stage of a traceloop.span.kind. A task is a step of a
// workflow and may be anything.
func loopStage(kind string) event.Stage {
	switch kind {
	case "workflow", "agent":
		return event.StageAgent
	case "tool":
		return event.StageTool
	}
	return event.StageNone
}
