package enginetest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// Base is the instant that the times of a script count from.
const Base event.Time = 1_767_225_600_000_000_000 // 2026-01-01T00:00:00Z

// words are the key=value pairs of a line, taken out one by one; what is left
// in the end is a mistake in the script.
type words struct {
	pairs map[string]string
	err   error
}

// split cuts a line at blanks outside double quotes.
func split(line string) (kind string, w words, err error) {
	w.pairs = make(map[string]string)
	var field strings.Builder
	var fields []string
	quoted, some := false, false
	for _, r := range line {
		switch {
		case r == '"':
			quoted, some = !quoted, true
		case r == ' ' && !quoted:
			if some {
				fields = append(fields, field.String())
			}
			field.Reset()
			some = false
		default:
			field.WriteRune(r)
			some = true
		}
	}
	if some {
		fields = append(fields, field.String())
	}
	if quoted || len(fields) == 0 {
		return "", w, fmt.Errorf("read line %q: want a kind and key=value pairs", line)
	}
	for _, f := range fields[1:] {
		k, v, _ := strings.Cut(f, "=")
		if _, twice := w.pairs[k]; twice {
			return "", w, fmt.Errorf("read line %q: %s is there twice", line, k)
		}
		w.pairs[k] = v
	}
	return fields[0], w, nil
}

func (w *words) fail(k, v string, err error) {
	if w.err == nil {
		w.err = fmt.Errorf("read %s=%s: %w", k, v, err)
	}
}

func (w *words) str(k string) string {
	v := w.pairs[k]
	delete(w.pairs, k)
	return v
}

// flag is true when the word is there without a value.
func (w *words) flag(k string) bool {
	_, ok := w.pairs[k]
	delete(w.pairs, k)
	return ok
}

func (w *words) num(k string) uint64 {
	v := w.str(k)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseUint(v, 0, 64)
	if err != nil {
		w.fail(k, v, err)
	}
	return n
}

// time reads a distance from Base, or a whole instant.
func (w *words) time(k string) event.Time {
	v := w.str(k)
	if v == "" {
		return 0
	}
	var t event.Time
	if strings.Contains(v, "T") {
		if err := t.UnmarshalText([]byte(v)); err != nil {
			w.fail(k, v, err)
		}
		return t
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		w.fail(k, v, err)
	}
	return Base + event.Time(d)
}

func (w *words) addrPort(k string) netip.AddrPort {
	v := w.str(k)
	if v == "" {
		return netip.AddrPort{}
	}
	p, err := netip.ParseAddrPort(v)
	if err != nil {
		w.fail(k, v, err)
	}
	return p
}

func (w *words) addr(k string) netip.Addr {
	v := w.str(k)
	if v == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(v)
	if err != nil {
		w.fail(k, v, err)
	}
	return a
}

// tuple reads two ends; a lone address has no port, as in Hubble's
// socket-translation flows.
func (w *words) tuple(src, dst string) event.Tuple {
	t := event.Tuple{Src: w.end(src), Dst: w.end(dst)}
	if !t.IsZero() {
		t.Proto = event.ProtoTCP
	}
	return t
}

func (w *words) end(k string) netip.AddrPort {
	if a, err := netip.ParseAddr(w.pairs[k]); err == nil {
		w.str(k)
		return netip.AddrPortFrom(a, 0)
	}
	return w.addrPort(k)
}

// name reads one of the words that an enum knows.
func (w *words) name(k string, dst interface{ UnmarshalText([]byte) error }) {
	if v := w.str(k); v != "" {
		if err := dst.UnmarshalText([]byte(v)); err != nil {
			w.fail(k, v, err)
		}
	}
}

// Trace is the trace id of a name of at most 16 bytes: the name itself.
func Trace(name string) (id event.TraceID) {
	copy(id[:], name)
	return id
}

// Span is the span id of a name of at most 8 bytes: the name itself.
func Span(name string) (id event.SpanID) {
	copy(id[:], name)
	return id
}

func (w *words) trace(k string) event.TraceID {
	v := w.str(k)
	if len(v) > 16 {
		w.fail(k, v, fmt.Errorf("a trace has at most 16 letters"))
	}
	return Trace(v)
}

func (w *words) span(k string) event.SpanID {
	v := w.str(k)
	if len(v) > 8 {
		w.fail(k, v, fmt.Errorf("a span has at most 8 letters"))
	}
	return Span(v)
}

// context reads trace/span, or trace/span:format.
func (w *words) context(k string) event.TraceContext {
	v, format, ok := strings.Cut(w.str(k), ":")
	if v == "" {
		return event.TraceContext{}
	}
	if !ok {
		format = "traceparent"
	}
	trace, span, _ := strings.Cut(v, "/")
	return event.TraceContext{TraceID: Trace(trace), SpanID: Span(span), Format: format}
}

// process reads pid/start, the start in milliseconds since boot.
func (w *words) process(k string) event.ProcessRef {
	v := w.str(k)
	if v == "" {
		return event.ProcessRef{}
	}
	pid, start, _ := strings.Cut(v, "/")
	p, err := strconv.ParseUint(pid, 10, 32)
	if err != nil {
		w.fail(k, v, err)
	}
	ms, err := strconv.ParseUint(start, 10, 32)
	if err != nil && start != "" {
		w.fail(k, v, err)
	}
	return event.ProcessRef{PID: uint32(p), StartNS: ms * uint64(time.Millisecond)}
}

// workload reads namespace/pod.
func (w *words) workload(k string) event.Workload {
	v := w.str(k)
	if v == "" {
		return event.Workload{}
	}
	ns, pod, ok := strings.Cut(v, "/")
	if !ok {
		w.fail(k, v, fmt.Errorf("want namespace/pod or namespace/pod/uid"))
	}
	pod, uid, _ := strings.Cut(pod, "/")
	return event.Workload{Namespace: ns, Pod: pod, PodUID: uid}
}

func (w *words) http() event.HTTP {
	return event.HTTP{Method: w.str("method"), Host: w.str("host"), Path: w.str("path"), Status: uint16(w.num("code"))}
}

func (w *words) usage() (u event.Usage) {
	v := w.str("tokens")
	if v == "" {
		return u
	}
	if _, err := fmt.Sscanf(v, "%d/%d", &u.Input, &u.Output); err != nil {
		w.fail("tokens", v, err)
	}
	return u
}

// done reports the first mistake of the line.
func (w *words) done() error {
	if w.err != nil {
		return w.err
	}
	var left []string
	for k := range w.pairs {
		left = append(left, k)
	}
	if slices.Sort(left); len(left) > 0 {
		return fmt.Errorf("unknown words %s", strings.Join(left, ", "))
	}
	return nil
}
