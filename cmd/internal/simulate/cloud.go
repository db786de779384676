package simulate

import (
	"fmt"
	"strconv"

	"github.com/sennit-io/sennit/schemas/event"
)

// edgeEntry is one request as the load balancer logs it.
type edgeEntry struct {
	r        *request
	start    int64
	status   int
	backend  *pod // nil: none was asked
	trace    event.TraceID
	span     event.SpanID
	details  string
	denied   string // the preconfigured rule that matched
	reqSize  uint64
	respSize uint64
}

// logEdge writes a load balancer's log entry. Its timestamp is the arrival of
// the request; how long it took is a field of its own.
func (w *world) logEdge(e *edgeEntry) {
	f := e.r.fact(kindEdge, nil)
	e.r.logged = true
	b := w.cloud.begin(w.outRNG.between(480*ms, 1790*ms))
	id := strconv.FormatUint(w.outRNG.r.Uint64(), 36)
	f.insertID = id
	f.start, f.end = event.Time(e.start), event.Time(w.s.now)
	b = append(b, `{"httpRequest":{"latency":"`...)
	b = strconv.AppendFloat(b, float64((w.s.now-e.start)/1000)/1e6, 'f', 6, 64)
	b = append(b, `s","remoteIp":"`...)
	b = e.r.client.AppendTo(b)
	b = append(b, `","requestMethod":"`...)
	b = append(b, e.r.method...)
	b = append(b, `","requestSize":"`...)
	b = strconv.AppendUint(b, e.reqSize, 10)
	b = append(b, `","requestUrl":"https://agents.example.com`...)
	b = append(b, e.r.path...)
	b = append(b, `","responseSize":"`...)
	b = strconv.AppendUint(b, e.respSize, 10)
	if e.backend != nil {
		b = append(b, `","serverIp":"`...)
		b = e.backend.ip.AppendTo(b)
	}
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(e.status), 10)
	b = append(b, `,"userAgent":"sennit-simulate/1"},"insertId":"`...)
	b = append(b, id...)
	b = append(b, `","jsonPayload":{"@type":"type.googleapis.com/google.cloud.loadbalancing.type.LoadBalancerLogEntry","backendTargetProjectNumber":"projects/100000000001","cacheDecision":["CACHE_MODE_USE_ORIGIN_HEADERS"],"enforcedSecurityPolicy":{"configuredAction":"`...)
	if e.denied != "" {
		b = append(b, `DENY","name":"armor-agents","outcome":"DENY","preconfiguredExprIds":["`...)
		b = append(b, e.denied...)
		b = append(b, `"],"priority":1000`...)
	} else {
		b = append(b, `ALLOW","name":"armor-agents","outcome":"ACCEPT","priority":2147483647`...)
	}
	b = append(b, `},"remoteIp":"`...)
	b = e.r.client.AppendTo(b)
	b = append(b, `","statusDetails":"`...)
	b = append(b, e.details...)
	b = append(b, `","tls":{"cipher":"TLS_AES_128_GCM_SHA256","protocol":"TLSv1.3"}},"logName":"projects/sim/logs/requests","receiveTimestamp":"`...)
	b = appendTime(b, event.Time(w.cloud.at))
	b = append(b, `","resource":{"labels":{"backend_service_name":"gateway","forwarding_rule_name":"agents-fr","project_id":"sim","target_proxy_name":"agents-proxy","url_map_name":"agents","zone":"global"},"type":"http_load_balancer"},"severity":"`...)
	if e.status >= 400 {
		b = append(b, `WARNING`...)
	} else {
		b = append(b, `INFO`...)
	}
	b = append(b, `","spanId":"`...)
	b = appendHex(b, e.span[:])
	b = append(b, `","timestamp":"`...)
	b = appendTime(b, event.Time(e.start))
	b = append(b, `","trace":"projects/sim/traces/`...)
	b = appendHex(b, e.trace[:])
	b = append(b, `"}`...)
	f.event = w.ids.of(&w.ids.gcp, b)
	w.cloud.end(b, 1, false)
}

// logPolicy writes one line of a node's policy_action.log.
func (w *world) logPolicy(e *end, allow bool, background bool) {
	n := e.pod.node
	b := n.policy.begin(w.outRNG.between(100*ms, 900*ms))
	if b == nil {
		return
	}
	b = append(b, `{"connection":{"src_ip":"`...)
	b = e.local.Addr().AppendTo(b)
	b = append(b, `","dest_ip":"`...)
	b = e.remote.Addr().AppendTo(b)
	b = append(b, `","src_port":`...)
	b = strconv.AppendUint(b, uint64(e.local.Port()), 10)
	b = append(b, `,"dest_port":`...)
	b = strconv.AppendUint(b, uint64(e.remote.Port()), 10)
	b = append(b, `,"protocol":"tcp","direction":"egress"},"disposition":"`...)
	if allow {
		b = append(b, `allow","policies":[{"name":"allow-mesh","namespace":"agents","kind":"NetworkPolicy"}]`...)
	} else {
		b = append(b, `deny"`...)
	}
	b = fmt.Appendf(b, `,"src":{"pod_name":%q,"workload_kind":"Deployment","workload_name":%q,"pod_namespace":%q,"namespace":%q},"dest":{"instance":"`,
		e.pod.name, e.pod.svc.name, e.pod.svc.namespace, e.pod.svc.namespace)
	b = e.remote.Addr().AppendTo(b)
	b = append(b, `"},"count":1,"node_name":"`...)
	b = append(b, n.name...)
	b = append(b, `","timestamp":"`...)
	b = appendTime(b, n.clock(w.s.now))
	b = append(b, `"}`...)
	n.policy.end(b, 1, background)
}
