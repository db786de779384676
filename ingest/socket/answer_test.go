package socket

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// Answers as the APIs give them, with what would lead astray who looks for words.
const (
	openAI = `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant",` +
		`"content":"a secret \",\"usage\":{\"prompt_tokens\":9} {[","tool_calls":[{"id":"call_1","type":"function"}]},"finish_reason":"tool_calls"}],` +
		`"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":7,"prompt_tokens":1}}}`
	openAIStream = `data: {"id":"chatcmpl-2","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"delta":{"content":"a secret\n\ndata: {\"id\":\"x\"}"},"finish_reason":null}],"usage":null}` + "\n\n" +
		`data: {"id":"chatcmpl-2","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"chatcmpl-2","object":"chat.completion.chunk","model":"gpt-4o","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}` + "\n\n" +
		"data: [DONE]\n\n"
	responses = `event: response.created` + "\r\n" + `data: {"type":"response.created","response":{"id":"resp_1","object":"response","model":"o3","output":[],"usage":null}}` + "\r\n\r\n" +
		`event: response.output_item.done` + "\r\n" + `data: {"type":"response.output_item.done","item":{"id":"msg_1","model":"no","usage":{"input_tokens":1}}}` + "\r\n\r\n" +
		`event: response.completed` + "\r\n" + `data: {"type":"response.completed","response":{"id":"resp_1","object":"response","model":"o3","output":[{"id":"m"}],"usage":{"input_tokens":36,"output_tokens":87,"output_tokens_details":{"reasoning_tokens":4}}}}` + "\r\n\r\n"
	anthropic = `{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4","content":[{"type":"tool_use","id":"toolu_1","input":{"usage":{"input_tokens":1},"id":"no"}}],` +
		`"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":2095,"cache_read_input_tokens":3,"output_tokens":503}}`
	anthropicStream = "event: message_start\n" + `data: {"type":"message_start","message":{"id":"msg_02","type":"message","model":"claude-sonnet-4","content":[],"stop_reason":null,"usage":{"input_tokens":25,"output_tokens":1}}}` + "\n\n" +
		"event: ping\n" + `data: {"type": "ping"}` + "\n\n" +
		"event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a secret"}}` + "\n\n" +
		"event: message_delta\n" + `data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}` + "\n\n" +
		"event: message_stop\n" + `data: {"type":"message_stop"}` + "\n\n"
	gemini = `{
  "candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"responseId": "no", "usageMetadata": {"promptTokenCount": 1}}}}], "role": "model"}, "finishReason": "STOP"}],
  "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 73, "totalTokenCount": 84, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 11}]},
  "modelVersion": "gemini-2.5-flash", "responseId": "abc-_123"
}`
	geminiStream = `data: {"candidates":[{"content":{"parts":[{"text":"a secret"}]}}],"usageMetadata":{"promptTokenCount":4,"totalTokenCount":4},"modelVersion":"gemini-2.5-flash","responseId":"r-1"}` + "\r\n\r\n" +
		`data: {"candidates":[{"content":{"parts":[{"text":"."}]},"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":4,"candidatesTokenCount":21,"thoughtsTokenCount":7},"modelVersion":"gemini-2.5-flash","responseId":"r-1"}` + "\r\n\r\n"
)

var geminiArray = "[" + gemini + "\n,\r\n" + gemini + "]"

// said is what a decoder tells of an answer.
func said(a *answer) string {
	var d Decoder
	e := event.Exchange{HTTP: event.HTTP{Method: "POST"}}
	d.tell(&e, a)
	return answerOf(&e)
}

func answerOf(e *event.Exchange) string {
	return fmt.Sprintf("%s %s %s %d/%d", e.ResponseID, e.ResponseModel, e.Finish, e.Usage.Input, e.Usage.Output)
}

func TestAnswers(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		for _, size := range []int{1, 2, 3, 7, 64, len(body)} {
			var a answer
			for b := body; len(b) > 0; {
				n := min(size, len(b))
				a.read(&answers{}, []byte(b[:n]))
				b = b[n:]
			}
			if got := said(&a); got != want {
				t.Errorf("in pieces of %d: got %q, want %q of\n%s", size, got, want, body)
			}
		}
	}
	const nothing = "   0/0"
	f(openAI, "chatcmpl-1 gpt-4o-2024-08-06 tool_calls 19/10")
	f(openAIStream, "chatcmpl-2 gpt-4o stop 5/6")
	f(responses, "resp_1 o3  36/87")
	f(anthropic, "msg_01 claude-sonnet-4 tool_use 2095/503")
	f(anthropicStream, "msg_02 claude-sonnet-4 end_turn 25/15")
	f(gemini, "abc-_123 gemini-2.5-flash stop 11/73")
	f(geminiArray, "abc-_123 gemini-2.5-flash stop 11/73")
	f(geminiStream, "r-1 gemini-2.5-flash max_tokens 4/28") // what it thought is generated too
	// Other answers, whatever they hold.
	f(`{"jsonrpc":"2.0","id":"secret","result":{"model":"m","usage":{"input_tokens":1}}}`, nothing)
	f(`{"id":"secret","model":"car"}`, nothing)
	f(`{"type":"message","id":"secret","text":"hello"}`, nothing)
	f("\x1f\x8b"+openAI, nothing)
	f("hello "+openAI, nothing)
	f(`{"object":"response","id":"`+strings.Repeat("x", 129)+`","model":"a secret text","usage":{"input_tokens":1,"output_tokens":2}}`, "   1/2")
	f(`{"object":"response","id":"a\u0041","model":"m","usage":{"input_tokens":-1,"output_tokens":1e3}}`, " m  0/0")
	f(strings.Repeat("[", 100)+openAI, nothing)
	f("", nothing)
	f("]", nothing)
}

// What is behind a hole is right or missing.
func TestAnswersWithHoles(t *testing.T) {
	f := func(body string, from, to int, want string) {
		t.Helper()
		var a answer
		a.read(&answers{}, []byte(body[:from]))
		a.lose(&answers{})
		a.read(&answers{}, []byte(body[to:]))
		if got := said(&a); got != want {
			t.Errorf("without %d to %d: got %q, want %q", from, to, got, want)
		}
	}
	f(openAI, 200, 210, "chatcmpl-1 gpt-4o-2024-08-06  0/0")
	f(openAIStream, 150, 160, "chatcmpl-2 gpt-4o stop 5/6")
	f(openAIStream, 10, 300, "chatcmpl-2 gpt-4o  5/6") // the second event is the broken one
	f(anthropicStream, 60, 300, "  end_turn 0/15")
	for _, body := range []string{openAI, openAIStream, responses, anthropic, anthropicStream, gemini, geminiArray, geminiStream} {
		var whole answer
		whole.read(&answers{}, []byte(body))
		all := strings.Fields(strings.ReplaceAll(said(&whole), "/", " ") + " 0 1")
		for from := 1; from < len(body); from += 3 {
			for to := from + 1; to < len(body); to += 17 {
				var a answer
				a.read(&answers{}, []byte(body[:from]))
				a.lose(&answers{})
				a.read(&answers{}, []byte(body[to:]))
				for _, word := range strings.Fields(strings.ReplaceAll(said(&a), "/", " ")) {
					if !contains(all, word) {
						t.Fatalf("without %d to %d of %q: %q, whole it says %q", from, to, body, said(&a), said(&whole))
					}
				}
			}
		}
	}
}

func contains(all []string, s string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

// Chunks may be cut anywhere; what is no chunk ends the answer.
func TestAnswersInChunks(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		for _, size := range []int{1, 2, 5, len(body)} {
			a := new(answer)
			x := exchange{active: true, answered: true, responseChunked: true, answer: a}
			for seq := 0; seq < len(body); seq += size {
				new(Decoder).body(&x, uint32(seq), []byte(body[seq:min(seq+size, len(body))]))
				new(Decoder).body(&x, uint32(seq), []byte(body[seq:min(seq+size, len(body))])) // sent again
			}
			if got := said(a); got != want {
				t.Errorf("in pieces of %d: got %q, want %q", size, got, want)
			}
		}
	}
	chunked := func(size int, s string) (out string) {
		for ; len(s) > 0; s = s[min(size, len(s)):] {
			out += fmt.Sprintf("%X;ext=\"1\"\r\n%s\r\n", min(size, len(s)), s[:min(size, len(s))])
		}
		return out + "0\r\nTrailer: id\r\n\r\n"
	}
	for _, size := range []int{1, 10, 300, 5000} {
		f(chunked(size, openAI), "chatcmpl-1 gpt-4o-2024-08-06 tool_calls 19/10")
		f(chunked(size, anthropicStream), "msg_02 claude-sonnet-4 end_turn 25/15")
	}
	f("zz\r\n"+openAI, "   0/0")
	x := exchange{active: true, answered: true, responseChunked: true, answer: new(answer)}
	body := chunked(10, anthropicStream)
	new(Decoder).body(&x, 0, []byte(body[:500]))
	new(Decoder).body(&x, 510, []byte(body[510:]))
	if got := said(x.answer); got != "msg_02 claude-sonnet-4  25/1" {
		t.Errorf("with a hole: %q", got)
	}
}

// An exchange of HTTP/1 says it, and its records may be of any size.
func TestExchangeAnswer(t *testing.T) {
	w := newWire(bpf.RoleClient)
	w.progress.Next = [2]uint32{1, 1<<32 - 300}
	record := func(k bpf.Kind, direction int, data string) {
		w.now += 10
		r := bpf.Record{Kind: k, Data: []byte(data), Head: &bpf.Head{
			Kind: uint32(k), Role: w.role, Direction: uint8(direction), Captured: uint16(len(data)), Time: w.now, Cookie: cookie, Plain: 1,
			Before: w.progress, Seq: w.progress.Next[direction], Length: uint32(len(data)),
		}}
		if k == bpf.KindPlain {
			r.Data = nil
		} else {
			w.progress.Next[direction] += uint32(len(data))
			w.progress.Known[direction] = 1
			r.Head.Before.Known = w.progress.Known
		}
		w.d.Decode(&r, &w.batch)
	}
	for range 2 {
		record(bpf.KindRequest, bpf.Out, "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
		record(bpf.KindResponse, bpf.In, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(openAI), openAI[:50]))
		record(bpf.KindBody, bpf.In, openAI[50:300])
		record(bpf.KindBody, bpf.In, openAI[300:])
		record(bpf.KindPlain, bpf.In, "")
	}
	record(bpf.KindRequest, bpf.Out, "GET /v1/chat/completions HTTP/1.1\r\nHost: h\r\n\r\n")
	record(bpf.KindResponse, bpf.In, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(openAI), openAI))
	record(bpf.KindPlain, bpf.In, "")
	var got []string
	for i := range w.batch.Events {
		if x, ok := w.batch.Events[i].Payload.(*event.Exchange); ok {
			got = append(got, fmt.Sprint(x.ResponseID, " ", x.ResponseModel, " ", x.Finish, x.Usage))
		}
		if line := string(w.batch.Events[i].AppendJSON(nil)); strings.Contains(line, "secret") {
			t.Errorf("what should not leave the node did: %s", line)
		}
	}
	if diff := cmp.Diff([]string{"chatcmpl-1 gpt-4o-2024-08-06 tool_calls{19 10}", "chatcmpl-1 gpt-4o-2024-08-06 tool_calls{19 10}", "  {0 0}"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w.d.answers.used != 0 {
		t.Errorf("%d answers are kept", w.d.answers.used)
	}
}

// Streams of HTTP/2 say it, in pieces of frames, and where pieces are missing.
func TestStreamAnswer(t *testing.T) {
	w := newFrames()
	const size = 40
	data := func(stream uint32, body string, skip int) {
		for i := 0; len(body) > 0; i++ {
			n := min(100, len(body))
			f := bpf.Frame{Direction: bpf.In, Plain: 1, Type: frameData, Stream: stream, Length: uint32(n), First: bpf.FirstOfFrame}
			if n == len(body) {
				f.Flags = flagEndStream
			}
			for from := 0; from < n; from += size {
				m := min(size, n-from)
				f.Passed = uint32(from + m)
				f.From, w.seq[bpf.In] = w.seq[bpf.In], w.seq[bpf.In]+uint32(m)
				f.To = w.seq[bpf.In]
				part := []byte(body[from : from+m])
				if i == skip && from == size {
					part = nil
				}
				w.record(f, part)
				f.First = 0
			}
			body = body[n:]
		}
	}
	ask := func(stream uint32, method string) {
		w.headers(bpf.Out, flagEndStream, stream, 200, ":method", method, ":path", "/v1/messages", ":authority", "h")
		w.headers(bpf.In, 0, stream, 200, ":status", "200")
	}
	for i := range w.started {
		w.started[i] = false
	}
	ask(1, "POST")
	ask(3, "POST")
	ask(5, "GET")
	ask(7, "POST")
	ask(9, "POST")
	data(1, anthropic, -1)
	data(3, openAIStream, -1)
	data(5, openAI, -1)
	data(7, openAI, 2)
	data(9, openAIStream, 2)
	got := map[uint32]string{}
	for i := range w.batch.Events {
		if x, ok := w.batch.Events[i].Payload.(*event.Exchange); ok {
			got[x.StreamID] = fmt.Sprint(x.ResponseID, " ", x.ResponseModel, " ", x.Finish, x.Usage)
		}
	}
	want := map[uint32]string{
		1: "msg_01 claude-sonnet-4 tool_use{2095 503}", 3: "chatcmpl-2 gpt-4o stop{5 6}", 5: "  {0 0}",
		7: "chatcmpl-1 gpt-4o-2024-08-06 {0 0}", 9: "chatcmpl-2 gpt-4o {5 6}", // the event with the reason has the hole
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w.d.answers.used != 0 {
		t.Errorf("%d answers are kept", w.d.answers.used)
	}
}

// FuzzAnswer cuts and loses bytes anywhere: no cut changes what is read.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{openAI, openAIStream, responses, anthropic, anthropicStream, gemini, geminiArray, geminiStream} {
		f.Add([]byte(body), uint16(9))
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = io.WriteString(w, openAI)
	_ = w.Close()
	f.Add(z.Bytes(), uint16(9))
	f.Fuzz(func(t *testing.T, body []byte, size uint16) {
		var whole, cut answer
		whole.read(&answers{}, body)
		for b := body; len(b) > 0; {
			n := min(int(size)+1, len(b))
			cut.read(&answers{}, b[:n])
			b = b[n:]
		}
		if a, b := said(&whole), said(&cut); a != b {
			t.Errorf("whole %q, in pieces of %d %q", a, int(size)+1, b)
		}
	})
}
