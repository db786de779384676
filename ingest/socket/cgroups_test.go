package socket

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

const (
	podUID      = "1ae86db6-9561-44b4-b6a5-f4e6f7d621d9"
	containerID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// A process in a pod's cgroup is known as the pod's, and so are its connections.
func TestKernelPod(t *testing.T) {
	root, err := bpf.CgroupRoot()
	if err != nil {
		t.Skipf("SKIPPED: pods are not told by their cgroups: %v", err)
	}
	base := filepath.Join(root, "kubepods")
	leaf := filepath.Join(base, "pod"+podUID, containerID)
	if err := os.MkdirAll(leaf, 0o755); errors.Is(err, os.ErrPermission) {
		t.Skipf("SKIPPED: pods are not told by their cgroups: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, dir := range []string{leaf, filepath.Dir(leaf), base} {
			_ = os.Remove(dir) // others may have some there
		}
	})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	named := event.Workload{Namespace: "shop", Pod: "agent-0", PodUID: podUID, Node: "n1", Container: "main"}
	w := watchWith(t, func(w *watched) {
		w.source.Decoder.Pods.Put(&event.Pod{
			Workload:   event.Workload{Cluster: "c1", Namespace: "shop", Pod: "agent-0", PodUID: podUID, Node: "n1"},
			Containers: []event.Container{{Name: "main", ID: containerID}},
		})
		if out, err := exec.Command("sh", "-c", `echo $$ > "$1/cgroup.procs" && exec python3 -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1]).read()' "$2"`,
			"sh", leaf, server.URL+"/in-pod").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	})
	client, accepted := w.exchanges("/in-pod")
	if len(client) != 1 || len(accepted) != 1 || client[0].Workload != named || accepted[0].Workload.PodUID != "" {
		t.Errorf("exchanges: %+v %+v", client, accepted)
	}
	seen := false
	for i := range w.events {
		if p, ok := w.events[i].Payload.(*event.Process); ok && len(client) == 1 && p.Process == client[0].Process && p.Container == containerID {
			seen = p.Workload == named
		}
	}
	if !seen {
		t.Error("the process is not known as the pod's")
	}
}
