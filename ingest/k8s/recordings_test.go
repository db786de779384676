package k8s

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/testdata/recordings"
)

// Objects of a real cluster, as a typed list has them.
func TestRecordedObjects(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(recordings.Dir(t), "k8s", "deepflow_kubernetes-info.json"))
	if err != nil {
		t.Fatal(err)
	}
	var info struct{ Resources map[string][]string }
	if err := json.Unmarshal(text, &info); err != nil {
		t.Fatal(err)
	}
	f := func(kind string, want int, check func(event.Payload) bool) {
		t.Helper()
		var d Decoder
		var b event.Batch
		list := `{"kind":"` + kind + `List","apiVersion":"v1","items":[` + strings.Join(info.Resources["*v1."+kind], ",") + `]}`
		tally, err := d.Decode([]byte(list), &b)
		if err != nil || tally != (ingest.Tally{In: want}) {
			t.Errorf("%s: %+v, %v, want %d", kind, tally, err, want)
		}
		for i := range b.Events {
			if e := &b.Events[i]; e.Time == 0 || !check(e.Payload) {
				t.Errorf("%+v %+v", e, e.Payload)
			}
		}
	}
	f("Pod", 19, func(p event.Payload) bool {
		pod := p.(*event.Pod)
		return pod.Workload.Pod != "" && pod.Workload.PodUID != "" && len(pod.IPs) > 0 && len(pod.Containers) > 0 && pod.Containers[0].ID != ""
	})
	f("Service", 5, func(p event.Payload) bool { s := p.(*event.Service); return s.Name != "" && len(s.Ports) > 0 })
}

// Entries of the audit log are no objects.
func TestRecordedAuditLog(t *testing.T) {
	file, err := os.Open(filepath.Join(recordings.Dir(t), "k8s", "khi_k8s_audit.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var d Decoder
	var b event.Batch
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	n := 0
	for ; lines.Scan(); n++ {
		if tally, err := d.Decode(lines.Bytes(), &b); tally != (ingest.Tally{In: 1, UnknownType: 1}) || !errors.Is(err, ingest.ErrUnknownType) {
			t.Errorf("line %d: %+v, %v", n+1, tally, err)
		}
	}
	if lines.Err() != nil || n == 0 || len(b.Events) != 0 {
		t.Errorf("%d lines, %d events, %v", n, len(b.Events), lines.Err())
	}
}
