package socket

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// keepOpen serves and opens a connection to itself, prints its address, and then
// asks over it once for each line it reads.
const keepOpen = `import http.client, http.server, os, sys, threading
os.system("ip link set lo up")
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *args): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
threading.Thread(target=s.serve_forever, daemon=True).start()
c = http.client.HTTPConnection("127.0.0.1", s.server_port)
c.request("GET", "/older"); c.getresponse().read()
print("%s:%d" % c.sock.getsockname(), os.stat("/proc/self/ns/net").st_ino, flush=True)
for line in sys.stdin:
    c.request("GET", line.strip()); c.getresponse().read()
    print("asked", flush=True)`

// Connections that are open when the shim starts are told, with who has them, in
// whatever network namespace, before anything is sent on them; a request on one
// is its process's.
func TestKernelStanding(t *testing.T) {
	for name, command := range map[string][]string{"this namespace": {"python3"}, "its own": {"unshare", "-n", "python3"}} {
		if _, err := exec.LookPath(command[0]); err != nil {
			t.Skipf("SKIPPED: older connections are not watched: no %s", command[0])
		}
		cmd := exec.Command(command[0], append(command[1:], "-c", keepOpen)...)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Skipf("SKIPPED: older connections are not watched: %v", err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan()
		fields := strings.Fields(lines.Text())
		if len(fields) != 2 {
			t.Fatalf("in %s: %q", name, lines.Text())
		}
		local := netip.MustParseAddrPort(fields[0])
		standing := func(w *watched) (client, server []*event.Socket) {
			for i := range w.events {
				p, ok := w.events[i].Payload.(*event.Socket)
				switch {
				case !ok || w.events[i].Kind != event.KindSocketOwner || fmt.Sprint(p.Netns) != fields[1]:
				case p.Tuple.Src == local:
					client = append(client, p)
				case p.Tuple.Dst == local:
					server = append(server, p)
				}
			}
			return client, server
		}
		w := watchWith(t, func(w *watched) {
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
				w.mu.Lock()
				c, s := standing(w)
				w.mu.Unlock()
				if len(c) == 1 && len(s) == 1 {
					for _, p := range append(c, s...) {
						if int(p.Process.PID) != cmd.Process.Pid || p.Process.StartNS == 0 || !p.Tuple.Complete() || p.Cookie == 0 || p.Addr == 0 || p.Cgroup == 0 || p.Opened != 0 {
							t.Errorf("in %s: %+v", name, p)
						}
					}
					break
				}
				if time.Now().After(deadline) {
					t.Errorf("in %s: %d sockets of the client and %d of the server are told, want one each", name, len(c), len(s))
					break
				}
			}
			fmt.Fprintln(in, "/standing")
			lines.Scan()
		})
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		c, s := w.exchanges("/standing")
		if len(c) != 1 || len(s) != 1 {
			t.Fatalf("in %s: %d exchanges of the client and %d of the server, want one each", name, len(c), len(s))
		}
		for _, x := range append(c, s...) {
			if int(x.Process.PID) != cmd.Process.Pid || !x.Tuple.Complete() || x.HTTP.Status != 200 {
				t.Errorf("in %s: %+v", name, x)
			}
		}
	}
}

// What is open is told again, each time each socket once.
func TestKernelStandingAgain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	shim := openShim(t, "sockets")
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for round := range 3 {
		if err := shim.Standing(); err != nil {
			t.Fatal(err)
		}
		found := 0
		for {
			shim.SetDeadline(time.Now())
			r, err := shim.Read()
			if err != nil {
				break
			}
			if r.Kind.String() == "standing" && r.Socket.Cookie == uint64(cookieOf(t, c)) {
				found++
				if r.Socket.Opened == 0 || r.Socket.Role != 1 || int(r.Socket.Owner.Pid) != os.Getpid() {
					t.Errorf("%+v", r.Socket)
				}
			}
		}
		if found != 1 {
			t.Errorf("round %d: told %d times, want once", round, found)
		}
	}
}

// A child that executes nothing is told when it uses a socket, with who made it;
// one that executes something, or uses none, only as that.
func TestKernelFork(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	const script = `import os, sys, threading, urllib.request
child = os.fork()
if child == 0:
    urllib.request.urlopen(sys.argv[1]).read()
    os._exit(3)
os.waitpid(child, 0)
idle = os.fork()
if idle == 0: os._exit(0)
os.waitpid(idle, 0)
print(child, idle)`
	var parent, child, idle int
	w := watch(t, func() {
		cmd := exec.Command("python3", "-c", script, server.URL+"/forked")
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("SKIPPED: no fork is watched: %v", err)
		}
		parent = cmd.Process.Pid
		if _, err := fmt.Sscan(string(out), &child, &idle); err != nil {
			t.Fatal(err)
		}
	})
	var told []*event.Process
	ended := false
	for i := range w.events {
		p, ok := w.events[i].Payload.(*event.Process)
		switch {
		case !ok:
		case w.events[i].Kind == event.KindProcessExit:
			ended = ended || int(p.Process.PID) == child && p.ExitCode == 3
		case int(p.Process.PID) == child:
			told = append(told, p)
		case int(p.Process.PID) == idle:
			t.Errorf("one that did nothing is told: %+v", p)
		}
	}
	c, _ := w.exchanges("/forked")
	if len(told) != 1 || !ended || len(c) != 1 {
		t.Fatalf("told %d times, want once; its end was seen: %v; %d exchanges", len(told), ended, len(c))
	}
	p := told[0]
	if int(p.Parent.PID) != parent || int(p.ParentTID) != parent || p.Process != c[0].Process || p.Process.StartNS == 0 || p.Inventory {
		t.Errorf("%+v, and %+v uses the socket", p, c[0].Process)
	}
}
