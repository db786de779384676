package gcp

import (
	"bytes"
	"net/netip"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// rcodeUnknown is the code of a name that is not known here. It is reserved by
// IANA, so no answer has it.
const rcodeUnknown = 65535

// rcodes are the names of DNS response codes by number (RFC 6895).
var rcodes = [...]string{
	"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
}

func (d *Decoder) responseCode() uint16 {
	if d.s.Peek() != '"' {
		return d.s.Uint16()
	}
	b := d.s.Bytes()
	for code, name := range rcodes {
		if string(b) == name {
			return uint16(code)
		}
	}
	return rcodeUnknown
}

// rdata keeps the addresses of an answer in the presentation form of zone files:
// name, time to live, class, type and data, separated by tabs, one record a line.
// Cloud Logging cuts long answers and ends them with "...", so what stands
// before that may be half of an address.
func (d *Decoder) rdata(b []byte) {
	d.answers = d.answers[:0]
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		var fields [5][]byte
		n := 0
		for ; n < len(fields) && len(line) > 0; n++ {
			i := bytes.IndexByte(line, '\t')
			if i < 0 {
				i = len(line)
			}
			fields[n], line = line[:i], line[min(i+1, len(line)):]
		}
		if n < len(fields) || !bytes.EqualFold(fields[3], typeA) && !bytes.EqualFold(fields[3], typeAAAA) ||
			bytes.HasSuffix(fields[4], ellipsis) {
			continue
		}
		if a, ok := scan.Addr(fields[4]); ok {
			d.answers = append(d.answers, a)
		}
	}
}

var typeA, typeAAAA, ellipsis = []byte("a"), []byte("aaaa"), []byte("...")

// dnsEvent makes the event of a lookup. The asker is the VM, which with a
// node-local cache is the node and not the pod.
func (d *Decoder) dnsEvent(b *event.Batch) {
	r := &d.r
	e := b.Add(event.KindDNS, event.SourceGCP)
	e.Time, e.Observed = r.timestamp, r.received
	p := b.NewDNS()
	p.Tuple = event.Tuple{
		Proto: r.dnsProto,
		Src:   netip.AddrPortFrom(r.source, 0),
		Dst:   netip.AddrPortFrom(r.resolver, 0),
	}
	p.Query, p.Type, p.RCode = r.query, r.qtype, r.rcode
	p.Response = true // the log has the lookup and its answer in one entry
	p.Answers = b.CopyAddrs(d.answers)
	p.Workload.Node = r.vmName
	p.Latency = r.serverLatencyNS
	e.Payload = p
	if !d.entryID(e) {
		h := d.ids.Reset(e.Kind).Uint(uint64(e.Time)).String(p.Query).String(p.Type).Uint(uint64(p.RCode))
		hashEnd(h, p.Tuple.Src)
		hashEnd(h, p.Tuple.Dst)
		h.Uint(uint64(p.Tuple.Proto)).Uint(p.Latency).String(r.vmName)
		for _, a := range d.answers {
			hashEnd(h, netip.AddrPortFrom(a, 0))
		}
		e.ID = h.Sum()
	}
}
