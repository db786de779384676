package bind

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/sennit-io/sennit/correlate/window"
	"github.com/sennit-io/sennit/schemas/event"
)

// Pods that come and go, and are told again and again, do not fill the directory;
// what a request may still ask for is there.
func TestDirectoryForgetsPods(t *testing.T) {
	cfg := window.Default()
	d := NewDirectory(cfg)
	at := event.At(time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC))
	tell := func(n int, from, to event.Time) {
		d.Observe(&event.Event{Kind: event.KindPod, Time: at, Payload: &event.Pod{
			Workload: event.Workload{Namespace: "jobs", Pod: fmt.Sprintf("job-%d", n), PodUID: fmt.Sprintf("uid-%d", n), Node: "n1"},
			IPs:      []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})}, ValidFrom: from, ValidTo: to,
		}})
	}
	const n = 2000
	most := 0
	for i := range n {
		began := at
		for range 3 {
			tell(i, began, 0)
			at = at.Add(10 * time.Second)
		}
		tell(i, began, at)
		asked := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		if w := d.Pod(asked, began.Add(time.Second)); w == nil || w.PodUID != fmt.Sprintf("uid-%d", i) {
			t.Fatalf("pod %d is not known any more: %+v", i, w)
		}
		total := 0
		for _, list := range d.byIP {
			total += len(list)
		}
		most = max(most, len(d.byUID), len(d.byName), total)
	}
	// Those that ended within the time, each as its life and its end.
	if limit := 2 * (int((cfg.Longest+cfg.Retention)/(30*time.Second)) + 2); most > limit {
		t.Errorf("%d are kept, want at most %d", most, limit)
	}
}
