package otlp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

func TestNothingPrivateLeaves(t *testing.T) {
	line := spanLine(`,"name":"GET /x?q=SECRET","kind":3,"status":{"code":2,"message":"SECRET"},"events":[{"name":"SECRET","attributes":[` +
		`{"key":"exception.type","value":{"stringValue":"E"}},{"key":"exception.message","value":{"stringValue":"SECRET"}}]}]` +
		attributes("url.full", "https://SECRET:SECRET@h/x?q=SECRET#SECRET", "url.path", "/x", "url.query", "q=SECRET",
			"gen_ai.operation.name", "execute_tool", "gen_ai.tool.name", "sh", "gen_ai.tool.call.arguments", `{"command":"echo SECRET"}`,
			"gcp.vertex.agent.tool_response", "SECRET", "gcp.vertex.agent.llm_request", "SECRET", "gen_ai.input.messages", "SECRET",
			"input.value", "SECRET", "http.request.header.authorization", "SECRET", "db.query.text", "SECRET"))
	f := func(p redact.Policy, want bool) {
		t.Helper()
		e, _ := decodeOne(t, p, line)
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(b), "SECRET"); got != want {
			t.Errorf("%+v: secret shown: %v\n%s", p, got, b)
		}
	}
	f(redact.Policy{}, false)
	f(redact.Policy{URLQueries: true}, true)
	f(redact.Policy{ToolArguments: true}, true)
	f(redact.Policy{CommandLines: true}, false)

	p := redact.Policy{URLQueries: true, ToolArguments: true}
	if _, s := decodeOne(t, p, line); s.HTTP.Path != "/x?q=SECRET" || s.GenAI.ToolArgs != `{"command":"echo SECRET"}` {
		t.Errorf("path %q, arguments %q", s.HTTP.Path, s.GenAI.ToolArgs)
	}
}

func TestToolArguments(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		key := [32]byte{1, 2, 3}
		for _, form := range []string{"gcp.vertex.agent.tool_call_args", "gen_ai.tool.call.arguments", "tool.parameters"} {
			_, s := decodeOne(t, redact.Policy{Key: key}, spanLine(attributes("gen_ai.operation.name", "execute_tool", form, args)))
			h := redact.Hasher{Key: key}
			if s.GenAI.ToolHashes != h.Text(want) {
				t.Errorf("%s %s: hashes are not those of %q", form, args, want)
			}
			if s.GenAI.ToolArgs != "" {
				t.Errorf("%s: arguments kept: %q", args, s.GenAI.ToolArgs)
			}
		}
	}
	f(`{"command":"id -un; wc -c < /etc/hostname"}`, "id -un; wc -c < /etc/hostname")
	f(`{"why":"look at it","command":"ls /"}`, "ls /")
	f(`{"url":"http://10.0.0.1/doc"}`, "http://10.0.0.1/doc")
	f(`{"a":"some words","b":{"c":["https://x.example/y"]}}`, "https://x.example/y")
	f(`{"a":"some words","path":"/etc/passwd"}`, "/etc/passwd")
	f(`{"query":"invoice policy","n":3}`, "invoice policy")
	f(`{"command":["bash","-lc","ls -l"]}`, "bash -lc ls -l")
	f(`{"command":"curl","args":["-s","http://x"]}`, "curl -s http://x")
	f(`{"args":["-s","x"]}`, "-s x")
	f(`{"command":"","cmd":"pwd"}`, "pwd")
	f(`{"url":"http://a","command":"b","args":["c"]}`, "http://a")
	f(`["a","/bin/b"]`, "/bin/b")
	f(`"whole"`, "whole")
	f(`not { JSON`, "not { JSON")
	f(`{"broken":`, `{"broken":`)
	f(`N/A`, "N/A")
	f(`{"n":1}`, "")
	f(`{}`, "")
	f(`{"command":"say \"hi\"\n"}`, `say "hi"`)

	// Structured arguments, as the newest conventions have them.
	f2 := `{"kvlistValue":{"values":[{"key":"n","value":{"intValue":"1"}},{"value":{"arrayValue":{"values":[{"stringValue":"ls"},{"stringValue":"-l"}]}},"key":"cmd"}]}}`
	_, s := decodeOne(t, redact.Policy{ToolArguments: true}, spanLine(attributes("gen_ai.operation.name", "execute_tool", "gen_ai.tool.call.arguments", f2)))
	var h redact.Hasher
	if s.GenAI.ToolHashes != h.Text("ls -l") || s.GenAI.ToolArgs != `{"n":1,"cmd":["ls","-l"]}` {
		t.Errorf("structured arguments: %q", s.GenAI.ToolArgs)
	}

	// Prompts are no arguments.
	_, s = decodeOne(t, redact.Policy{ToolArguments: true}, spanLine(attributes("openinference.span.kind", "LLM", "input.value", "a prompt")))
	if s.GenAI.ToolArgs != "" || s.GenAI.ToolHashes != (event.Hashes{}) {
		t.Errorf("a prompt became a tool's arguments: %+v", s.GenAI)
	}
}

func TestNames(t *testing.T) {
	f := func(kind, name, want string) {
		t.Helper()
		if _, s := decodeOne(t, redact.Policy{}, spanLine(`,"kind":"`+kind+`","name":"`+name+`"`)); s.Name != want {
			t.Errorf("%s %q: got %q, want %q", kind, name, s.Name, want)
		}
	}
	f("CLIENT", "GET /x?token=1", "GET /x")
	f("INTERNAL", "really?", "really?")
	f("SERVER", "Greeter#SayHello", "Greeter#SayHello")
	f("INTERNAL", "fetch https://u:p@h:1/x?token=1", "fetch h:1/x")
	f("INTERNAL", "https://h", "h/")
	f("INTERNAL", strings.Repeat("ä", 600), strings.Repeat("ä", 512))
}
