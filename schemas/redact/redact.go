// Package redact decides what of a foreign record may leave the node, and makes
// the keyed hashes that travel in place of what may not. It runs in every
// ingest package, replay included, before an event is handed on.
package redact

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/sennit-io/sennit/schemas/event"
)

// Policy names what is let through. The zero value lets nothing through: that
// is the default everywhere.
type Policy struct {
	CommandLines  bool // arguments of processes
	ToolArguments bool // arguments of tool calls
	URLQueries    bool // the query of URLs and paths
	// Key is the cluster's hash key. Hashes of two keys never agree, so a change
	// of key costs the joins of commands that straddle it. The zero key is legal
	// and gives hashes that anyone can guess: it is what replay of foreign
	// recordings uses, where both sides are in the files.
	Key [32]byte
}

// Path cuts the query and fragment from a path or URL unless URLQueries is set.
// User information is never let through: a URL that has some loses all that
// stands before its host.
func (p *Policy) Path(b []byte) []byte {
	if from := authority(b); from > 0 {
		for i := from; i < len(b) && b[i] != '/' && b[i] != '?' && b[i] != '#'; i++ {
			if b[i] == '@' {
				b, i = b[i+1:], -1
			}
		}
	}
	if !p.URLQueries {
		for i, c := range b {
			if c == '?' || c == '#' {
				b = b[:i]
				break
			}
		}
	}
	return b
}

// authority returns where the authority of a URL begins, 0 for a path.
func authority(b []byte) int {
	for i := 0; i+1 < len(b) && i < 32; i++ {
		switch c := b[i]; {
		case c == '/':
			if b[i+1] == '/' && (i == 0 || b[i-1] == ':') {
				return i + 2
			}
			return 0
		case c == '?' || c == '#' || c == '@':
			return 0
		}
	}
	return 0
}

// SplitURL cuts a URL, or a bare path, into host (with port) and path, redacted.
func (p *Policy) SplitURL(b []byte) (host, path []byte) {
	from := authority(b)
	if from == 0 || b[0] == '/' {
		return nil, p.Path(b)
	}
	rest := b[from:]
	end := len(rest)
	for i, c := range rest {
		if c == '/' || c == '?' || c == '#' {
			end = i
			break
		}
	}
	host, path = rest[:end], p.Path(rest[end:])
	for i := len(host) - 1; i >= 0; i-- {
		if host[i] == '@' {
			host = host[i+1:]
			break
		}
	}
	if len(path) == 0 {
		path = []byte("/")
	}
	return host, path
}

// Hasher makes the keyed hashes of one Policy. The zero value hashes with the
// zero key; a Hasher that is reused does not allocate for what fits its buffers.
// Not for concurrent use.
type Hasher struct {
	Key [32]byte
	buf []byte
}

// Command returns the hashes of a command line as a kernel observer has it: the
// binary, and its arguments joined by spaces. The four forms are the whole
// command, the command inside `sh -c`, the name with its last argument, and the
// first URL. Forms that do not apply are zero.
func (h *Hasher) Command(binary, args string) event.Hashes {
	name := base(binary)
	inner, isShell := innerCommand(name, args)
	out := event.Hashes{h.sum('w', name, args)}
	if isShell {
		out[1] = h.sum('w', inner, "")
		name, args, _ = strings.Cut(strings.TrimSpace(inner), " ")
		name = base(name)
	}
	if last := lastWord(args); last != "" {
		out[2] = h.sum('l', name, last)
	}
	if u := firstURL(args); u != "" {
		out[3] = h.sum('u', u, "")
	}
	return out
}

// Text returns the hashes of one text of a tool's arguments, in the same forms,
// so that a tool that was told to run a command meets the process that ran it.
func (h *Hasher) Text(s string) event.Hashes {
	s = strings.TrimSpace(s)
	if s == "" {
		return event.Hashes{}
	}
	name, args, _ := strings.Cut(s, " ")
	out := event.Hashes{h.sum('w', base(name), args), h.sum('w', s, "")}
	if last := lastWord(args); last != "" {
		out[2] = h.sum('l', base(name), last)
	}
	if u := firstURL(s); u != "" {
		out[3] = h.sum('u', u, "")
	}
	return out
}

// sum hashes the canonical form of two words of a text: quotes and backslashes
// out, white space folded to one blank.
func (h *Hasher) sum(form byte, first, rest string) uint64 {
	h.buf = append(append(h.buf[:0], h.Key[:]...), form)
	blank := h.fold(first, true)
	if !blank {
		h.buf = append(h.buf, ' ')
	}
	h.fold(rest, true)
	if n := len(h.buf); h.buf[n-1] == ' ' {
		h.buf = h.buf[:n-1]
	}
	// Half of the key is the function's, the other half begins the message.
	k := h.buf[:16]
	return sipHash(binary.LittleEndian.Uint64(k), binary.LittleEndian.Uint64(k[8:]), h.buf[16:])
}

// fold appends the canonical form of s and reports whether a blank, or nothing,
// came last.
func (h *Hasher) fold(s string, blank bool) bool {
	for i := 0; i < len(s); {
		run := i
		for i < len(s) && special[s[i]] == plain {
			i++
		}
		if i > run {
			h.buf = append(h.buf, s[run:i]...)
			blank = false
			continue
		}
		if special[s[i]] == white && !blank {
			h.buf = append(h.buf, ' ')
			blank = true
		}
		i++
	}
	return blank
}

const (
	plain = iota
	white
	dropped
)

// special says which bytes a canonical form folds or drops.
var special = [256]uint8{
	' ': white, '\t': white, '\n': white, '\r': white,
	'"': dropped, '\'': dropped, '\\': dropped, '`': dropped,
}

func base(path string) string {
	return path[strings.LastIndexByte(path, '/')+1:]
}

// innerCommand returns what follows -c (or a bundle that ends in c, as -lc).
func innerCommand(name, args string) (string, bool) {
	switch name {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "busybox":
	default:
		return "", false
	}
	rest := args
	for rest != "" {
		var word string
		word, rest, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
		if len(word) > 1 && word[0] == '-' && word[1] != '-' && word[len(word)-1] == 'c' {
			return strings.Trim(rest, " \"'"), rest != ""
		}
	}
	return "", false
}

func lastWord(args string) string {
	args = strings.TrimRight(args, " \"'\n")
	return args[strings.LastIndexByte(args, ' ')+1:]
}

func firstURL(s string) string {
	for _, scheme := range [...]string{"https://", "http://"} {
		if i := strings.Index(s, scheme); i >= 0 {
			u := s[i:]
			if end := strings.IndexAny(u, " \"'<>|;)\t\n"); end >= 0 {
				u = u[:end]
			}
			return u
		}
	}
	return ""
}

// Cut shortens s to at most n bytes on a rune boundary.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
