package socket

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// balance has connects of a cgroup to one address go to another, as Cilium does with
// the addresses of services.
func balance(t *testing.T, cgroup string, from, to netip.AddrPort) {
	t.Helper()
	// Of struct bpf_sock_addr: user_ip4, user_ip6, user_port, each in network order.
	const ip4, ip6, port = 4, 8, 24
	order := func(b []byte) int32 { return int32(binary.NativeEndian.Uint32(b)) }
	inOrder := func(p uint16) int32 { return order([]byte{byte(p >> 8), byte(p), 0, 0}) }
	at, kind := int16(ip4), ebpf.AttachCGroupInet4Connect
	if from.Addr().Is6() {
		at, kind = ip6, ebpf.AttachCGroupInet6Connect
	}
	p := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, port, asm.Word),
		asm.JNE.Imm(asm.R2, inOrder(from.Port()), "out"),
	}
	a, b := from.Addr().AsSlice(), to.Addr().AsSlice()
	for i := 0; i < len(a); i += 4 {
		p = append(p, asm.LoadMem(asm.R2, asm.R1, at+int16(i), asm.Word), asm.JNE.Imm32(asm.R2, order(a[i:]), "out"))
	}
	for i := 0; i < len(b); i += 4 {
		p = append(p, asm.Mov.Imm32(asm.R2, order(b[i:])), asm.StoreMem(asm.R1, at+int16(i), asm.R2, asm.Word))
	}
	p = append(p, asm.Mov.Imm32(asm.R2, inOrder(to.Port())), asm.StoreMem(asm.R1, port, asm.R2, asm.Word),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("out"), asm.Return())
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.CGroupSockAddr, AttachType: kind, License: "GPL", Instructions: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	l, err := link.AttachCgroup(link.CgroupOptions{Path: cgroup, Attach: kind, Program: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// A connect to the address of a service, which a balancer at the sockets rewrites, is
// told with both addresses: whether the balancer is of the pod's cgroup or of the
// root, where it was before the shim, and over IPv6.
func TestKernelOriginal(t *testing.T) {
	root, err := bpf.CgroupRoot()
	if err != nil {
		t.Skipf("SKIPPED: nothing is translated: %v", err)
	}
	cgroup := filepath.Join(root, fmt.Sprintf("sennit%d", os.Getpid()))
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		t.Skipf("SKIPPED: nothing is translated: %v", err)
	}
	t.Cleanup(func() { os.Remove(cgroup) })
	openShim(t, "").Close()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	six := httptest.NewUnstartedServer(server.Config.Handler)
	six.Listener.Close()
	if six.Listener, err = net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Fatal(err)
	}
	six.Start()
	defer six.Close()
	backend, backend6 := netip.MustParseAddrPort(server.Listener.Addr().String()), netip.MustParseAddrPort(six.Listener.Addr().String())
	service, early, service6 := netip.MustParseAddrPort("198.18.99.1:80"), netip.MustParseAddrPort("198.18.99.2:8080"), netip.MustParseAddrPort("[2001:db8::99]:80")
	balance(t, root, early, backend)
	balance(t, cgroup, service, backend)
	balance(t, cgroup, service6, backend6)

	asked := map[string]netip.AddrPort{"/service": service, "/early": early, "/six": service6, "/plain": backend, "/any": netip.AddrPortFrom(netip.IPv4Unspecified(), backend.Port())}
	w := watchFor(t, "", func(*watched) {
		for path, at := range asked {
			out, err := exec.Command("sh", "-c", `echo $$ > "$1/cgroup.procs" && exec curl -sS --max-time 5 -o /dev/null "$2"`, "sh", cgroup, "http://"+at.String()+path).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v: %s", path, err, out)
			}
		}
	})
	for path, at := range asked {
		c, s := w.exchanges(path)
		if len(c) != 1 || len(s) != 1 {
			t.Errorf("%s: %d exchanges of the client, %d of the server", path, len(c), len(s))
			continue
		}
		want := at
		if path == "/plain" || path == "/any" {
			want = netip.AddrPort{}
		}
		told := 0
		for i := range w.events {
			p, ok := w.events[i].Payload.(*event.Socket)
			if !ok || p.Cookie != c[0].Cookie && p.Cookie != s[0].Cookie {
				continue
			}
			told++
			if p.Role == event.RoleServer && p.Original.IsValid() || p.Role == event.RoleClient && p.Original != want {
				t.Errorf("%s: %s %v: original is %v, want %v", path, p.Role, p.Tuple, p.Original, want)
			}
		}
		if told < 4 || c[0].Tuple.Dst != backend && c[0].Tuple.Dst != backend6 {
			t.Errorf("%s: %d records, to %v", path, told, c[0].Tuple.Dst)
		}
	}
}
