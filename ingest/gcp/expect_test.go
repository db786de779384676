package gcp

import (
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// object is a JSON object as encoding/json reads it; clean turns false at a value
// that is not of the type asked for.
type object struct {
	m     map[string]any
	clean *bool
}

func (o object) get(name string) any {
	if v, ok := o.m[name]; ok {
		return v
	}
	for alias, to := range aliases {
		if to == name {
			if v, ok := o.m[alias]; ok {
				return v
			}
		}
	}
	return nil
}

func (o object) dirty() { *o.clean = false }

func (o object) text(name string) string {
	switch v := o.get(name).(type) {
	case nil:
		return ""
	case string:
		return v
	}
	o.dirty()
	return ""
}

func (o object) object(name string) object {
	switch v := o.get(name).(type) {
	case nil:
		return object{nil, o.clean}
	case map[string]any:
		return object{v, o.clean}
	}
	o.dirty()
	return object{nil, o.clean}
}

func (o object) list(name string) []any {
	switch v := o.get(name).(type) {
	case nil:
	case []any:
		return v
	default:
		o.dirty()
	}
	return nil
}

func (o object) number(name string, bits int) uint64 {
	var s string
	switch v := o.get(name).(type) {
	case nil:
		return 0
	case string:
		s = v
	case json.Number:
		s = v.String()
	}
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		o.dirty()
	}
	return n
}

func (o object) time(name string) event.Time {
	s := o.text(name)
	if s == "" {
		return 0
	}
	std, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || std.Year() < 1700 || std.Year() > 2200 || len(s) < 20 || s[10] != 'T' || s[13] != ':' {
		o.dirty()
		return 0
	}
	return event.At(std)
}

func (o object) addr(name string, withPort bool) netip.Addr {
	s := o.text(name)
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if ap, err2 := netip.ParseAddrPort(s); err != nil && err2 == nil && withPort {
		a, err = ap.Addr(), nil
	}
	if err != nil || len(s) > 64 {
		o.dirty()
		return netip.Addr{}
	}
	return a.WithZone("").Unmap()
}

func (o object) proto(name string) event.Proto {
	if _, ok := o.get(name).(json.Number); ok {
		return event.Proto(o.number(name, 8))
	}
	s := o.text(name)
	for _, p := range []event.Proto{event.ProtoTCP, event.ProtoUDP, event.ProtoICMP, event.ProtoICMPv6, event.ProtoSCTP} {
		if lower(s) == p.String() {
			return p
		}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0
	}
	return event.Proto(n)
}

func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r | 0x20
		}
		return r
	}, s)
}

func undotted(s string) string {
	if len(s) > 1 {
		s = strings.TrimSuffix(s, ".")
	}
	return s
}

// expect is the event of an entry; known is false for one of a log that is not
// read, clean for one of which nothing can be expected.
func expect(m map[string]any) (e event.Event, known, clean bool) {
	clean = true
	top := object{m, &clean}
	resource := top.object("resource")
	labels := resource.object("labels")
	_, hasHTTP := top.get("httpRequest").(map[string]any)
	payload := top.object("jsonPayload")
	log := top.text("logName")
	_, id, inLog := cutLast(log, "/logs/")
	if !inLog {
		id = ""
	}
	id = strings.ReplaceAll(id, "%2F", "/")
	e = event.Event{Source: event.SourceGCP, Time: top.time("timestamp"), Observed: top.time("receiveTimestamp")}
	typ := resource.text("type")
	switch {
	case typ == "http_load_balancer" || typ == "http_external_regional_lb_rule":
		if known = hasHTTP; known {
			e.Kind, e.Payload = event.KindEdgeRequest, expectEdge(&e, top, labels, payload)
		}
	case id == "dns.googleapis.com/dns_queries":
		if known = payload.get("queryName") != nil; known {
			e.Kind, e.Payload = event.KindDNS, expectDNS(payload)
		}
	case id == "policy-action":
		if payload.m == nil {
			payload = top
		} else if top.get("connection") != nil || top.get("src") != nil || top.get("dest") != nil ||
			top.get("disposition") != nil || top.get("policies") != nil || top.get("count") != nil || top.get("node_name") != nil {
			clean = false // half an entry, half a bare line
		}
		if known = payload.get("connection") != nil; known {
			e.Kind, e.Payload = event.KindPolicyVerdict, expectPolicy(&e, payload, labels)
		}
	case id == "compute.googleapis.com/vpc_flows" || id == "networkmanagement.googleapis.com/vpc_flows":
		if top.get("connection") != nil || top.get("src") != nil || top.get("dest") != nil {
			clean = false
		}
		if known = payload.get("connection") != nil; known {
			e.Kind, e.Payload = event.KindFlow, expectVPC(&e, payload)
		}
	case id == "" && typ == "" && payload.m == nil:
		if known = top.get("connection") != nil && top.get("disposition") != nil; known {
			e.Kind, e.Payload = event.KindPolicyVerdict, expectPolicy(&e, top, labels)
		}
	default:
		// Not read: whatever is in there must not make it bad, but for the
		// shape of what names the log.
		if id == "" && typ == "" {
			clean = false
		}
	}
	return e, known, clean
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func expectEdge(e *event.Event, top, labels, payload object) *event.EdgeRequest {
	h := top.object("httpRequest")
	host, path := new(redact.Policy).SplitURL([]byte(h.text("requestUrl")))
	p := &event.EdgeRequest{
		Start:        e.Time,
		HTTP:         event.HTTP{Method: h.text("requestMethod"), Host: string(host), Path: string(path), Status: uint16(h.number("status", 16))},
		RequestBytes: h.number("requestSize", 64), ResponseBytes: h.number("responseSize", 64),
		Client: h.addr("remoteIp", true), Backend: h.addr("serverIp", true),
		StatusDetails: payload.text("statusDetails"), BackendName: labels.text("backend_service_name"),
	}
	if c := payload.addr("remoteIp", true); !p.Client.IsValid() {
		p.Client = c
	}
	if p.BackendName == "" {
		p.BackendName = labels.text("backend_name")
	}
	if s := h.text("latency"); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 || strings.Trim(s, "0123456789.s") != "" || !strings.HasSuffix(s, "s") || d > 1e6*time.Second {
			h.dirty()
		} else if e.Time != 0 {
			e.Time = e.Time.Add(d)
		}
		if _, ok := seconds([]byte(s)); !ok {
			h.dirty() // time.ParseDuration takes ".5s" and "1.s" too
		}
	}
	if tc, ok := scan.CloudTrace([]byte(top.text("trace"))); ok {
		p.Trace = event.TraceContext{TraceID: tc.TraceID, Format: "cloud"}
		if p.Trace.SpanID.UnmarshalText([]byte(top.text("spanId"))) != nil {
			p.Trace.SpanID = event.SpanID{}
		}
	}
	type policy struct{ name, outcome, rules string }
	read := func(name string) policy {
		o := payload.object(name)
		var rules []string
		for _, rule := range o.list("preconfiguredExprIds") {
			s, ok := rule.(string)
			if !ok || s == "" {
				o.dirty()
			}
			rules = append(rules, s)
		}
		return policy{o.text("name"), o.text("outcome"), strings.Join(rules, ",")}
	}
	waf, edge := read("enforcedSecurityPolicy"), read("enforcedEdgeSecurityPolicy")
	if waf == (policy{}) || edge.outcome == "DENY" && waf.outcome != "DENY" {
		waf = edge
	}
	p.WAF, p.WAFRules = waf.name, waf.rules
	p.WAFOutcome = map[string]event.Verdict{
		"ACCEPT": event.VerdictForwarded, "EXEMPT": event.VerdictForwarded, "DENY": event.VerdictDropped, "REDIRECT": event.VerdictRedirected,
	}[waf.outcome]
	if p.WAFOutcome == 0 && p.StatusDetails == "denied_by_security_policy" {
		p.WAFOutcome = event.VerdictDropped
	}
	return p
}

func expectDNS(payload object) *event.DNS {
	p := &event.DNS{
		Query: lower(undotted(payload.text("queryName"))), Type: payload.text("queryType"), Response: true,
		Tuple: event.Tuple{
			Proto: payload.proto("protocol"),
			Src:   netip.AddrPortFrom(payload.addr("sourceIP", true), 0),
			Dst:   netip.AddrPortFrom(payload.addr("destinationIP", true), 0),
		},
		Latency: min(payload.number("serverLatency", 64), 1<<63/1_000_000) * 1_000_000,
	}
	name := payload.text("vmInstanceName")
	if _, after, ok := strings.Cut(name, "."); ok {
		name = after
	}
	p.Workload.Node = name
	if _, ok := payload.get("responseCode").(json.Number); ok {
		p.RCode = uint16(payload.number("responseCode", 16))
	} else if _, ok := payload.get("responseCode").(string); ok {
		p.RCode = 65535
		for i, code := range strings.Fields("NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE") {
			if payload.text("responseCode") == code {
				p.RCode = uint16(i)
			}
		}
	} else if payload.get("responseCode") != nil {
		payload.dirty()
	}
	for _, line := range strings.Split(payload.text("rdata"), "\n") {
		fields := strings.SplitN(line, "\t", 6)
		if len(fields) < 5 || lower(fields[3]) != "a" && lower(fields[3]) != "aaaa" || len(fields[4]) > 64 {
			continue
		}
		if a, err := netip.ParseAddr(fields[4]); err == nil {
			p.Answers = append(p.Answers, a.WithZone("").Unmap())
		}
	}
	return p
}

func expectTuple(payload object) (event.Tuple, bool) {
	c := payload.object("connection")
	return event.Tuple{
		Proto: c.proto("protocol"),
		Src:   netip.AddrPortFrom(c.addr("src_ip", false), uint16(c.number("src_port", 16))),
		Dst:   netip.AddrPortFrom(c.addr("dest_ip", false), uint16(c.number("dest_port", 16))),
	}, c.text("direction") == "egress"
}

func expectPolicy(e *event.Event, payload, labels object) *event.Flow {
	p := &event.Flow{Count: uint32(payload.number("count", 32))}
	p.Tuple, p.Egress = expectTuple(payload)
	switch payload.text("disposition") {
	case "allow":
		p.Verdict = event.VerdictForwarded
	case "deny":
		p.Verdict, p.DropReason = event.VerdictDropped, "POLICY_DENIED"
	}
	for _, v := range payload.list("policies") {
		m, ok := v.(map[string]any)
		if !ok && v != nil {
			payload.dirty()
		}
		o := object{m, payload.clean}
		if name := o.text("name"); p.Policy == "" && name != "" {
			p.Policy = strings.TrimPrefix(o.text("namespace")+"/"+name, "/")
			if o.text("namespace") == "" {
				p.Policy = name
			}
		}
	}
	side := func(name string) event.Workload {
		o := payload.object(name)
		w := event.Workload{Pod: o.text("pod_name"), Namespace: o.text("pod_namespace"), Node: o.text("node_name")}
		if w.Namespace == "" {
			w.Namespace = o.text("namespace")
		}
		return w
	}
	p.SrcWorkload, p.DstWorkload = side("src"), side("dest")
	local := &p.DstWorkload
	if p.Egress {
		local = &p.SrcWorkload
	}
	for _, name := range []string{payload.text("node_name"), labels.text("node_name")} {
		if local.Node == "" {
			local.Node = name
		}
	}
	e.Cluster, e.Node = labels.text("cluster_name"), local.Node
	if ts := payload.time("timestamp"); ts != 0 {
		e.Time = ts
	}
	return p
}

func expectVPC(e *event.Event, payload object) *event.Flow {
	p := &event.Flow{
		Start: payload.time("start_time"), Bytes: payload.number("bytes_sent", 64), Packets: payload.number("packets_sent", 64),
		Point: lower(payload.text("reporter")),
	}
	p.Tuple, _ = expectTuple(payload)
	p.Egress = p.Point == "src"
	for _, ts := range []event.Time{payload.time("end_time"), p.Start} {
		if ts != 0 {
			e.Time = ts
			break
		}
	}
	side := func(name string) event.Workload {
		details := payload.object(name + "_gke_details")
		pod := details.object("pod")
		w := event.Workload{
			Cluster: details.object("cluster").text("cluster_name"), Pod: pod.text("pod_name"), Namespace: pod.text("pod_namespace"),
		}
		if vm := payload.object(name + "_instance").text("vm_name"); w.Pod != "" {
			w.Node = vm
		}
		if payload.get(map[string]string{"src": "src", "dest": "dest"}[name]) != nil {
			payload.dirty() // a policy verdict's member in a VPC flow
		}
		return w
	}
	p.SrcWorkload, p.DstWorkload = side("src"), side("dest")
	return p
}
