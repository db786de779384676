package watch

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/k8s/apitest"
	"github.com/sennit-io/sennit/ingest/k8s/pods"
	"github.com/sennit-io/sennit/schemas/event"
)

var born = metav1.NewTime(time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC))

// pod is a running one; its container's id is made of its uid.
func pod(node, name, ip string) *corev1.Pod {
	uid := types.UID("uid-" + name)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: name, UID: uid, CreationTimestamp: born,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "agent", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{NodeName: node, ServiceAccountName: "agent", Containers: []corev1.Container{{Name: "main"}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &born, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "main", ContainerID: "containerd://" + string(uid)}},
		},
	}
}

// run is a source at work.
type run struct {
	pods pods.Directory

	mu     sync.Mutex
	busy   bool
	events []event.Pod
	heads  []event.Event
	states []error
	bad    ingest.Tally
}

func (r *run) config(node string) Config {
	return Config{
		Node: node, Cluster: "c1", Directory: &r.pods,
		Connected: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.states = append(r.states, err)
		},
		Records: func(t ingest.Tally, _ error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.bad.Add(t)
		},
	}
}

func (r *run) start(t *testing.T, s *Source, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- s.Run(ctx, func(_ context.Context, b *event.Batch) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.busy {
				return ingest.ErrBusy
			}
			for i := range b.Events {
				e := b.Events[i]
				p := *e.Payload.(*event.Pod)
				p.IPs, p.Containers = append([]netip.Addr(nil), p.IPs...), append([]event.Container(nil), p.Containers...)
				r.events, r.heads = append(r.events, p), append(r.heads, e)
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// last is the newest event of a pod.
func (r *run) last(name string) (p event.Pod, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.events {
		if r.events[i].Workload.Pod == name {
			p, n = r.events[i], n+1
		}
	}
	return p, n
}

func (r *run) state() (n int, last error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n = len(r.states); n > 0 {
		last = r.states[n-1]
	}
	return n, last
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (r *run) at(ip string) string {
	if p := r.pods.At(netip.MustParseAddr(ip)); p != nil && p.ValidTo == 0 {
		return p.Workload.Pod
	}
	return ""
}

// trust writes what a client of the server needs.
func trust(t *testing.T, s *httptest.Server, token string) Connection {
	t.Helper()
	c := Connection{URL: s.URL, CA: filepath.Join(t.TempDir(), "ca.crt"), TokenFile: filepath.Join(t.TempDir(), "token")}
	if err := os.WriteFile(c.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.TokenFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// The pods of one node are followed through changes, moves, ends, dropped watches,
// expired versions and a server that is away, with and without initial events.
func TestAPI(t *testing.T) {
	f := func(t *testing.T, old bool) {
		server := apitest.New("secret")
		server.NoInitialEvents = old
		defer server.Close()
		server.Put(pod("n1", "agent-0", "10.0.0.1"))
		server.Put(pod("n2", "agent-1", "10.0.0.2"))
		var r run
		s, err := API(r.config("n1"), trust(t, server.Server, "secret"))
		r.start(t, s, err)
		eventually(t, "the pod that is there", func() bool { _, n := r.last("agent-0"); return n == 1 })
		p, _ := r.last("agent-0")
		if want := (event.Workload{Cluster: "c1", Namespace: "shop", Pod: "agent-0", PodUID: "uid-agent-0", Node: "n1"}); p.Workload != want ||
			p.Owner != "StatefulSet/agent" || p.ServiceAccount != "agent" || p.ValidFrom != event.At(born.Time) || p.ValidTo != 0 || len(p.IPs) != 1 {
			t.Errorf("got %+v", p)
		}
		if w, ok := r.pods.Of(pods.Container{ID: "uid-agent-0"}); !ok || w.Pod != "agent-0" || w.Container != "main" {
			t.Errorf("its container: %+v, %v", w, ok)
		}
		if old != (server.Count("list") > 0) || old == (server.Count("initial") > 0) {
			t.Errorf("%d lists, %d initial", server.Count("list"), server.Count("initial"))
		}

		server.Put(pod("n1", "agent-2", "10.0.0.3"))
		eventually(t, "a new pod", func() bool { return r.at("10.0.0.3") == "agent-2" })
		server.Put(pod("n1", "agent-2", "10.0.0.33"))
		eventually(t, "its other address", func() bool { return r.at("10.0.0.33") == "agent-2" && r.at("10.0.0.3") == "" })

		watches := server.Count("watch")
		server.DropWatches()
		server.Put(pod("n1", "agent-3", "10.0.0.4"))
		eventually(t, "a pod after a dropped watch", func() bool { return r.at("10.0.0.4") == "agent-3" })
		if server.Count("gone") != 0 || server.Count("watch") <= watches {
			t.Errorf("%d watches, %d expired; a dropped watch goes on where it was", server.Count("watch"), server.Count("gone"))
		}

		// While nobody watches a pod ends, its address goes to another, and the
		// server forgets that it happened.
		before := time.Now()
		server.Delete("shop", "agent-0")
		server.Put(pod("n1", "agent-4", "10.0.0.1"))
		server.Forget()
		server.DropWatches()
		eventually(t, "the address's new pod", func() bool { return r.at("10.0.0.1") == "agent-4" })
		eventually(t, "the end of the old", func() bool { p, _ := r.last("agent-0"); return p.ValidTo != 0 })
		if p, _ := r.last("agent-0"); p.ValidTo < event.At(before) || p.ValidTo > event.At(time.Now()) {
			t.Errorf("it ended at %v", p.ValidTo)
		}

		server.Delete("shop", "agent-2")
		eventually(t, "an end that was seen", func() bool { p, _ := r.last("agent-2"); return p.ValidTo != 0 })
		if r.at("10.0.0.33") != "" || r.pods.At(netip.MustParseAddr("10.0.0.33")) == nil {
			t.Error("what has ended just now is known for a while")
		}
		if r.at("10.0.0.2") != "" {
			t.Error("a pod of another node is known")
		}
		if _, err := r.state(); err != nil {
			t.Errorf("state %v", err)
		}
		ids := map[event.ID]bool{}
		for i := range r.heads {
			h := &r.heads[i]
			if h.Kind != event.KindPod || h.Source != event.SourceK8s || h.Cluster != "c1" || h.Node != "n1" || h.Time < event.At(before)-60e9 || h.Observed == 0 || ids[h.ID] {
				t.Errorf("head %+v", h)
			}
			ids[h.ID] = true
		}
		if r.bad != (ingest.Tally{}) {
			t.Errorf("bad %+v", r.bad)
		}
	}
	t.Run("initial events", func(t *testing.T) { f(t, false) })
	t.Run("list", func(t *testing.T) { f(t, true) })
}

// More pods than fit a page, and all nodes.
func TestAPIOfAllNodes(t *testing.T) {
	server := apitest.New("secret")
	server.NoInitialEvents = true
	defer server.Close()
	const n = 1200 // a page has 500
	for i := range n {
		server.Put(pod(fmt.Sprintf("n%d", i%7), fmt.Sprintf("agent-%d", i), fmt.Sprintf("10.1.%d.%d", i/250, i%250)))
	}
	var r run
	s, err := API(r.config(""), trust(t, server.Server, "secret"))
	r.start(t, s, err)
	eventually(t, "all pods", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.events) == n })
	if known, refused := r.pods.Len(); known != n || refused != 0 {
		t.Errorf("%d known, %d refused", known, refused)
	}
}

// Who is not let in says so, and goes on when the token has been replaced.
func TestAPIToken(t *testing.T) {
	server := apitest.New("secret")
	defer server.Close()
	server.Put(pod("n1", "agent-0", "10.0.0.1"))
	var r run
	s, err := API(r.config("n1"), trust(t, server.Server, "old"))
	r.start(t, s, err)
	eventually(t, "a reason", func() bool { _, err := r.state(); return err != nil && strings.Contains(err.Error(), "Unauthorized") })
	server.Accept("old")
	eventually(t, "the pod", func() bool { return r.at("10.0.0.1") == "agent-0" })
	eventually(t, "all is well", func() bool { n, err := r.state(); return err == nil && n > 1 })
}

// While the sink is busy changes wait, and the newest is told.
func TestBusySink(t *testing.T) {
	server := apitest.New("secret")
	defer server.Close()
	var r run
	r.busy = true
	s, err := API(r.config("n1"), trust(t, server.Server, "secret"))
	r.start(t, s, err)
	for i := range 5 {
		server.Put(pod("n1", "agent-0", fmt.Sprintf("10.0.0.%d", i)))
	}
	eventually(t, "the last change", func() bool { return r.at("10.0.0.4") == "agent-0" })
	r.mu.Lock()
	r.busy = false
	r.mu.Unlock()
	eventually(t, "an event", func() bool { p, n := r.last("agent-0"); return n == 1 && p.IPs[0].String() == "10.0.0.4" })
}

// list is what a kubelet answers, or kubectl writes.
func list(t *testing.T, items ...*corev1.Pod) []byte {
	t.Helper()
	l := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	for _, p := range items {
		l.Items = append(l.Items, *p)
	}
	b, err := json.Marshal(&l)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A kubelet is asked over TLS with a token, again when something is not known, and
// what it says is believed only if it is a list.
func TestKubelet(t *testing.T) {
	var mu sync.Mutex
	answer, code, asked := list(t, pod("n1", "agent-0", "10.0.0.1")), http.StatusOK, 0
	set := func(text []byte, c int) {
		mu.Lock()
		defer mu.Unlock()
		answer, code = text, c
	}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked++
		if r.URL.Path != "/pods" || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(code)
		_, _ = w.Write(answer)
	}))
	defer server.Close()
	var r run
	s, err := Kubelet(r.config("n1"), trust(t, server, "secret"))
	r.start(t, s, err)
	eventually(t, "its pod", func() bool { return r.at("10.0.0.1") == "agent-0" })

	began := time.Now()
	set(list(t, pod("n1", "agent-0", "10.0.0.1"), pod("n1", "agent-1", "10.0.0.2")), http.StatusOK)
	eventually(t, "a pod that was asked for", func() bool { return r.at("10.0.0.2") == "agent-1" })
	if d := time.Since(began); d > pollEvery*3/4 {
		t.Errorf("it was found after %v", d)
	}
	for text, want := range map[string]string{`{"kind":"Status"}`: "no list of pods", `{"items":[`: "unexpected end", "x": "invalid"} {
		set([]byte(text), http.StatusOK)
		eventually(t, want, func() bool {
			r.at("10.9.9.9")
			_, err := r.state()
			return err != nil && strings.Contains(err.Error(), want)
		})
	}
	set(nil, http.StatusForbidden)
	eventually(t, "403", func() bool {
		r.at("10.9.9.9")
		_, err := r.state()
		return err != nil && strings.Contains(err.Error(), "nodes/pods")
	})
	if r.at("10.0.0.1") != "agent-0" {
		t.Error("what was known is forgotten while the kubelet is away")
	}
	set(list(t), http.StatusOK)
	eventually(t, "both ends", func() bool {
		r.at("10.9.9.9")
		a, _ := r.last("agent-0")
		b, _ := r.last("agent-1")
		return a.ValidTo != 0 && b.ValidTo != 0
	})
	if _, n := r.last("agent-0"); n != 2 {
		t.Errorf("a pod that did not change was told %d times", n-1)
	}
}

// The kubelet's certificate counts, and no token goes where it can be read.
func TestConnectionRefused(t *testing.T) {
	asked := make(chan string, 100)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("Authorization") }))
	defer server.Close()
	good := trust(t, server, "secret")
	f := func(want string, change func(*Connection)) {
		t.Helper()
		c := good
		change(&c)
		var r run
		s, err := Kubelet(r.config("n1"), c)
		if err == nil {
			r.start(t, s, nil)
			eventually(t, want, func() bool { _, err = r.state(); return err != nil })
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("certificate is valid for", func(c *Connection) { c.ServerName = "other-node" })
	f("unknown authority", func(c *Connection) { c.CA = "" })
	f("not sent in plain text", func(c *Connection) { c.URL = "http://127.0.0.1:10255" })
	f("is no URL of a kubelet", func(c *Connection) { c.URL = "127.0.0.1:10250" })
	f("read the token", func(c *Connection) { c.TokenFile += "x" })
	f("read the certificates to trust", func(c *Connection) { c.CA += "x" })
	if _, err := API(Config{Directory: &pods.Directory{}}, Connection{}); err == nil || !strings.Contains(err.Error(), "no pod of Kubernetes") {
		t.Errorf("got %v", err)
	}
	if len(asked) > 0 {
		t.Errorf("a server that is not trusted was shown %q", <-asked)
	}
}

// The read-only port of a kubelet needs neither.
func TestKubeletReadOnly(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a token was sent")
		}
		_, _ = w.Write(list(t, pod("n1", "agent-0", "10.0.0.1")))
	}))
	defer server.Close()
	var r run
	s, err := Kubelet(r.config("n1"), Connection{URL: server.URL})
	r.start(t, s, err)
	eventually(t, "its pod", func() bool { return r.at("10.0.0.1") == "agent-0" })
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pods.json")
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	var r run
	if _, err := File(r.config(""), path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	write([]byte(`{"kind":"Pod"}`))
	if _, err := File(r.config(""), path); err == nil || !strings.Contains(err.Error(), "no list of pods") {
		t.Errorf("of another: %v", err)
	}
	write(list(t, pod("n1", "agent-0", "10.0.0.1"), pod("n2", "agent-1", "10.0.0.2")))
	s, err := File(r.config(""), path)
	if err != nil || r.at("10.0.0.1") != "agent-0" || r.at("10.0.0.2") != "agent-1" {
		t.Fatalf("%v, %q", err, r.at("10.0.0.1"))
	}
	r.start(t, s, nil)
	eventually(t, "both", func() bool { _, a := r.last("agent-0"); _, b := r.last("agent-1"); return a == 1 && b == 1 })
	noUID := pod("n1", "agent-9", "10.0.0.9")
	noUID.UID = ""
	write([]byte(strings.Replace(string(list(t, pod("n2", "agent-1", "10.0.0.3"), noUID)), `"items":[`, `"items":[{"kind":"Node","apiVersion":"v1"},`, 1)))
	eventually(t, "the change", func() bool { return r.at("10.0.0.3") == "agent-1" && r.at("10.0.0.1") == "" })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bad != (ingest.Tally{In: 2, Bad: 1, UnknownType: 1}) {
		t.Errorf("bad %+v", r.bad)
	}
}
