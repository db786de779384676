package simulate

import (
	"fmt"

	"github.com/sennit-io/sennit/schemas/event"
)

// The cluster's objects are written as watch events, the form in which the API
// server hands them out.

func (w *world) writePod(p *pod, change string) {
	b := w.k8s.begin(w.outRNG.between(1*ms, 40*ms))
	created := string(appendTime(nil, event.Time(p.created)))
	deletion := ""
	if change == "DELETED" {
		deletion = fmt.Sprintf(`,"deletionTimestamp":%q,"deletionGracePeriodSeconds":0`, appendTime(nil, event.Time(w.s.now)))
	}
	b = fmt.Appendf(b, `{"type":%q,"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":%q,"uid":%q,"creationTimestamp":%q%s,"labels":{"app":%q},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":%q,"uid":%q,"controller":true}]},`,
		change, p.name, p.svc.namespace, p.uid, created, deletion, p.svc.name, p.name[:len(p.name)-6], p.uid)
	b = fmt.Appendf(b, `"spec":{"nodeName":%q,"serviceAccountName":%q,"containers":[{"name":%q,"image":"registry.example.com/%s:1.4.2"}]},`,
		p.node.name, p.svc.name, p.svc.name, p.svc.name)
	b = fmt.Appendf(b, `"status":{"phase":"Running","hostIP":%q,"podIP":%q,"podIPs":[{"ip":%q}],"startTime":%q,"containerStatuses":[{"name":%q,"containerID":"containerd://%s","ready":true}]}}}`,
		p.node.ip, p.ip, p.ip, created, p.svc.name, p.container)
	w.k8s.end(b, 1, true)
}

func (w *world) writeService(svc *service) {
	b := w.k8s.begin(w.outRNG.between(1*ms, 40*ms))
	b = fmt.Appendf(b, `{"type":"ADDED","object":{"apiVersion":"v1","kind":"Service","metadata":{"name":%q,"namespace":%q,"uid":"%s","creationTimestamp":%q},"spec":{"type":"ClusterIP","clusterIP":%q,"clusterIPs":[%q],"selector":{"app":%q},"ports":[{"name":"http","port":%d,"targetPort":%d,"protocol":"TCP"}]}}}`,
		svc.name, svc.namespace, appendUUID(nil, w.rng.uuid()), appendTime(nil, event.Time(w.s.now)),
		svc.cluster.Addr(), svc.cluster.Addr(), svc.name, svc.cluster.Port(), svc.port)
	w.k8s.end(b, 1, true)
}

func (w *world) writeEndpoints(svc *service, change string) {
	b := w.k8s.begin(w.outRNG.between(1*ms, 40*ms))
	b = fmt.Appendf(b, `{"type":%q,"object":{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"%s-1","namespace":%q,"creationTimestamp":%q,"labels":{"kubernetes.io/service-name":%q}},"addressType":"IPv4","ports":[{"name":"http","port":%d,"protocol":"TCP"}],"endpoints":[`,
		change, svc.name, svc.namespace, appendTime(nil, event.Time(w.s.now)), svc.name, svc.port)
	first := true
	for _, p := range svc.pods {
		if p.draining {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = fmt.Appendf(b, `{"addresses":[%q],"conditions":{"ready":true},"nodeName":%q,"targetRef":{"kind":"Pod","name":%q,"namespace":%q,"uid":%q}}`,
			p.ip, p.node.name, p.name, svc.namespace, p.uid)
	}
	b = append(b, `]}}`...)
	w.k8s.end(b, 1, true)
}
