package otlp

import (
	"bytes"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

const (
	maxArgs     = 16 << 10 // bytes of one argument that are hashed; kernels show less
	maxKeptArgs = 4 << 10  // bytes of the arguments that are kept when switched on
)

// toolArgs finds, among the texts in a tool's arguments, the one that a process
// or a request may show again.
type toolArgs struct {
	text  []byte
	sure  bool // text looks like a command or a URL
	alone bool // text is the value of a command key, and may go on in "args"
	agent []byte
}

// readToolArgs hashes a tool's arguments, and reads whom a hand-off names. The
// arguments are a JSON text, else taken as one text. Of the strings in them the
// first that looks like a command or a URL counts: the value of a key named
// like one (command, cmd, url, …; a list is joined by blanks), a URL, or a text
// that begins with a path; without any, the first string. The text itself
// leaves the decoder only if the policy says so.
func (d *Decoder) readToolArgs(s *event.Span, args []byte) {
	var t toolArgs
	j := &d.args
	j.Reset(args)
	switch j.Peek() {
	case '{', '[', '"':
		d.walkArgs(&t, j, false)
		if j.End() != nil {
			t = toolArgs{text: args}
		}
	default:
		t.text = args
	}
	if s.Stage == event.StageHandoff {
		s.GenAI.HandoffTo = d.str(t.agent)
	}
	if len(t.text) > 0 {
		s.GenAI.ToolHashes = d.tools.Text(view(t.text[:min(len(t.text), maxArgs)]))
	}
	if d.Redact.ToolArguments {
		if len(args) > maxKeptArgs {
			args = cut(args, maxKeptArgs)
		}
		s.GenAI.ToolArgs = d.names.String(args)
	}
}

func (d *Decoder) walkArgs(t *toolArgs, j *scan.JSON, command bool) {
	switch j.Peek() {
	case '"':
		t.offer(j.BytesIn(&d.arena), command)
	case '[':
		if command {
			t.offer(d.joinArgs(j), true)
			return
		}
		for j.Array(); j.Next(); {
			d.walkArgs(t, j, false)
		}
	case '{':
		for j.Object(); j.Next(); {
			switch string(j.Key()) {
			case "agent_name", "agentName", "agent":
				if len(t.agent) == 0 && j.Peek() == '"' {
					t.agent = j.BytesIn(&d.arena)
					t.offer(t.agent, false)
					continue
				}
				d.walkArgs(t, j, false)
			case "command", "cmd", "commands", "shell_command", "command_line", "commandLine", "shell", "bash",
				"script", "argv", "url", "uri", "endpoint", "href":
				first := !t.sure
				d.walkArgs(t, j, true)
				t.alone = first && t.sure
				continue
			case "args", "arguments":
				if j.Peek() == '[' && t.alone {
					t.text = d.join(t.text, ' ', d.joinArgs(j))
					t.alone = false
					continue
				}
				d.walkArgs(t, j, j.Peek() == '[')
			default:
				d.walkArgs(t, j, false)
			}
		}
	default:
		j.Skip()
	}
}

// offer takes text unless there is a better one.
func (t *toolArgs) offer(text []byte, command bool) {
	if text = bytes.TrimSpace(text); len(text) == 0 || t.sure {
		return
	}
	sure := command || looksRun(text)
	if sure || len(t.text) == 0 {
		t.text, t.sure = text, sure
	}
}

// looksRun reports a URL, or a text that begins with the path of a program.
func looksRun(text []byte) bool {
	return bytes.HasPrefix(text, []byte("http://")) || bytes.HasPrefix(text, []byte("https://")) ||
		text[0] == '/' || bytes.HasPrefix(text, []byte("./"))
}

// joinArgs joins the strings of a list by blanks; anything else in it is left
// out.
func (d *Decoder) joinArgs(j *scan.JSON) []byte {
	d.joined = d.joined[:0]
	for j.Array(); j.Next(); {
		if j.Peek() != '"' {
			j.Skip()
			continue
		}
		if len(d.joined) > 0 {
			d.joined = append(d.joined, ' ')
		}
		d.joined = append(d.joined, j.Bytes()...)
	}
	n := len(d.arena)
	d.arena = append(d.arena, d.joined...)
	return d.arena[n:len(d.arena):len(d.arena)]
}
