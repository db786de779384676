package pods

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sennit-io/sennit/schemas/event"
)

func known(name, ip string, more func(*event.Pod)) *event.Pod {
	p := &event.Pod{
		Workload:   event.Workload{Cluster: "c1", Namespace: "shop", Pod: name, PodUID: "uid-" + name, Node: "n1"},
		IPs:        []netip.Addr{netip.MustParseAddr(ip)},
		Containers: []event.Container{{Name: "main", ID: "id-" + name}},
		Owner:      "Deployment/" + name, ValidFrom: 1000,
	}
	if more != nil {
		more(p)
	}
	return p
}

func TestDirectory(t *testing.T) {
	var d Directory
	if d.At(netip.MustParseAddr("10.0.0.1")) != nil || d.Pod("uid-a") != nil {
		t.Error("an empty directory knows somebody")
	}
	if _, ok := d.Of(Container{ID: "id-a"}); ok {
		t.Error("an empty directory knows a container")
	}
	if !d.Put(known("a", "10.0.0.1", nil)) || d.Put(known("a", "10.0.0.1", nil)) || d.Put(&event.Pod{}) {
		t.Error("a pod is new once, and one without a uid never")
	}
	of := func(c Container, want string) {
		t.Helper()
		w, ok := d.Of(c)
		if got := w.Pod + "/" + w.Container; ok != (want != "") || ok && got != want {
			t.Errorf("%+v: %q, %v; want %q", c, got, ok, want)
		}
	}
	of(Container{"uid-a", "id-a"}, "a/main")
	of(Container{"uid-a", "another"}, "a/")
	of(Container{"static", "id-a"}, "a/main") // the kubelet has another uid
	of(Container{"", "id-a"}, "a/main")
	of(Container{"uid-b", ""}, "")
	of(Container{}, "")

	at := func(ip, want string) {
		t.Helper()
		got := ""
		if p := d.At(netip.MustParseAddr(ip)); p != nil {
			got = p.Workload.Pod
		}
		if got != want {
			t.Errorf("%s is %q's, want %q", ip, got, want)
		}
	}
	// An address goes to a newer pod, also when the old one's end is told later.
	d.Put(known("b", "10.0.0.1", func(p *event.Pod) { p.ValidFrom = 2000 }))
	at("10.0.0.1", "b")
	d.Put(known("a", "10.0.0.1", func(p *event.Pod) { p.Owner = "changed" }))
	at("10.0.0.1", "b")
	d.Put(known("a", "10.0.0.1", func(p *event.Pod) { p.ValidTo = 3000 }))
	at("10.0.0.1", "b")
	d.Put(known("b", "10.0.0.1", func(p *event.Pod) { p.ValidFrom, p.ValidTo = 2000, 4000 }))
	d.Put(known("c", "10.0.0.1", func(p *event.Pod) { p.ValidFrom = 3500 }))
	at("10.0.0.1", "c")
	// What has ended is known for a while.
	d.Forget(3000 + Keep)
	of(Container{ID: "id-a"}, "a/main")
	d.Forget(3001 + Keep)
	of(Container{ID: "id-a"}, "")
	of(Container{ID: "id-b"}, "b/main")
	// The node's address is nobody's alone.
	d.Put(known("host", "192.168.0.1", func(p *event.Pod) { p.HostNetwork = true }))
	at("192.168.0.1", "")
	if n, _ := d.Len(); n != 3 {
		t.Errorf("%d pods", n)
	}
	// A question without an answer is one token, however often it is asked.
	missed := d.Missed()
	at("10.9.9.9", "")
	at("10.9.9.9", "")
	at("192.168.0.1", "") // has an answer
	<-missed
	select {
	case <-missed:
		t.Error("a second token")
	default:
	}
}

// Every way in which a claim can be met.
func TestAdmit(t *testing.T) {
	var d Directory
	d.Put(known("a", "10.0.0.1", nil))
	d.Put(known("b", "10.0.0.2", nil))
	d.Put(known("collector", "10.0.0.9", nil))
	d.Put(known("host", "192.168.0.1", func(p *event.Pod) { p.HostNetwork = true }))
	p := NewProver(&d, nil)
	var err error
	if p.Trusted, err = ParseTrusted([]string{"10.7.0.0/16", "shop/Deployment/collector", "fd00::7"}); err != nil {
		t.Fatal(err)
	}
	f := func(from string, claim event.Workload, stands, proven bool, want string) {
		t.Helper()
		proof := p.Prove(netip.AddrPortFrom(netip.MustParseAddr(from), 999), netip.MustParseAddrPort("10.0.0.254:4318"))
		said := claim
		s, pr := proof.Admit(&claim)
		if got := claim.Pod + "@" + claim.Node; s != stands || pr != proven || s && got != want {
			t.Errorf("from %s as %+v: stands %v, proven %v, %q; want %v, %v, %q", from, said, s, pr, got, stands, proven, want)
		}
	}
	type w = event.Workload
	f("10.0.0.1", w{}, true, true, "a@n1")
	f("10.0.0.1", w{Namespace: "shop", Pod: "a", Container: "side"}, true, true, "a@n1")
	f("10.0.0.1", w{Namespace: "shop", Pod: "b"}, false, false, "")
	f("10.0.0.1", w{PodUID: "uid-b"}, false, false, "")
	f("10.0.0.1", w{Namespace: "other", Pod: "a"}, false, false, "")
	f("10.0.0.1", w{Node: "n2"}, false, false, "")
	// Collectors.
	for _, from := range []string{"10.0.0.9", "10.7.3.3", "fd00::7"} {
		f(from, w{Namespace: "shop", Pod: "b"}, true, false, "b@n1")
		f(from, w{PodUID: "uid-b"}, true, false, "b@n1")
		f(from, w{PodUID: "uid-b", Namespace: "shop", Pod: "a"}, false, false, "")
		f(from, w{Namespace: "shop", Pod: "b", Node: "n2"}, false, false, "")
		f(from, w{Namespace: "shop", Pod: "new", Node: "n2"}, true, false, "new@")
		f(from, w{}, true, false, "@") // anybody's, not the collector's
	}
	f("10.0.0.9", w{Namespace: "shop", Pod: "collector"}, true, true, "collector@n1")
	// Nobody knows from where.
	f("10.5.5.5", w{}, true, false, "@")
	f("10.5.5.5", w{Namespace: "shop", Pod: "new", Node: "n1"}, true, false, "new@")
	f("10.5.5.5", w{Namespace: "shop", Pod: "a"}, false, false, "")
	f("10.5.5.5", w{Namespace: "shop", Pod: "host"}, false, false, "")
	f("192.168.0.1", w{Namespace: "shop", Pod: "host"}, true, false, "host@n1") // of its node, at least
	f("192.168.0.1", w{Namespace: "shop", Pod: "a"}, false, false, "")

	for _, bad := range []string{"collector", "a/b", "/x/y", "10.0.0.0/99"} {
		if _, err := ParseTrusted([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestMain lets this program be one that connects and waits.
func TestMain(m *testing.M) {
	if to := os.Getenv("PODS_TEST_DIAL"); to != "" {
		c, err := net.Dial("tcp", to)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(c.LocalAddr())
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Who is on the machine's own network is told by the cgroup of its socket: a pod of
// the host's network, a process of no pod, and nobody.
func TestProveHostNetwork(t *testing.T) {
	root, mounted := cgroup2(t)
	if !mounted {
		t.Skip("SKIPPED: pods are not told by their sockets: cgroup2 is not mounted")
	}
	base := filepath.Join(root, "kubepods")
	leaf := filepath.Join(base, "pod"+podUID, containerID)
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		t.Skipf("SKIPPED: pods are not told by their sockets: %v", err)
	}
	t.Cleanup(func() {
		for _, dir := range []string{leaf, filepath.Dir(leaf), base} {
			_ = os.Remove(dir) // others may have some there
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var d Directory
	p := NewProver(&d, NewCgroups(root))
	p.Node, p.Cluster = "n1", "c1"
	f := func(cgroup string, check func(peer, local netip.AddrPort)) {
		t.Helper()
		cmd := exec.Command(os.Args[0])
		if cgroup != "" {
			cmd = exec.Command("sh", "-c", `echo $$ > "$1/cgroup.procs" && exec "$2"`, "sh", cgroup, os.Args[0])
		}
		cmd.Env = append(os.Environ(), "PODS_TEST_DIAL="+l.Addr().String())
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		peer, err := netip.ParseAddrPort(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("the process says %q", line)
		}
		check(peer, netip.MustParseAddrPort(l.Addr().String()))
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	f(leaf, func(peer, local netip.AddrPort) {
		if _, err := cgroupOf(peer, local); err != nil {
			t.Skipf("SKIPPED: pods are not told by their sockets: %v", err)
		}
		// A pod that nobody knows yet proves nothing.
		if proof := p.Prove(peer, local); proof.Proven {
			t.Errorf("of an unknown pod: %+v", proof)
		}
		d.Put(known("a", "192.168.0.1", func(p *event.Pod) {
			p.HostNetwork, p.Workload.PodUID, p.Containers = true, podUID, []event.Container{{Name: "main", ID: containerID}}
		}))
		proof := p.Prove(peer, local)
		if !proof.Proven || proof.Workload.Pod != "a" || proof.Workload.PodUID != podUID {
			t.Errorf("of a known pod: %+v", proof)
		}
		if stands, _ := proof.Admit(&event.Workload{Namespace: "shop", Pod: "b"}); stands {
			t.Error("another's claim stands")
		}
		// Other ends than those of a socket are nobody's.
		if proof := p.Prove(netip.AddrPortFrom(peer.Addr(), 1), local); proof.Proven {
			t.Errorf("of no socket: %+v", proof)
		}
	})
	f("", func(peer, local netip.AddrPort) {
		proof := p.Prove(peer, local)
		if !proof.Proven || proof.Workload != (event.Workload{Node: "n1", Cluster: "c1"}) {
			t.Errorf("of a process in no pod: %+v", proof)
		}
		if stands, _ := proof.Admit(&event.Workload{Namespace: "shop", Pod: "a"}); stands {
			t.Error("a process in no pod passes for one")
		}
		claim := event.Workload{}
		if stands, proven := proof.Admit(&claim); !stands || !proven || claim.Node != "n1" {
			t.Errorf("what claims nothing: %v, %v, %+v", stands, proven, claim)
		}
	})
}

// cgroup2 finds where cgroup2 is mounted.
func cgroup2(t *testing.T) (root string, ok bool) {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var s unix.Statfs_t
		if unix.Statfs(dir, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir, true
		}
	}
	return "", false
}
