package convert

import (
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// tracepoint is one line of ftrace. Which fields are set depends on its name.
type tracepoint struct {
	name   string
	bootNS int64
	tid    uint32 // who ran on the CPU; with softirq, that is chance
	soft   bool
	fields map[string]string
}

var ftraceLine = regexp.MustCompile(`^\s*.+-(\d+)\s+\[\d+\]\s+(\S+)\s+(\d+\.\d+): (\w+): (.*)$`)

// readFtrace reads the text of a trace file with trace_clock boot.
func readFtrace(r io.Reader) ([]tracepoint, error) {
	var out []tracepoint
	err := eachLine(r, func(line string) error {
		if strings.HasPrefix(line, "#") || line == "" {
			return nil
		}
		m := ftraceLine.FindStringSubmatch(line)
		if m == nil {
			return fmt.Errorf("no ftrace line: %q", line)
		}
		tid, err := strconv.ParseUint(m[1], 10, 32)
		if err != nil {
			return fmt.Errorf("read pid: %w", err)
		}
		at, err := seconds(m[3])
		if err != nil {
			return err
		}
		p := tracepoint{name: m[4], bootNS: at, tid: uint32(tid), soft: strings.ContainsAny(m[2], "sS"), fields: map[string]string{}}
		for kv := range strings.FieldsSeq(m[5]) {
			if k, v, ok := strings.Cut(kv, "="); ok {
				p.fields[k] = v
			}
		}
		out = append(out, p)
		return nil
	})
	return out, err
}

func (p *tracepoint) number(key string) uint32 {
	v, _ := strconv.ParseUint(p.fields[key], 10, 32) // of the kernel's own format
	return uint32(v)
}

// socket returns the ends of the socket whose state changed, false for what is
// no TCP connection (a listener, a socket without a port yet).
func (p *tracepoint) socket() (local, remote netip.AddrPort, ok bool) {
	if p.name != "inet_sock_set_state" || p.fields["protocol"] != "IPPROTO_TCP" || p.fields["family"] != "AF_INET" {
		return local, remote, false
	}
	from, err1 := netip.ParseAddr(p.fields["saddr"])
	to, err2 := netip.ParseAddr(p.fields["daddr"])
	local = netip.AddrPortFrom(from, uint16(p.number("sport")))
	remote = netip.AddrPortFrom(to, uint16(p.number("dport")))
	return local, remote, err1 == nil && err2 == nil && local.Port() != 0 && remote.Port() != 0
}
