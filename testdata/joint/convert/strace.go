package convert

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
)

// call is one system call as strace -f -ttt -yy shows it, put together again
// where another thread came in between.
type call struct {
	tid        uint32
	start, end event.Time // equal when nothing came in between
	name       string
	args       string // all between the parentheses
	result     string // "0", "12<TCP:[...]>", "-1 EAGAIN (...)", "?"
}

// exited is the end of a thread.
type exited struct {
	tid    uint32
	at     event.Time
	code   uint32
	signal string
}

var straceLine = regexp.MustCompile(`^(\d+) +(\d+\.\d+) (.*)$`)

// readStrace returns the calls in order of their starts, and the ends.
func readStrace(r io.Reader) (calls []call, ends []exited, err error) {
	pending := map[uint32]int{} // unfinished call of a thread, index into calls
	err = eachLine(r, func(line string) error {
		m := straceLine.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("no strace line: %q", line)
		}
		tid, err := strconv.ParseUint(m[1], 10, 32)
		if err != nil {
			return fmt.Errorf("read pid: %w", err)
		}
		ns, err := seconds(m[2])
		if err != nil {
			return err
		}
		id, at, text := uint32(tid), event.Time(ns), m[3]
		switch {
		case strings.HasPrefix(text, "---"): // a signal
		case strings.HasPrefix(text, "+++"):
			ends = append(ends, readExit(id, at, text))
		case strings.HasPrefix(text, "<... "):
			i, ok := pending[id]
			if !ok {
				return fmt.Errorf("a call is resumed that never began: %q", line)
			}
			delete(pending, id)
			_, rest, _ := strings.Cut(text, " resumed>")
			calls[i].end = at
			calls[i].finish(calls[i].args + rest)
		default:
			c := call{tid: id, start: at, end: at}
			name, rest, ok := strings.Cut(text, "(")
			if !ok {
				return fmt.Errorf("no system call: %q", line)
			}
			c.name = name
			if before, ok := strings.CutSuffix(rest, " <unfinished ...>"); ok {
				c.args = before
				pending[id] = len(calls)
			} else {
				c.finish(rest)
			}
			calls = append(calls, c)
		}
		return nil
	})
	return calls, ends, err
}

// finish splits what follows the opening parenthesis.
func (c *call) finish(text string) {
	if i := strings.LastIndex(text, ") = "); i >= 0 {
		c.args, c.result = text[:i], text[i+len(") = "):]
		return
	}
	// strace pads short calls: "exit_group(0)   = ?".
	if i := strings.LastIndex(text, "= "); i >= 0 {
		c.args, c.result = strings.TrimSuffix(strings.TrimSpace(text[:i]), ")"), text[i+len("= "):]
		return
	}
	c.args = text
}

func readExit(tid uint32, at event.Time, text string) exited {
	e := exited{tid: tid, at: at}
	if s, ok := strings.CutPrefix(text, "+++ exited with "); ok {
		code, _ := strconv.ParseUint(strings.TrimSuffix(s, " +++"), 10, 8) // an exit status has eight bits
		e.code = uint32(code)
	} else if s, ok := strings.CutPrefix(text, "+++ killed by "); ok {
		e.signal, _, _ = strings.Cut(s, " ")
	}
	return e
}

// returned is the number a call gave back, false for an error or none.
func (c *call) returned() (uint32, bool) {
	digits := c.result
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = digits[:i]
	}
	v, err := strconv.ParseUint(digits, 10, 32)
	return uint32(v), err == nil
}

var tcpLabel = regexp.MustCompile(`^\d+<TCP:\[([^\]]+)->([^\]]+)\]>`)

// tcpEnds reads the ends of a connection from strace's name for a descriptor,
// "12<TCP:[127.0.0.1:80->127.0.0.1:4711]>", the local end first.
func tcpEnds(descriptor string) (local, remote netip.AddrPort, ok bool) {
	m := tcpLabel.FindStringSubmatch(descriptor)
	if m == nil {
		return local, remote, false
	}
	local, err1 := netip.ParseAddrPort(m[1])
	remote, err2 := netip.ParseAddrPort(m[2])
	return local, remote, err1 == nil && err2 == nil
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// argv reads the arguments of an execve without the first, which repeats the
// binary's name.
func (c *call) argv() ([]string, error) {
	_, list, ok := strings.Cut(c.args, "[")
	list, _, ok2 := strings.Cut(list, "], ")
	if !ok || !ok2 {
		return nil, fmt.Errorf("read arguments of %s(%s)", c.name, c.args)
	}
	var out []string
	for _, q := range quoted.FindAllString(list, -1) {
		s, err := strconv.Unquote(q)
		if err != nil {
			return nil, fmt.Errorf("read argument %s: %w", q, err)
		}
		out = append(out, s)
	}
	return out[min(1, len(out)):], nil
}

// eachLine calls f for every line, however long.
func eachLine(r io.Reader, f func(line string) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 16<<20)
	n := 0
	for s.Scan() {
		n++
		if err := f(s.Text()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("line %d: %w", n+1, err)
	}
	return nil
}
