package k8s

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
)

const podJSON = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"invoice-agent-5d4f8c7b9-x2x7q","namespace":"agents","uid":"7d1a3f0e","creationTimestamp":"2026-11-23T05:59:50Z",
"labels":{"app":"invoice-agent","pod-template-hash":"5d4f8c7b9"},"annotations":{"note":"{\"kind\":\"Service\"}"},
"ownerReferences":[{"apiVersion":"v1","kind":"Thing","name":"t"},{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"invoice-agent-5d4f8c7b9","uid":"u","controller":true}],
"managedFields":[{"manager":"kubelet","time":"2026-11-23T06:01:00Z","fieldsV1":{"f:status":{}}}]},
"spec":{"nodeName":"gke-node-1","serviceAccountName":"agent","hostNetwork":false,"containers":[{"name":"agent","image":"x","env":[{"name":"KEY","value":"secret"}]}]},
"status":{"phase":"Running","podIP":"10.20.0.7","podIPs":[{"ip":"10.20.0.7"},{"ip":"fd00::7"}],"startTime":"2026-11-23T06:00:00Z",
"conditions":[{"type":"Ready","lastTransitionTime":"2026-11-23T06:00:09Z"}],
"initContainerStatuses":[{"name":"init","containerID":"containerd://aaaa","state":{"terminated":{"finishedAt":"2026-11-23T06:00:05Z"}}}],
"containerStatuses":[{"name":"agent","containerID":"containerd://551e161c47d8ff0e","state":{"running":{"startedAt":"2026-11-23T06:00:06Z"}}}]}}`

const serviceJSON = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"invoice","namespace":"agents","creationTimestamp":"2026-11-23T05:00:00Z"},
"spec":{"clusterIP":"10.30.0.9","clusterIPs":["10.30.0.9","fd00::9"],"externalIPs":["1.2.3.4"],"ports":[{"name":"http","port":80,"targetPort":8080},{"port":443,"targetPort":"https"}]},
"status":{"loadBalancer":{"ingress":[{"ip":"35.1.2.3"},{"hostname":"lb.example.com"}]}}}`

const sliceJSON = `{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","addressType":"IPv4","metadata":{"name":"invoice-abc","namespace":"agents","creationTimestamp":"2026-11-23T05:00:00Z",
"labels":{"kubernetes.io/service-name":"invoice"},"annotations":{"endpoints.kubernetes.io/last-change-trigger-time":"2026-11-23T06:00:10Z"}},
"endpoints":[{"addresses":["10.20.0.7"],"conditions":{"ready":true}},{"addresses":["10.20.0.8"],"conditions":{"ready":false}}],"ports":[{"port":8080},{"port":8443}]}`

func at(t *testing.T, clock string) event.Time {
	t.Helper()
	std, err := time.Parse(time.RFC3339, "2026-11-23T"+clock+"Z")
	if err != nil {
		t.Fatal(err)
	}
	return event.At(std)
}

func decode(t *testing.T, text string) []event.Event {
	t.Helper()
	var d Decoder
	var b event.Batch
	tally, err := d.Decode([]byte(text), &b)
	if err != nil || tally != (ingest.Tally{In: len(b.Events)}) {
		t.Fatalf("%s: %+v, %d events, %v", text, tally, len(b.Events), err)
	}
	return b.Events
}

func wantPod(t *testing.T) *event.Pod {
	return &event.Pod{
		Workload:   event.Workload{Namespace: "agents", Pod: "invoice-agent-5d4f8c7b9-x2x7q", PodUID: "7d1a3f0e", Node: "gke-node-1"},
		IPs:        []netip.Addr{netip.MustParseAddr("10.20.0.7"), netip.MustParseAddr("fd00::7")},
		Containers: []event.Container{{Name: "init", ID: "aaaa"}, {Name: "agent", ID: "551e161c47d8ff0e"}},
		Owner:      "Deployment/invoice-agent", ServiceAccount: "agent", ValidFrom: at(t, "06:00:00"),
	}
}

func TestPod(t *testing.T) {
	e := decode(t, podJSON)[0]
	if e.Kind != event.KindPod || e.Source != event.SourceK8s || e.Node != "gke-node-1" || e.Time != at(t, "06:00:00") || e.ID.IsZero() {
		t.Errorf("head %+v", e)
	}
	if diff := cmp.Diff(wantPod(t), e.Payload, eventtest.Equal); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

// The interval of a pod, as each way of seeing it tells.
func TestPodInterval(t *testing.T) {
	f := func(text, from, to, eventTime string) {
		t.Helper()
		e := decode(t, text)[0]
		p := e.Payload.(*event.Pod)
		want := event.Time(0)
		if to != "" {
			want = at(t, to)
		}
		if p.ValidFrom != at(t, from) || p.ValidTo != want || e.Time != at(t, eventTime) {
			t.Errorf("from %v to %v at %v, want %s, %s, %s", p.ValidFrom, p.ValidTo, e.Time, from, to, eventTime)
		}
	}
	watch := func(what, extra, object string) string {
		return `{"object":` + object + extra + `,"type":"` + what + `"}`
	}
	ending := strings.Replace(podJSON, `"uid":`, `"deletionTimestamp":"2026-11-23T06:30:30Z","deletionGracePeriodSeconds":30,"uid":`, 1)
	finished := strings.Replace(strings.Replace(podJSON, `"Running"`, `"Succeeded"`, 1), `"running":{"startedAt":"2026-11-23T06:00:06Z"}`, `"terminated":{"finishedAt":"2026-11-23T06:20:00Z"}`, 1)
	f(podJSON, "06:00:00", "", "06:00:00")
	f(strings.Replace(podJSON, `"startTime"`, `"x"`, 1), "05:59:50", "", "05:59:50")
	f(ending, "06:00:00", "06:30:30", "06:00:00")
	f(finished, "06:00:00", "06:20:00", "06:00:00")
	f(watch("ADDED", "", podJSON), "06:00:00", "", "06:00:00")
	f(watch("MODIFIED", `,"time":"2026-11-23T06:10:00Z"`, podJSON), "06:00:00", "", "06:10:00")
	f(watch("DELETED", "", podJSON), "06:00:00", "06:01:00", "06:01:00") // last seen alive
	f(watch("DELETED", "", ending), "06:00:00", "06:30:30", "06:30:30")
	f(watch("DELETED", "", finished), "06:00:00", "06:20:00", "06:20:00")
	f(watch("DELETED", `,"time":"2026-11-23T06:30:05Z"`, ending), "06:00:00", "06:30:05", "06:30:05")
	f(watch("DELETED", `,"time":"2026-11-23T06:40:00Z"`, podJSON), "06:00:00", "06:40:00", "06:40:00")
}

func TestService(t *testing.T) {
	addrs := func(list ...string) (out []netip.Addr) {
		for _, a := range list {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	f := func(text string, want event.Service) {
		t.Helper()
		e := decode(t, text)[0]
		if diff := cmp.Diff(&want, e.Payload, eventtest.Equal); diff != "" || e.Kind != event.KindService {
			t.Errorf("%v (-want +got):\n%s", e.Kind, diff)
		}
	}
	want := event.Service{Namespace: "agents", Name: "invoice", IPs: addrs("10.30.0.9", "fd00::9", "1.2.3.4", "35.1.2.3"), Ports: []uint16{80, 443}, ValidFrom: at(t, "05:00:00")}
	f(serviceJSON, want)
	f(strings.Replace(serviceJSON, `"apiVersion":"v1",`, "", 1), want)
	headless := want
	headless.IPs = addrs("1.2.3.4", "35.1.2.3")
	f(strings.NewReplacer(`"clusterIP":"10.30.0.9"`, `"clusterIP":"None"`, `["10.30.0.9","fd00::9"]`, `["None"]`).Replace(serviceJSON), headless)

	ap := netip.MustParseAddrPort
	slice := event.Service{
		Namespace: "agents", Name: "invoice", ValidFrom: at(t, "05:00:00"),
		Endpoints: []netip.AddrPort{ap("10.20.0.7:8080"), ap("10.20.0.7:8443"), ap("10.20.0.8:8080"), ap("10.20.0.8:8443")},
	}
	f(sliceJSON, slice)
	f(strings.Replace(sliceJSON, `"labels":{"kubernetes.io/service-name":"invoice"}`, `"ownerReferences":[{"kind":"Service","name":"invoice"}]`, 1), slice)
	slice.ValidFrom = at(t, "06:00:10")
	f(`{"type":"MODIFIED","object":`+sliceJSON+`}`, slice)
}

func TestLists(t *testing.T) {
	item := strings.Replace(podJSON, `"apiVersion":"v1","kind":"Pod",`, "", 1)
	f := func(text string, want ingest.Tally, kinds ...event.Kind) {
		t.Helper()
		var d Decoder
		var b event.Batch
		got, err := d.Decode([]byte(text), &b)
		if got != want || got.In != len(b.Events)+got.Bad+got.UnknownType || (err == nil) != (got.Bad+got.UnknownType == 0) ||
			errors.Is(err, ingest.ErrUnknownType) != (got.Bad == 0 && got.UnknownType > 0) {
			t.Errorf("%.80s: %+v, %d events, %v; want %+v", text, got, len(b.Events), err, want)
		}
		for i, k := range kinds {
			if b.Events[i].Kind != k {
				t.Errorf("%.80s: event %d is a %v, want %v", text, i, b.Events[i].Kind, k)
			}
		}
	}
	f(`{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[`+item+`,`+item+`]}`, ingest.Tally{In: 2}, event.KindPod, event.KindPod)
	f(`{"apiVersion":"v1","items":[`+podJSON+`,`+serviceJSON+`,`+sliceJSON+`],"kind":"List"}`, ingest.Tally{In: 3}, event.KindPod, event.KindService, event.KindService)
	f(`{"apiVersion":"v1","items":[{"kind":"Node","apiVersion":"v1"},`+podJSON+`,{"kind":"Pod","status":{"podIP":"x"}}],"kind":"List"}`, ingest.Tally{In: 3, Bad: 1, UnknownType: 1}, event.KindPod)
	f(`{"apiVersion":"v1","items":[],"kind":"List"}`, ingest.Tally{})
	f(`{"apiVersion":"v1","items":[`+podJSON+`,`, ingest.Tally{In: 1, Bad: 1})
	f(`{"kind":"List","items":[{}]}`, ingest.Tally{In: 1, UnknownType: 1})
}

func TestRefused(t *testing.T) {
	var d Decoder
	f := func(text, want string, unknown bool) {
		t.Helper()
		var b event.Batch
		tally, err := d.Decode([]byte(text), &b)
		wantTally := ingest.Tally{In: 1, Bad: 1}
		if unknown {
			wantTally = ingest.Tally{In: 1, UnknownType: 1}
		}
		if err == nil || errors.Is(err, ingest.ErrUnknownType) != unknown || !strings.Contains(err.Error(), want) || tally != wantTally || len(b.Events) != 0 {
			t.Errorf("%s: %+v, %d events, %v; want %q", text, tally, len(b.Events), err, want)
		}
	}
	f(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata"}`, `"Event" of "audit.k8s.io/v1"`, true)
	f(`{"kind":"Service","apiVersion":"serving.knative.dev/v1"}`, "knative", true)
	f(`{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1"}`, "no service", true)
	f(`{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1"}}`, "BOOKMARK", true)
	f(`{"type":"ADDED","object":{"kind":"Node","apiVersion":"v1"}}`, "Node", true)
	f(`{}`, "no Kubernetes object", true)
	f(`{"kind":7}`, "no Kubernetes object", true)
	f(`"text"`, "no Kubernetes object", true)
	f(`{"kind":"Pod"`, "unexpected end", false)
	f(`{"kind":"Pod","apiVersion":"v1","status":{"podIP":"nowhere"}}`, "IP address", false)
	f(`{"kind":"Pod","apiVersion":"v1","metadata":[]}`, "want an object", false)
	f(`{"type":"ADDED","object":{"kind":"Pod","metadata":{"creationTimestamp":"now"}}}`, "RFC 3339", false)
	f(`{"kind":"Service","spec":{"ports":[{"port":70000}]}}`, "16 bits", false)
	f(``, "not valid JSON", false)
}

// What has not changed is the same event, what has is another.
func TestIDs(t *testing.T) {
	seen := map[event.ID]string{}
	for _, text := range []string{
		podJSON, strings.Replace(podJSON, "fd00::7", "fd00::8", 1), strings.Replace(podJSON, "7d1a3f0e", "7d1a3f0f", 1), strings.Replace(podJSON, "551e", "551f", 1),
		serviceJSON, strings.Replace(serviceJSON, "443", "444", 1), sliceJSON, strings.Replace(sliceJSON, "10.20.0.8", "10.20.0.9", 1),
		`{"type":"DELETED","object":` + podJSON + `}`,
	} {
		id := decode(t, text)[0].ID
		if other, ok := seen[id]; ok {
			t.Errorf("one id for\n%s\n%s", text, other)
		}
		seen[id] = text
	}
	spaced := strings.NewReplacer(",\n", ",", `":`, `": `).Replace(podJSON)
	if decode(t, `{"kind":"List","items":[`+spaced+`]}`)[0].ID != decode(t, podJSON)[0].ID {
		t.Error("the id of an object depends on where it stands")
	}
}

func TestOwners(t *testing.T) {
	f := func(owners, want string) {
		t.Helper()
		text := `{"kind":"Pod","metadata":{"labels":{"pod-template-hash":"5d4f"},"ownerReferences":[` + owners + `]}}`
		if got := decode(t, text)[0].Payload.(*event.Pod).Owner; got != want {
			t.Errorf("%s: owner %q, want %q", owners, got, want)
		}
	}
	f(``, "")
	f(`{"kind":"ReplicaSet","name":"web-5d4f"}`, "Deployment/web")
	f(`{"kind":"ReplicaSet","name":"web-5d4e"}`, "ReplicaSet/web-5d4e")
	f(`{"kind":"ReplicaSet","name":"5d4f"}`, "ReplicaSet/5d4f")
	f(`{"kind":"StatefulSet","name":"db"}`, "StatefulSet/db")
	f(`{"kind":"A","name":"a"},{"kind":"B","name":"b","controller":true},{"kind":"C","name":"c","controller":true}`, "B/b")
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		podJSON, serviceJSON, sliceJSON, `{"type":"DELETED","time":"2026-11-23T06:40:00Z","object":` + podJSON + `}`,
		`{"kind":"PodList","items":[` + podJSON + `,{}]}`, `{"kind":"List","items":[null,1,"a",[]]}`, `null`, `{"kind":"L\u0069st","items":[]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var d Decoder
		var b event.Batch
		tally, err := d.Decode(in, &b)
		if tally.In != len(b.Events)+tally.Bad+tally.UnknownType || (err == nil) != (tally.Bad+tally.UnknownType == 0) {
			t.Fatalf("%q: %+v, %d events, %v", in, tally, len(b.Events), err)
		}
		if err != nil && errors.Is(err, ingest.ErrUnknownType) != (tally.Bad == 0) {
			t.Fatalf("%q: %+v, %v", in, tally, err)
		}
		var again event.Batch
		d.Decode(in, &again)
		if diff := cmp.Diff(b.Events, again.Events, eventtest.Equal); diff != "" {
			t.Fatalf("%q: a used decoder reads it otherwise:\n%s", in, diff)
		}
		for i := range b.Events {
			if p, ok := b.Events[i].Payload.(*event.Pod); ok && p.ValidTo != 0 && d.watch.deleted && p.ValidTo < p.ValidFrom {
				t.Fatalf("%q: ended before it began: %+v", in, p)
			}
		}
	})
}

func TestDecodeAllocatesNothing(t *testing.T) {
	for _, text := range []string{podJSON, serviceJSON, sliceJSON, `{"kind":"List","items":[` + podJSON + `,` + podJSON + `]}`} {
		var d Decoder
		var b event.Batch
		in := []byte(text)
		if n := testing.AllocsPerRun(100, func() { b.Reset(); d.Decode(in, &b) }); n != 0 {
			t.Errorf("%v allocations, want 0: %.60s", n, text)
		}
	}
}
