package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/ingest/k8s/pods"
	"github.com/sennit-io/sennit/schemas/event"
)

// openShim loads the programs into this kernel. A program that the verifier
// rejects is a failure everywhere. The test is skipped where a hook is missing that
// gives what it needs, told by how Hook.Gives begins; "" is any.
func openShim(t *testing.T, needs string, tls ...string) *bpf.Shim {
	t.Helper()
	s, err := bpf.Open(tls...)
	var verifier *ebpf.VerifierError
	if errors.Is(err, os.ErrPermission) && !errors.As(err, &verifier) {
		t.Skipf("SKIPPED: the real kernel is not watched: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, h := range s.Hooks() {
		if errors.As(h.Err, &verifier) {
			t.Fatal(h.Err)
		}
	}
	for _, h := range s.Hooks() {
		if h.Err != nil && strings.HasPrefix(h.Gives, needs) {
			t.Skipf("SKIPPED: the real kernel is not watched: %s: %v", h.Name, h.Err)
		}
	}
	return s
}

// watched is what a shim saw while do ran, deep copies.
type watched struct {
	mu     *sync.Mutex // of events, while do runs
	events []event.Event
	source *Source
}

func watch(t *testing.T, do func(), tls ...string) watched {
	t.Helper()
	return watchWith(t, func(*watched) { do() }, tls...)
}

// watchWith lets do ask what was seen so far.
func watchWith(t *testing.T, do func(*watched), tls ...string) watched {
	t.Helper()
	return watchFor(t, "", do, tls...)
}

// watchFor is for tests that do not need every hook.
func watchFor(t *testing.T, needs string, do func(*watched), tls ...string) watched {
	t.Helper()
	s := NewSource(openShim(t, needs, tls...))
	s.Decoder.Node, s.Decoder.Redact.CommandLines = "n1", true
	root, err := bpf.CgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	s.Decoder.Cgroups, s.Decoder.Pods = pods.NewCgroups(root), new(pods.Directory)
	w := watched{mu: new(sync.Mutex), source: s}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var once sync.Once
	ready := make(chan struct{})
	go func() {
		done <- s.Run(ctx, func(_ context.Context, b *event.Batch) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			for i := range b.Events {
				var e event.Event
				if err := e.UnmarshalJSON(b.Events[i].AppendJSON(nil)); err != nil {
					return err
				}
				w.events = append(w.events, e)
			}
			once.Do(func() { close(ready) })
			return nil
		})
	}()
	<-ready
	do(&w)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return w
}

// exchanges are those of one path (without its query), client first.
func (w *watched) exchanges(path string) (client, server []*event.Exchange) {
	for i := range w.events {
		if p, ok := w.events[i].Payload.(*event.Exchange); ok && w.events[i].Kind == event.KindExchange && p.HTTP.Path == path {
			if p.Role == event.RoleClient {
				client = append(client, p)
			} else {
				server = append(server, p)
			}
		}
	}
	return client, server
}

// waitFor tries until a client's exchange of the path, after a prefix, is seen.
func (w *watched) waitFor(t *testing.T, try func(path string), prefix string) {
	t.Helper()
	for n := range 120 {
		path := fmt.Sprintf("/try/%d", n)
		try(path)
		for range 50 {
			time.Sleep(10 * time.Millisecond)
			w.mu.Lock()
			c, _ := w.exchanges(prefix + path)
			w.mu.Unlock()
			if len(c) > 0 {
				return
			}
		}
	}
	t.Error("nothing is seen for a minute")
}

func (w *watched) sockets(k event.Kind, at netip.AddrPort, role event.Role) (found []*event.Socket) {
	for i := range w.events {
		if p, ok := w.events[i].Payload.(*event.Socket); ok && w.events[i].Kind == k && p.Role == role && (p.Tuple.Src == at || p.Tuple.Dst == at) {
			found = append(found, p)
		}
	}
	return found
}

// cookieOf asks the kernel for a socket's cookie.
func cookieOf(t *testing.T, c net.Conn) event.SocketCookie {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var v uint64
	if controlErr := raw.Control(func(fd uintptr) { v, err = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE) }); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	return event.SocketCookie(v)
}

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// Real clients and a real server, over IPv4 and IPv6: the right socket, process,
// boundaries and trace.
func TestKernel(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: the real kernel is not watched: no python3")
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("SKIPPED: the real kernel is not watched: no curl")
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if strings.HasPrefix(r.URL.Path, "/slow") {
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(150 * time.Millisecond) // longer than a silence
			_, _ = io.WriteString(w, "end")
			return
		}
		_, _ = io.WriteString(w, "hello")
	})
	server := httptest.NewServer(handler)
	defer server.Close()
	six := httptest.NewUnstartedServer(handler)
	listener, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	six.Listener.Close()
	six.Listener = listener
	six.Start()
	defer six.Close()
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := netip.MustParseAddrPort(unused.Addr().String())
	unused.Close()

	run := func(name string, args ...string) (pid int) {
		cmd := exec.Command(name, args...)
		if out, err := cmd.CombinedOutput(); err != nil && name == python {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		return cmd.Process.Pid
	}
	var own event.SocketCookie
	var curlPID, pythonPID, failedPID int
	w := watch(t, func() {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		own = cookieOf(t, c)
		fmt.Fprintf(c, "GET /own?key=secret HTTP/1.1\r\nHost: h\r\nX-Secret: hush\r\ntraceparent: %s\r\n\r\n", traceparent)
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		curlPID = run(curl, "-s", "-o", os.DevNull, "-H", "traceparent: "+traceparent, "-d", "GET /forged HTTP/1.1", server.URL+"/curl", six.URL+"/six")
		pythonPID = run(python, "-c", `import http.client, sys
c = http.client.HTTPConnection(sys.argv[1])
for path in sys.argv[2:]:
    c.request("GET", path); c.getresponse().read()
import time; time.sleep(0.6)`, server.Listener.Addr().String(), "/first", "/slow", "/last")
		failedPID = run(curl, "-s", "http://"+refused.String()+"/")
	})

	one := func(path string, status uint16, pid int) (client, accepted *event.Exchange) {
		t.Helper()
		c, s := w.exchanges(path)
		if len(c) != 1 || len(s) != 1 {
			t.Fatalf("%s: %d exchanges of the client and %d of the server, want one each", path, len(c), len(s))
		}
		client, accepted = c[0], s[0]
		if client.HTTP.Status != status || accepted.HTTP.Status != status {
			t.Errorf("%s: status %d and %d, want %d", path, client.HTTP.Status, accepted.HTTP.Status, status)
		}
		if int(client.Process.PID) != pid || int(accepted.Process.PID) != os.Getpid() {
			t.Errorf("%s: client is process %d, want %d; server is %d, want %d", path, client.Process.PID, pid, accepted.Process.PID, os.Getpid())
		}
		if alone := pid != os.Getpid(); client.TID == 0 || alone && int(client.TID) != pid || accepted.TID == 0 {
			t.Errorf("%s: threads %d and %d", path, client.TID, accepted.TID)
		}
		if client.Tuple != accepted.Tuple.Reverse() || !client.Tuple.Complete() {
			t.Errorf("%s: tuples %v and %v are not two ends", path, client.Tuple, accepted.Tuple)
		}
		if client.Start > accepted.Start || accepted.FirstByte > client.FirstByte || client.Start >= client.FirstByte {
			t.Errorf("%s: client %v to %v, server %v to %v: cause comes after effect", path, client.Start, client.FirstByte, accepted.Start, accepted.FirstByte)
		}
		if client.BytesOut != accepted.BytesIn || client.BytesIn != accepted.BytesOut || client.BytesIn == 0 {
			t.Errorf("%s: bytes %d/%d and %d/%d do not agree", path, client.BytesOut, client.BytesIn, accepted.BytesOut, accepted.BytesIn)
		}
		return client, accepted
	}
	x, _ := one("/own", 200, os.Getpid())
	if x.Cookie != own {
		t.Errorf("cookie %v, the kernel says %v", x.Cookie, own)
	}
	if got := x.Trace.TraceID.String(); got != traceparent[3:35] {
		t.Errorf("trace %s", got)
	}
	one("/curl", 200, curlPID)
	y, _ := one("/six", 200, curlPID)
	if !y.Tuple.Dst.Addr().Is6() {
		t.Errorf("peer %v is not IPv6", y.Tuple.Dst)
	}
	first, _ := one("/first", 200, pythonPID)
	slow, _ := one("/slow", 200, pythonPID)
	last, _ := one("/last", 200, pythonPID)
	if first.Cookie != slow.Cookie || slow.Cookie != last.Cookie || first.Ordinal != 1 || last.Ordinal != 3 {
		t.Errorf("one connection has cookies %v %v %v, ordinals %d to %d", first.Cookie, slow.Cookie, last.Cookie, first.Ordinal, last.Ordinal)
	}
	for i := range w.events {
		if e := &w.events[i]; e.Payload == event.Payload(slow) && e.Time.Sub(slow.FirstByte) < 150*time.Millisecond {
			t.Errorf("/slow ended %v after its first byte, its end came 150ms after", e.Time.Sub(slow.FirstByte))
		}
		line := string(w.events[i].AppendJSON(nil))
		if k := w.events[i].Kind; k != event.KindProcessExec && (strings.Contains(line, "secret") || strings.Contains(line, "hush") || strings.Contains(line, "forged")) {
			t.Errorf("what should not leave the node did: %s", line)
		}
	}
	if c := w.sockets(event.KindSocketClose, refused, event.RoleClient); len(c) != 1 || c[0].Verdict != event.VerdictReset || int(c[0].Process.PID) != failedPID {
		t.Errorf("the connect that was refused: %+v", c)
	}
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	for _, role := range []event.Role{event.RoleClient, event.RoleServer} {
		opens, closes := w.sockets(event.KindSocketOpen, at, role), w.sockets(event.KindSocketClose, at, role)
		if len(opens) != 3 || len(closes) != 3 {
			t.Errorf("%v: %d opens and %d closes, want 3", role, len(opens), len(closes))
		}
		for _, s := range opens {
			if s.Addr == 0 || s.Netns == 0 || s.Cgroup == 0 || s.Cookie == 0 {
				t.Errorf("a name is missing: %+v", s)
			}
		}
	}
	w.checkProcess(t, curlPID, filepath.Base(curl), server.URL+"/curl")
	if w.source.Lost != 0 || w.source.Bad != 0 {
		t.Errorf("%d records lost, %d bad", w.source.Lost, w.source.Bad)
	}
}

func (w *watched) checkProcess(t *testing.T, pid int, name, arg string) {
	t.Helper()
	var start, end *event.Process
	for i := range w.events {
		p, ok := w.events[i].Payload.(*event.Process)
		switch {
		case !ok || int(p.Process.PID) != pid:
		case w.events[i].Kind == event.KindProcessExit:
			end = p
		case strings.Contains(p.Args, arg):
			start = p
		}
	}
	if start == nil || end == nil {
		t.Fatalf("the execution or the end of %s was not seen: %+v %+v", name, start, end)
	}
	if filepath.Base(start.Binary) != name || int(start.Parent.PID) != os.Getpid() || start.Process != end.Process || start.Hashes == (event.Hashes{}) {
		t.Errorf("execution of %s: %+v", name, start)
	}
}

// A program in a network namespace of its own is seen like any other.
func TestKernelNetns(t *testing.T) {
	if _, err := exec.LookPath("unshare"); err != nil {
		t.Skip("SKIPPED: network namespaces are not watched: no unshare")
	}
	script := `import http.client, http.server, os, threading
os.system("ip link set lo up")
s = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=s.serve_forever, daemon=True).start()
c = http.client.HTTPConnection("127.0.0.1", s.server_port)
c.request("GET", "/in-netns"); c.getresponse().read()
print(os.stat("/proc/self/ns/net").st_ino)`
	var inode string
	w := watchFor(t, "heads", func(*watched) {
		out, err := exec.Command("unshare", "-n", "python3", "-c", script).Output()
		if err != nil {
			t.Skipf("SKIPPED: network namespaces are not watched: %v", err)
		}
		inode = strings.TrimSpace(string(out))
	})
	c, s := w.exchanges("/in-netns")
	if len(c) != 1 || len(s) != 1 || c[0].HTTP.Status != 404 {
		t.Fatalf("exchanges in the namespace: %+v %+v", c, s)
	}
	for _, open := range w.sockets(event.KindSocketOpen, c[0].Tuple.Src, event.RoleClient) {
		if open.Cookie == c[0].Cookie && fmt.Sprint(open.Netns) != inode {
			t.Errorf("namespace %d, want %s", open.Netns, inode)
		}
	}
}

// A pod as the kubelet makes one: a network namespace of its own behind a veth, and
// a cgroup that names it. What it asks a server outside is told of both, each in
// its own namespace.
func TestKernelVeth(t *testing.T) {
	root, err := bpf.CgroupRoot()
	if err != nil {
		t.Skipf("SKIPPED: no pod is watched: %v", err)
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("SKIPPED: no pod is watched: no ip")
	}
	const uid, container = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	pod := filepath.Join(root, "kubepods", "burstable", "pod"+uid)
	cgroup := filepath.Join(pod, container)
	if err := os.MkdirAll(cgroup, 0o755); err != nil {
		t.Skipf("SKIPPED: no pod is watched: %v", err)
	}
	t.Cleanup(func() {
		for dir := cgroup; dir != root; dir = filepath.Dir(dir) {
			os.Remove(dir)
		}
	})
	name := fmt.Sprintf("sennit%d", os.Getpid()%100000)
	for _, command := range []string{
		"ip netns add " + name, "ip link add " + name + " type veth peer name eth0 netns " + name,
		"ip addr add 198.18.77.1/30 dev " + name, "ip link set " + name + " up",
		"ip -n " + name + " addr add 198.18.77.2/30 dev eth0", "ip -n " + name + " link set eth0 up",
	} {
		args := strings.Fields(command)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			_ = exec.Command("ip", "netns", "del", name).Run()
			t.Skipf("SKIPPED: no pod is watched: %s: %v: %s", command, err, out)
		}
	}
	t.Cleanup(func() {
		_ = exec.Command("ip", "netns", "del", name).Run()
		_ = exec.Command("ip", "link", "del", name).Run()
	})
	listener, err := net.Listen("tcp", "198.18.77.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	defer server.Close()
	var pid int
	w := watch(t, func() {
		// It joins the cgroup first: within the namespace /sys is another. Its request
		// may overtake the end of the handshake.
		cmd := exec.Command("sh", "-c", `echo $$ > "$1/cgroup.procs" && exec ip netns exec "$2" python3 -c '
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1])
c.request("GET", "/from-pod"); c.getresponse().read()' "$3"`, "sh", cgroup, name, listener.Addr().String())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		pid = cmd.Process.Pid
	})
	c, s := w.exchanges("/from-pod")
	if len(c) != 1 || len(s) != 1 || int(c[0].Process.PID) != pid || int(s[0].Process.PID) != os.Getpid() || c[0].Tuple != s[0].Tuple.Reverse() {
		for i := range w.events {
			t.Logf("%s", w.events[i].AppendJSON(nil))
		}
		t.Fatalf("exchanges: %+v %+v", c, s)
	}
	if c[0].Workload.PodUID != uid || s[0].Workload.PodUID != "" {
		t.Errorf("pods are %q and %q, want %q and none", c[0].Workload.PodUID, s[0].Workload.PodUID, uid)
	}
	netns := map[event.Role]uint32{}
	for _, role := range []event.Role{event.RoleClient, event.RoleServer} {
		for _, open := range w.sockets(event.KindSocketOpen, c[0].Tuple.Src, role) {
			netns[role] = open.Netns
		}
	}
	if netns[event.RoleClient] == 0 || netns[event.RoleServer] == 0 || netns[event.RoleClient] == netns[event.RoleServer] {
		t.Errorf("namespaces %v", netns)
	}
}

// A connection that is older than the shim is named when it is used.
func TestKernelOlder(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := func(path string) {
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path)
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
	}
	request("/before")
	w := watch(t, func() { request("/after") })
	client, accepted := w.exchanges("/after")
	if len(client) != 1 || len(accepted) != 1 || client[0].Cookie != cookieOf(t, c) || int(client[0].Process.PID) != os.Getpid() ||
		client[0].Tuple != accepted[0].Tuple.Reverse() {
		t.Errorf("exchanges: %+v %+v", client, accepted)
	}
}

// With a reader that stands still exactly what is lost is counted, and told.
func TestKernelLoss(t *testing.T) {
	shim := openShim(t, "heads")
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const requests = 12000 // four heads each: more than the ring has room for
	answer := make([]byte, 4096)
	for range requests {
		if _, err := io.WriteString(c, "GET /lost HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(answer); err != nil {
			t.Fatal(err)
		}
	}
	s := NewSource(shim)
	s.looked = now()
	var heads, told uint64
	sink := func(_ context.Context, b *event.Batch) error {
		for i := range b.Events {
			if p, ok := b.Events[i].Payload.(*event.Loss); ok {
				told += p.Count
			}
		}
		return nil
	}
	for {
		shim.SetDeadline(time.Now())
		r, err := shim.Read()
		if err != nil {
			break
		}
		if r.Head != nil && (strings.HasPrefix(string(r.Data), "GET /lost") || strings.HasPrefix(string(r.Data), "HTTP/1.1 200")) {
			heads++
		}
	}
	if err := s.tick(); err != nil {
		t.Fatal(err)
	}
	if err := s.flush(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	if told == 0 || told != s.Lost || heads+told < 4*requests {
		t.Errorf("%d heads read, %d records lost, %d told, of at least %d", heads, s.Lost, told, 4*requests)
	}
	before := s.Lost
	if err := s.tick(); err != nil {
		t.Fatal(err)
	}
	if s.Lost != before {
		t.Errorf("%d more are lost and nobody sent anything", s.Lost-before)
	}
}
