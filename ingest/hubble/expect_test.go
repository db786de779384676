package hubble

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/cilium/cilium/api/v1/flow"
	"github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// expect is the event of a message, false for one that gives none: of another
// type, or with values that the wire type holds and that cannot be.
func expect(m *observer.ExportEvent) (event.Event, bool) {
	e := event.Event{Source: event.SourceHubble}
	ok := true
	at := func(ts *timestamppb.Timestamp) event.Time {
		if ts == nil {
			return 0
		}
		std := ts.AsTime()
		if std.Year() < 1678 || std.Year() > 2261 {
			ok = false
			return 0
		}
		return event.At(std)
	}
	e.Cluster, e.Node = splitNode(m.GetNodeName())
	e.Time = at(m.GetTime())
	if lost := m.GetLostEvents(); lost != nil {
		e.Kind = event.KindLoss
		if e.Time == 0 {
			e.Time = at(lost.Last)
		}
		p := &event.Loss{Of: event.SourceHubble, Count: lost.NumEventsLost, From: at(lost.First), To: at(lost.Last)}
		if p.To == 0 {
			p.To = e.Time
		}
		if name, known := flow.LostEventSource_name[int32(lost.Source)]; known && lost.Source != 0 {
			p.Reason = strings.ToLower(name)
		}
		if lost.Cpu != nil {
			p.Scope = "cpu-" + strconv.Itoa(int(lost.Cpu.Value))
		}
		e.Payload = p
		return e, ok
	}
	fl := m.GetFlow()
	if fl == nil {
		return e, false
	}
	if c, n := splitNode(fl.NodeName); n != "" || c != "" {
		if n != "" {
			e.Node = n
		}
		if c != "" {
			e.Cluster = c
		}
	}
	if ts := at(fl.Time); ts != 0 {
		e.Time = ts
	}
	x := expectation{fl: fl, ok: &ok, node: e.Node}
	switch {
	case fl.L7.GetHttp() != nil:
		e.Kind, e.Payload = event.KindHTTPFlow, x.http(fl.L7.GetHttp())
	case fl.L7.GetDns() != nil:
		e.Kind, e.Payload = event.KindDNS, x.dns(fl.L7.GetDns())
	case fl.EventType.GetType() == 5:
		e.Kind, e.Payload = event.KindPolicyVerdict, x.flow()
	default:
		e.Kind, e.Payload = event.KindFlow, x.flow()
	}
	return e, ok
}

func splitNode(s string) (cluster, node string) {
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return "", s
}

// expectation builds payloads from a flow of the generated type; ok turns false
// at a value that cannot be.
type expectation struct {
	fl   *flow.Flow
	ok   *bool
	node string
}

func (x expectation) addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil || len(s) > 64 {
		*x.ok = false
		return netip.Addr{}
	}
	return a.WithZone("").Unmap()
}

func (x expectation) number16(v uint32) uint16 {
	if v > 65535 {
		*x.ok = false
	}
	return uint16(v)
}

func (x expectation) tuple() event.Tuple {
	var t event.Tuple
	src, dst := uint16(0), uint16(0)
	switch p := x.fl.L4.GetProtocol().(type) {
	case *flow.Layer4_TCP:
		t.Proto, src, dst = event.ProtoTCP, x.number16(p.TCP.SourcePort), x.number16(p.TCP.DestinationPort)
	case *flow.Layer4_UDP:
		t.Proto, src, dst = event.ProtoUDP, x.number16(p.UDP.SourcePort), x.number16(p.UDP.DestinationPort)
	case *flow.Layer4_SCTP:
		t.Proto, src, dst = event.ProtoSCTP, x.number16(p.SCTP.SourcePort), x.number16(p.SCTP.DestinationPort)
	case *flow.Layer4_ICMPv4:
		t.Proto = event.ProtoICMP
	case *flow.Layer4_ICMPv6:
		t.Proto = event.ProtoICMPv6
	case *flow.Layer4_IGMP:
		t.Proto = 2
	case *flow.Layer4_VRRP:
		t.Proto = 112
	}
	t.Src = netip.AddrPortFrom(x.addr(x.fl.IP.GetSource()), src)
	t.Dst = netip.AddrPortFrom(x.addr(x.fl.IP.GetDestination()), dst)
	return t
}

func (x expectation) workload(e *flow.Endpoint) event.Workload {
	w := event.Workload{Cluster: e.GetClusterName(), Namespace: e.GetNamespace(), Pod: e.GetPodName()}
	if e.GetID() != 0 {
		w.Node = x.node
	}
	return w
}

func (x expectation) verdict() event.Verdict {
	name, known := flow.Verdict_name[int32(x.fl.Verdict)]
	if !known {
		return event.VerdictUnknown
	}
	var v event.Verdict
	if err := v.UnmarshalText([]byte(strings.ToLower(name))); err != nil {
		return event.VerdictUnknown
	}
	return v
}

func (x expectation) egress() bool { return x.fl.TrafficDirection == flow.TrafficDirection_EGRESS }

func (x expectation) reply() bool {
	if x.fl.IsReply != nil {
		return x.fl.IsReply.Value
	}
	return x.fl.GetReply() || strings.HasSuffix(x.fl.SockXlatePoint.String(), "_REV")
}

func (x expectation) response() bool {
	if t := x.fl.L7.GetType(); t >= flow.L7FlowType_REQUEST && t <= flow.L7FlowType_SAMPLE {
		return t == flow.L7FlowType_RESPONSE
	}
	return x.reply()
}

func dropReason(n int64) string {
	name, known := flow.DropReason_name[int32(n)]
	switch {
	case n <= 0:
		return ""
	case known && n < 1<<31:
		return name
	}
	return "DROP_REASON_" + strconv.FormatInt(n, 10)
}

func (x expectation) flow() *event.Flow {
	fl := x.fl
	p := &event.Flow{
		Tuple: x.tuple(), Reply: x.reply(), Verdict: x.verdict(), Egress: x.egress(),
		DropReason: dropReason(int64(fl.DropReasonDesc)),
		Cookie:     event.SocketCookie(fl.SocketCookie), Cgroup: event.CgroupID(fl.CgroupId),
		SrcWorkload: x.workload(fl.Source), DstWorkload: x.workload(fl.Destination),
		SrcName: firstOf(fl.SourceNames), DstName: firstOf(fl.DestinationNames),
	}
	if a := x.addr(fl.IP.GetSourceXlated()); a.IsValid() {
		p.Translated = netip.AddrPortFrom(a, p.Tuple.Src.Port())
	}
	if p.DropReason == "" {
		p.DropReason = dropReason(int64(fl.GetDropReason()))
	}
	for _, list := range [][]*flow.Policy{fl.EgressDeniedBy, fl.IngressDeniedBy, fl.EgressAllowedBy, fl.IngressAllowedBy} {
		for _, policy := range list {
			if p.Policy == "" && policy.Name != "" {
				p.Policy = strings.TrimPrefix(policy.Namespace+"/"+policy.Name, "/")
			}
		}
	}
	if name, known := flow.TraceObservationPoint_name[int32(fl.TraceObservationPoint)]; known && fl.TraceObservationPoint != 0 {
		p.Point = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	} else {
		p.Point = map[flow.SocketTranslationPoint]string{
			1: "pre-xlate-fwd", 2: "post-xlate-fwd", 3: "pre-xlate-rev", 4: "post-xlate-rev",
		}[fl.SockXlatePoint]
	}
	if tf := fl.L4.GetTCP().GetFlags(); tf != nil {
		var on []string
		for _, bit := range []struct {
			set  bool
			name string
		}{
			{tf.FIN, "FIN"},
			{tf.SYN, "SYN"},
			{tf.RST, "RST"},
			{tf.PSH, "PSH"},
			{tf.ACK, "ACK"},
			{tf.URG, "URG"},
			{tf.ECE, "ECE"},
			{tf.CWR, "CWR"},
			{tf.NS, "NS"},
		} {
			if bit.set {
				on = append(on, bit.name)
			}
		}
		p.Flags = strings.Join(on, ",")
	}
	a := fl.Aggregate
	p.Count = uint32(min(uint64(a.GetIngressFlowCount())+uint64(a.GetEgressFlowCount())+uint64(a.GetUnknownDirectionFlowCount()), 1<<32-1))
	return p
}

// firstOf is the first name that is not empty, without its dot.
func firstOf(names []string) string {
	for _, name := range names {
		if name != "" {
			return undotted(name)
		}
	}
	return ""
}

func undotted(name string) string {
	if len(name) > 1 {
		name = strings.TrimSuffix(name, ".")
	}
	return name
}

func (x expectation) http(h *flow.HTTP) *event.HTTPFlow {
	p := &event.HTTPFlow{
		Tuple: x.tuple(), Response: x.response(), LatencyNS: x.fl.L7.LatencyNs, Verdict: x.verdict(), Egress: x.egress(),
		SrcWorkload: x.workload(x.fl.Source), DstWorkload: x.workload(x.fl.Destination),
	}
	if p.Response {
		p.Tuple = p.Tuple.Reverse()
		p.SrcWorkload, p.DstWorkload = p.DstWorkload, p.SrcWorkload
	}
	host, path := new(redact.Policy).SplitURL([]byte(h.Url))
	p.HTTP = event.HTTP{Method: h.Method, Host: string(host), Path: string(path), Status: x.number16(h.Code)}
	p.Trace, p.RequestID = x.trace(h.Headers)
	return p
}

func (x expectation) trace(headers []*flow.HTTPHeader) (tc event.TraceContext, requestID string) {
	found := map[string]event.TraceContext{}
	keep := func(name string, tc event.TraceContext, ok bool) {
		if _, seen := found[name]; ok && !seen {
			found[name] = tc
		}
	}
	for _, h := range headers {
		v := []byte(h.Value)
		switch name := asciiLower(h.Key); name {
		case "traceparent":
			tc, ok := scan.TraceParent(v)
			keep(name, tc, ok)
		case "x-cloud-trace-context":
			tc, ok := scan.CloudTrace(v)
			keep(name, tc, ok)
		case "b3":
			tc, ok := scan.B3(v)
			keep(name, tc, ok)
		case "x-b3-traceid":
			id, ok := scan.B3TraceID(v)
			keep(name, event.TraceContext{TraceID: id}, ok)
		case "x-b3-spanid":
			id, ok := scan.B3SpanID(v)
			keep(name, event.TraceContext{SpanID: id}, ok)
		case "x-request-id":
			if requestID == "" && len(v) <= 128 && h.Value != "HUBBLE_REDACTED" {
				requestID = h.Value
			}
		}
	}
	if err := tc.TraceID.UnmarshalText([]byte(x.fl.TraceContext.GetParent().GetTraceId())); err == nil && !tc.TraceID.IsZero() {
		tc.Format = "hubble"
		if w3c := found["traceparent"]; w3c.TraceID == tc.TraceID {
			tc.SpanID = w3c.SpanID
		}
		return tc, requestID
	}
	for _, name := range []string{"traceparent", "x-cloud-trace-context", "b3"} {
		if tc, ok := found[name]; ok {
			return tc, requestID
		}
	}
	if id, span := found["x-b3-traceid"].TraceID, found["x-b3-spanid"].SpanID; !id.IsZero() && !span.IsZero() {
		return event.TraceContext{TraceID: id, SpanID: span, Format: "b3"}, requestID
	}
	return event.TraceContext{}, requestID
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r | 0x20
		}
		return r
	}, s)
}

func (x expectation) dns(m *flow.DNS) *event.DNS {
	p := &event.DNS{
		Tuple: x.tuple(), Response: x.response(), Verdict: x.verdict(), Latency: x.fl.L7.LatencyNs,
		Query: asciiLower(undotted(m.Query)), RCode: x.number16(m.Rcode), Workload: x.workload(x.fl.Source),
	}
	if p.Response {
		p.Tuple, p.Workload = p.Tuple.Reverse(), x.workload(x.fl.Destination)
	}
	for _, name := range m.Qtypes {
		if p.Type == "" {
			p.Type = name
		}
	}
	for _, ip := range m.Ips {
		if a := x.addr(ip); a.IsValid() {
			p.Answers = append(p.Answers, a)
		}
	}
	return p
}

// forgiveNewNames takes over from got the enum names that protojson discards
// because these generated types do not have them, and that the decoder keeps.
func forgiveNewNames(want, got *event.Event) {
	switch g := got.Payload.(type) {
	case *event.Flow:
		w, ok := want.Payload.(*event.Flow)
		if !ok {
			return
		}
		if _, known := flow.DropReason_value[g.DropReason]; !known && (w.DropReason == "" || !strings.HasPrefix(g.DropReason, "DROP_REASON_")) {
			w.DropReason = g.DropReason
		}
		point := strings.ToUpper(strings.ReplaceAll(g.Point, "-", "_"))
		if _, known := flow.TraceObservationPoint_value[point]; !known && !strings.Contains(g.Point, "xlate") {
			w.Point = g.Point
		}
	case *event.Loss:
		w, ok := want.Payload.(*event.Loss)
		if _, known := flow.LostEventSource_value[strings.ToUpper(g.Reason)]; ok && !known {
			w.Reason = g.Reason
		}
	}
}
