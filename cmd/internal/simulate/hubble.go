package simulate

import (
	"net/netip"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// Event types of Hubble's flows.
const (
	flowDrop    = 1
	flowTrace   = 4
	flowVerdict = 5
	flowSock    = 7
	flowL7      = 129
)

// flow is what one Hubble record says.
type flow struct {
	src, dst       netip.AddrPort // src has port 0 on socket translation
	srcPod, dstPod *pod           // nil: outside the cluster
	proto          event.Proto    // default TCP
	kind           int
	dropped        bool
	reply          bool
	egress         bool
	point          string // TO_ENDPOINT, …
	flags          string // rendered: "SYN":true
	cookie         event.SocketCookie
	cgroup         event.CgroupID
	translation    string // SOCK_XLATE_POINT_…
	policy         string
	dstName        string
	http           *httpFlow
	dns            *dnsFlow
}

// httpFlow is the L7 part of a flow through the proxy.
type httpFlow struct {
	response bool
	method   string
	url      string
	code     int
	latency  int64
	trace    event.TraceID
	header   string // traceparent header kept by the exporter, empty for none
}

// dnsFlow is the L7 part of a lookup through the DNS proxy.
type dnsFlow struct {
	response bool
	query    string
	answer   netip.Addr
}

var worldEndpoint = []byte(`{"identity":2,"labels":["reserved:world"]}`)

// flow writes one Hubble record on a node and returns its id and time. The time
// is when the agent read its buffer, except for L7, where the proxy notes it.
func (w *world) flow(n *node, f *flow, background bool) (id event.ID, at event.Time, ok bool) {
	b := n.hubble.begin(w.outRNG.between(1*ms, 60*ms))
	if b == nil {
		return id, 0, false
	}
	id = w.outRNG.uuid()
	at = n.clock(w.s.now)
	b = append(b, `{"flow":{"time":"`...)
	b = appendTime(b, at)
	b = append(b, `","uuid":"`...)
	b = appendUUID(b, id)
	b = append(b, `","emitter":{"name":"Hubble","version":"1.19.1"},"verdict":"`...)
	switch {
	case f.dropped:
		b = append(b, `DROPPED","drop_reason":133,"drop_reason_desc":"POLICY_DENIED`...)
	case f.kind == flowSock && f.translation == preTranslation:
		b = append(b, `TRACED`...)
	case f.kind == flowSock:
		b = append(b, `TRANSLATED`...)
	default:
		b = append(b, `FORWARDED`...)
	}
	b = append(b, `","IP":{"source":"`...)
	b = f.src.Addr().AppendTo(b)
	b = append(b, `","destination":"`...)
	b = f.dst.Addr().AppendTo(b)
	b = append(b, `","ipVersion":"IPv4"},"l4":{"`...)
	if f.proto == event.ProtoUDP {
		b = append(b, `UDP":{`...)
	} else {
		b = append(b, `TCP":{`...)
	}
	if f.src.Port() != 0 {
		b = append(b, `"source_port":`...)
		b = append(strconv.AppendUint(b, uint64(f.src.Port()), 10), ',')
	}
	b = append(b, `"destination_port":`...)
	b = strconv.AppendUint(b, uint64(f.dst.Port()), 10)
	if f.flags != "" {
		b = append(b, `,"flags":{`...)
		b = append(append(b, f.flags...), '}')
	}
	b = append(b, `}},"source":`...)
	b = n.appendEndpoint(b, f.srcPod)
	b = append(b, `,"destination":`...)
	b = n.appendEndpoint(b, f.dstPod)
	b = append(b, `,"Type":"`...)
	switch f.kind {
	case flowSock:
		b = append(b, `SOCK"`...)
	case flowL7:
		b = append(b, `L7"`...)
	default:
		b = append(b, `L3_L4"`...)
	}
	b = append(b, `,"node_name":"`...)
	b = append(b, n.hubbleName...)
	b = append(b, '"')
	if f.dstName != "" {
		b = append(b, `,"destination_names":["`...)
		b = append(append(b, f.dstName...), `"]`...)
	}
	b = f.appendL7(b)
	if f.reply {
		b = append(b, `,"reply":true`...)
	}
	b = append(b, `,"event_type":{"type":`...)
	b = strconv.AppendInt(b, int64(f.kind), 10)
	b = append(b, `},"traffic_direction":"`...)
	if f.egress {
		b = append(b, `EGRESS"`...)
	} else {
		b = append(b, `INGRESS"`...)
	}
	if f.kind == flowVerdict {
		b = append(b, `,"policy_match_type":1`...)
	}
	if f.point != "" {
		b = append(b, `,"trace_observation_point":"`...)
		b = append(append(b, f.point...), '"')
	}
	if f.reply {
		b = append(b, `,"is_reply":true`...)
	} else if f.kind != flowSock {
		b = append(b, `,"is_reply":false`...)
	}
	if f.http != nil && !f.http.trace.IsZero() {
		b = append(b, `,"trace_context":{"parent":{"trace_id":"`...)
		b = append(appendHex(b, f.http.trace[:]), `"}}`...)
	}
	if f.kind == flowSock {
		b = append(b, `,"sock_xlate_point":"`...)
		b = append(b, f.translation...)
		b = append(b, `","socket_cookie":"`...)
		b = strconv.AppendUint(b, uint64(f.cookie), 10)
		b = append(b, `","cgroup_id":"`...)
		b = append(strconv.AppendUint(b, uint64(f.cgroup), 10), '"')
	}
	b = f.appendPolicy(b)
	b = append(b, `},"node_name":"`...)
	b = append(b, n.hubbleName...)
	b = append(b, `","time":"`...)
	b = appendTime(b, at)
	b = append(b, `"}`...)
	n.hubble.end(b, 1, background)
	return id, at, true
}

func (f *flow) appendPolicy(b []byte) []byte {
	if f.policy == "" {
		return b
	}
	side, what := `ingress`, `_allowed_by":[{"name":"`
	if f.egress {
		side = `egress`
	}
	if f.dropped {
		what = `_denied_by":[{"name":"`
	}
	b = append(append(append(b, `,"`...), side...), what...)
	b = append(b, f.policy...)
	return append(b, `","namespace":"agents","kind":"CiliumNetworkPolicy"}]`...)
}

func (f *flow) appendL7(b []byte) []byte {
	switch {
	case f.http != nil:
		h := f.http
		b = append(b, `,"l7":{"type":"`...)
		if h.response {
			b = append(b, `RESPONSE","latency_ns":"`...)
			b = strconv.AppendInt(b, h.latency, 10)
			b = append(b, `","http":{"code":`...)
			b = append(strconv.AppendInt(b, int64(h.code), 10), ',')
		} else {
			b = append(b, `REQUEST","http":{`...)
		}
		b = append(b, `"method":"`...)
		b = append(b, h.method...)
		b = append(b, `","url":"`...)
		b = append(b, h.url...)
		b = append(b, `","protocol":"HTTP/1.1"`...)
		if h.header != "" {
			b = append(b, `,"headers":[{"key":"traceparent","value":"`...)
			b = append(append(b, h.header...), `"}]`...)
		}
		b = append(b, `}}`...)
	case f.dns != nil:
		d := f.dns
		b = append(b, `,"l7":{"type":"`...)
		if d.response {
			b = append(b, `RESPONSE","latency_ns":"812345","dns":{"query":"`...)
		} else {
			b = append(b, `REQUEST","dns":{"query":"`...)
		}
		b = append(b, d.query...)
		b = append(b, `."`...)
		if d.response {
			b = append(b, `,"ips":["`...)
			b = d.answer.AppendTo(b)
			b = append(b, `"],"ttl":30,"observation_source":"proxy","qtypes":["A"],"rrtypes":["A"]}}`...)
		} else {
			b = append(b, `,"observation_source":"proxy","qtypes":["A"]}}`...)
		}
	}
	return b
}

// appendEndpoint writes a side of a flow as the node's agent knows it: its own
// endpoints with their id, others without, and the world.
func (n *node) appendEndpoint(b []byte, p *pod) []byte {
	switch {
	case p == nil:
		return append(b, worldEndpoint...)
	case p.node == n:
		return append(b, p.local...)
	}
	return append(b, p.peer...)
}

const (
	preTranslation  = "SOCK_XLATE_POINT_PRE_DIRECTION_FWD"
	postTranslation = "SOCK_XLATE_POINT_POST_DIRECTION_FWD"
)

// TCP flags as Hubble renders them.
const (
	flagsSYN    = `"SYN":true`
	flagsSYNACK = `"SYN":true,"ACK":true`
	flagsPSHACK = `"PSH":true,"ACK":true`
	flagsFINACK = `"FIN":true,"ACK":true`
	flagsRST    = `"RST":true`
)
