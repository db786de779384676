package hubble

import (
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// Enums come by name, and by number from a writer that was told so
// (UseEnumNumbers). A name or number of a newer Cilium is the zero value.

// verdict reads flow.Verdict, whose numbers are those of event.Verdict.
func (d *Decoder) verdict() event.Verdict {
	if d.s.Peek() != '"' {
		return verdictOf(d.s.Int64())
	}
	switch string(d.s.Text()) {
	case "FORWARDED":
		return event.VerdictForwarded
	case "DROPPED":
		return event.VerdictDropped
	case "ERROR":
		return event.VerdictError
	case "AUDIT":
		return event.VerdictAudit
	case "REDIRECTED":
		return event.VerdictRedirected
	case "TRACED":
		return event.VerdictTraced
	case "TRANSLATED":
		return event.VerdictTranslated
	}
	return event.VerdictUnknown
}

func verdictOf(n int64) event.Verdict {
	if n > 0 && n <= int64(event.VerdictTranslated) {
		return event.Verdict(n)
	}
	return event.VerdictUnknown
}

// directionEgress is flow.TrafficDirection's EGRESS.
const directionEgress = 2

// isEgress reads flow.TrafficDirection.
func (d *Decoder) isEgress() bool {
	if d.s.Peek() != '"' {
		return d.s.Int64() == directionEgress
	}
	return string(d.s.Text()) == "EGRESS"
}

// layer7Type reads flow.L7FlowType.
func (d *Decoder) layer7Type() l7Type {
	if d.s.Peek() != '"' {
		return layer7TypeOf(d.s.Int64())
	}
	switch string(d.s.Text()) {
	case "REQUEST":
		return l7Request
	case "RESPONSE":
		return l7Response
	case "SAMPLE":
		return l7Sample
	}
	return l7Unknown
}

func layer7TypeOf(n int64) l7Type {
	if n > 0 && n <= int64(l7Sample) {
		return l7Type(n)
	}
	return l7Unknown
}

// points are the names of flow.TraceObservationPoint by number, as `hubble
// observe` prints them.
var points = [...]string{
	1: "to-proxy", 2: "to-host", 3: "to-stack", 4: "to-overlay", 5: "from-endpoint", 6: "from-proxy", 7: "from-host",
	8: "from-stack", 9: "from-overlay", 10: "from-network", 11: "to-network", 12: "from-crypto", 13: "to-crypto",
	101: "to-endpoint",
}

// point reads flow.TraceObservationPoint; a name not known here is kept.
func (d *Decoder) point() string {
	if d.s.Peek() != '"' {
		return nameAt(points[:], d.s.Int64())
	}
	b := d.s.Bytes()
	if string(b) == "UNKNOWN_POINT" || !isEnumName(b) {
		return ""
	}
	d.buf = append(d.buf[:0], b...)
	for i, c := range d.buf {
		switch {
		case c == '_':
			d.buf[i] = '-'
		case c >= 'A' && c <= 'Z':
			d.buf[i] = c | 0x20
		}
	}
	return d.names.String(d.buf)
}

// nameAt returns the name of a number, nothing for one that has none.
func nameAt(names []string, n int64) string {
	if n > 0 && n < int64(len(names)) {
		return names[n]
	}
	return ""
}

// xlatePoint reads flow.SocketTranslationPoint. On the reverse points the
// translated packet goes from the server to the socket's owner.
func (d *Decoder) xlatePoint() {
	n := int64(0)
	if d.s.Peek() != '"' {
		n = d.s.Int64()
	} else {
		switch string(d.s.Text()) {
		case "SOCK_XLATE_POINT_PRE_DIRECTION_FWD":
			n = 1
		case "SOCK_XLATE_POINT_POST_DIRECTION_FWD":
			n = 2
		case "SOCK_XLATE_POINT_PRE_DIRECTION_REV":
			n = 3
		case "SOCK_XLATE_POINT_POST_DIRECTION_REV":
			n = 4
		}
	}
	d.setXlate(n)
}

func (d *Decoder) setXlate(n int64) {
	d.r.xlate = nameAt(xlatePoints[:], n)
	d.r.xlateReply = d.r.xlate != "" && n >= 3
}

// xlatePoints are the names of flow.SocketTranslationPoint by number, as `hubble
// observe` prints them.
var xlatePoints = [...]string{1: "pre-xlate-fwd", 2: "post-xlate-fwd", 3: "pre-xlate-rev", 4: "post-xlate-rev"}

// flags are the TCP flags, one bit for each of flagNames.
type flags uint16

var (
	flagNames   = [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS"}
	flagMembers = scan.NewNames(flagNames[:]...)
)

// tcpFlags reads flow.TCPFlags.
func (d *Decoder) tcpFlags() {
	s := &d.s
	d.r.flags = 0
	s.Object()
	for i := s.Member(flagMembers, 0); i >= 0; i = s.Member(flagMembers, i+1) {
		switch {
		case i >= len(flagNames):
			s.Skip()
		case s.Bool():
			d.r.flags |= 1 << i
		}
	}
}

// flagText renders flags in header order, "SYN,ACK".
func (d *Decoder) flagText(f flags) string {
	if f == 0 {
		return ""
	}
	d.buf = d.buf[:0]
	for i, name := range flagNames {
		if f&(1<<i) == 0 {
			continue
		}
		if len(d.buf) > 0 {
			d.buf = append(d.buf, ',')
		}
		d.buf = append(d.buf, name...)
	}
	return d.names.String(d.buf)
}

// isEnumName tells whether b is written as protobuf's enums are named. Folded to
// lower case, any other text could pass for a name that it is not.
func isEnumName(b []byte) bool {
	for _, c := range b {
		if c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
