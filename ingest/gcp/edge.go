package gcp

import (
	"net/netip"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// edgeEvent makes the event of a request at a load balancer.
func (d *Decoder) edgeEvent(b *event.Batch) {
	r := &d.r
	e := b.Add(event.KindEdgeRequest, event.SourceGCP)
	e.Time, e.Observed = r.timestamp, r.received
	p := b.NewEdgeRequest()
	if r.timestamp != 0 {
		p.Start = r.timestamp
		e.Time = r.timestamp.Add(time.Duration(r.latencyNS))
	}
	if !r.trace.IsZero() {
		p.Trace = event.TraceContext{TraceID: r.trace, SpanID: r.span, Format: "cloud"}
	}
	p.HTTP = r.http
	if p.Client = r.client; !p.Client.IsValid() {
		p.Client = r.payloadClient
	}
	p.Backend = r.server
	if p.BackendName = r.backendService; p.BackendName == "" {
		p.BackendName = r.backendName
	}
	p.RequestBytes, p.ResponseBytes = r.requestBytes, r.responseBytes
	p.StatusDetails = r.statusDetails
	p.WAF, p.WAFOutcome, p.WAFRules = r.firewall()
	e.Payload = p
	if !d.entryID(e) {
		h := d.ids.Reset(e.Kind).String(r.logName).Uint(uint64(e.Time)).Uint(uint64(p.Start)).Bytes(r.trace[:]).Bytes(r.span[:])
		h.String(p.HTTP.Method).String(p.HTTP.Host).String(p.HTTP.Path).Uint(uint64(p.HTTP.Status))
		hashEnd(h, netip.AddrPortFrom(p.Client, 0))
		hashEnd(h, netip.AddrPortFrom(p.Backend, 0))
		h.String(p.BackendName).Uint(p.RequestBytes).Uint(p.ResponseBytes).String(p.StatusDetails)
		h.String(p.WAF).Uint(uint64(p.WAFOutcome)).String(p.WAFRules)
		e.ID = h.Sum()
	}
}

// firewall returns Cloud Armor's decision: the policy that denied, else the
// backend's, else the edge's.
func (r *record) firewall() (name string, outcome event.Verdict, rules string) {
	p := &r.enforced
	if r.edge.outcome == "DENY" && p.outcome != "DENY" || *p == (securityPolicy{}) {
		p = &r.edge
	}
	switch p.outcome {
	case "ACCEPT", "EXEMPT":
		outcome = event.VerdictForwarded
	case "DENY":
		outcome = event.VerdictDropped
	case "REDIRECT":
		outcome = event.VerdictRedirected
	}
	// The policies are optional fields of the log, the details are not.
	if outcome == event.VerdictUnknown && r.statusDetails == "denied_by_security_policy" {
		outcome = event.VerdictDropped
	}
	return p.name, outcome, p.rules
}
