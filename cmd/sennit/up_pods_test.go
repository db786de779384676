package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sennit-io/sennit/ingest/k8s/apitest"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// claiming is request(n) of a pod that says its name and node.
func claiming(n int, pod, node string) []byte {
	attribute := func(key, value string) string {
		if value == "" {
			return ""
		}
		return fmt.Sprintf(`{"key":%q,"value":{"stringValue":%q}},`, key, value)
	}
	more := attribute("k8s.pod.name", pod) + attribute("k8s.node.name", node)
	if pod != "" {
		more += attribute("k8s.namespace.name", "shop")
	}
	return bytes.Replace(request(n), []byte(`"resource":{"attributes":[`), []byte(`"resource":{"attributes":[`+more), 1)
}

// postFrom sends spans from an address of this machine and returns how many were
// rejected, all if the request was.
func postFrom(t *testing.T, ip, to string, body []byte) int {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 5 * time.Second}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	r, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Post("http://"+to+"/v1/traces", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		PartialSuccess struct {
			RejectedSpans json.Number `json:"rejectedSpans"`
		} `json:"partialSuccess"`
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", r.Status, err)
	}
	n, _ := answer.PartialSuccess.RejectedSpans.Int64()
	return int(n)
}

func podOf(node, name, ip, owner string) *corev1.Pod {
	start := metav1.NewTime(time.Now().Add(-time.Hour))
	namespace := "shop"
	if owner != "" {
		namespace = "monitoring"
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: types.UID("uid-" + name), CreationTimestamp: start,
			OwnerReferences: []metav1.OwnerReference{{Kind: "DaemonSet", Name: owner, Controller: new(true)}},
		},
		Spec:   corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &start, PodIP: ip},
	}
}

// A span that arrives from one pod and claims another is refused and counted; a
// collector that is trusted may send those of all pods. Pods are on addresses of
// this machine.
func TestUpProvesPods(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	api := apitest.New("secret")
	defer api.Close()
	api.Put(podOf("n1", "x", "127.0.0.2", ""))
	api.Put(podOf("n1", "y", "127.0.0.3", ""))
	api.Put(podOf("n2", "collector-abcde", "127.0.0.9", "collector"))
	ca, token := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "token")
	for file, text := range map[string][]byte{ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}), token: []byte("secret\n")} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := startUp(t, dir, "--pods", "api", "--pods-url", api.URL, "--pods-ca", ca, "--pods-token-file", token, "--otlp-trust", "monitoring/DaemonSet/collector")
	defer s.kill(t)
	s.metric(t, "sennit_pods 3")
	s.metric(t, `sennit_source_up{source="k8s"} 1`)

	forged := 0
	f := func(n int, from, pod, node string, rejected int) {
		t.Helper()
		forged += rejected
		if got := postFrom(t, from, s.otlp, claiming(n, pod, node)); got != rejected {
			t.Errorf("%d: from %s as %q on %q: %d rejected, want %d", n, from, pod, node, got, rejected)
		}
	}
	f(1, "127.0.0.2", "x", "", 0)
	f(2, "127.0.0.2", "", "", 0)
	f(3, "127.0.0.2", "y", "", 3)
	f(4, "127.0.0.2", "x", "n2", 3)
	f(5, "127.0.0.4", "x", "", 3) // an address of nobody
	f(6, "127.0.0.9", "y", "", 0)
	f(7, "127.0.0.9", "x", "n2", 3) // a collector does not move pods
	f(8, "127.0.0.9", "unknown", "n7", 0)

	api.Delete("shop", "y")
	api.Put(podOf("n1", "z", "127.0.0.3", ""))
	s.metric(t, "sennit_pods 4")
	f(9, "127.0.0.3", "y", "", 3)
	f(10, "127.0.0.3", "z", "n1", 0)
	s.metric(t, fmt.Sprintf(`sennit_records_total{source="otlp",what="forged"} %d`, forged))
	s.metric(t, fmt.Sprintf(`sennit_records_total{source="otlp",what="in"} %d`, 3*10))
	// Three pods, the end of one and the beginning of another.
	s.metric(t, `sennit_records_total{source="k8s",what="events"} 5`)

	path := filepath.Join(dir, "timelines.jsonl")
	waitFor(t, path, 5)
	_, last := readTimelines(t, path)
	for n, want := range map[int]timeline.Workload{
		1:  {Namespace: "shop", Pod: "x", Node: "n1", Proof: "socket"},
		2:  {Namespace: "shop", Pod: "x", Node: "n1", Proof: "socket"},
		6:  {Namespace: "shop", Pod: "y", Node: "n1", Proof: "claimed"},
		8:  {Namespace: "shop", Pod: "unknown", Proof: "claimed"}, // its node is a mere claim
		10: {Namespace: "shop", Pod: "z", Node: "n1", Proof: "socket"},
	} {
		tl := last[fmt.Sprintf("%032x", n+1)]
		if tl == nil {
			t.Errorf("no timeline of %d", n)
			continue
		}
		if want.Service = "agent"; tl.Workload != want {
			t.Errorf("%d: %+v, want %+v", n, tl.Workload, want)
		}
	}
	if len(last) != 5 {
		t.Errorf("%d timelines, want 5", len(last))
	}
}

// What cannot be is refused with what to do.
func TestUpRefusesPods(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "pods.json")
	if err := os.WriteFile(empty, []byte(`{"kind":"Pod"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--otlp-trust is of --pods":              {"--otlp-trust", "10.0.0.1"},
		"is no address, network or NAMESPACE":    {"--pods", "api", "--otlp-trust", "collector"},
		"are of --pods api and --pods kubelet":   {"--pods", empty, "--pods-url", "https://127.0.0.1:6443"},
		"this runs in no pod of Kubernetes":      {"--pods", "api"},
		"it is no list of pods":                  {"--pods", empty},
		"a token is not sent in plain text":      {"--pods", "kubelet", "--pods-url", "http://127.0.0.1:10255", "--pods-token-file", empty},
		"read the file of pods: stat /nonexiste": {"--pods", "/nonexistent/pods.json"},
	} {
		if said := startRefused(t, append([]string{"up", "--data", filepath.Join(dir, "data"), "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", ""}, args...)...); !strings.Contains(said, want) {
			t.Errorf("%v: %s, want %q", args, said, want)
		}
	}
}
