package truth

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Cookie asks the kernel (sock_diag(7)) for the cookie of the TCP socket of this
// machine that has the two addresses, its own first. So the server of a
// connection can say what its client's socket is called.
func Cookie(local, remote net.Addr) (string, error) {
	l, r := addrPort(local), addrPort(remote)
	if !l.IsValid() || !r.IsValid() {
		return "", fmt.Errorf("ask for a cookie: %v and %v are no addresses", local, remote)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return "", fmt.Errorf("ask for a cookie: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, request(l, r), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return "", fmt.Errorf("ask for a cookie: %w", err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return "", fmt.Errorf("ask for a cookie: %w", err)
	}
	return cookieIn(answer[:n])
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := tcp.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

const (
	header        = unix.SizeofNlMsghdr
	byFamily      = 20                // SOCK_DIAG_BY_FAMILY
	requestSize   = header + 8 + 48   // inet_diag_req_v2
	cookieAt      = header + 4 + 40   // in inet_diag_msg
	anyCookie     = 1<<64 - 1         // INET_DIAG_NOCOOKIE, twice
	allTheirState = uint32(1<<12 - 1) // in whatever state
)

// request is a struct inet_diag_req_v2 that names one socket.
func request(l, r netip.AddrPort) []byte {
	b := make([]byte, requestSize)
	e := binary.NativeEndian
	e.PutUint32(b, requestSize)
	e.PutUint16(b[4:], byFamily)
	e.PutUint16(b[6:], unix.NLM_F_REQUEST)
	b[header], b[header+1] = unix.AF_INET, unix.IPPROTO_TCP
	if l.Addr().Is6() {
		b[header] = unix.AF_INET6
	}
	e.PutUint32(b[header+4:], allTheirState)
	id := b[header+8:]
	binary.BigEndian.PutUint16(id, l.Port())
	binary.BigEndian.PutUint16(id[2:], r.Port())
	copy(id[4:20], l.Addr().AsSlice())
	copy(id[20:36], r.Addr().AsSlice())
	e.PutUint64(id[40:], anyCookie)
	return b
}

func cookieIn(b []byte) (string, error) {
	if len(b) < header {
		return "", fmt.Errorf("ask for a cookie: %d bytes came back", len(b))
	}
	h := (*unix.NlMsghdr)(unsafe.Pointer(unsafe.SliceData(b)))
	if h.Type == unix.NLMSG_ERROR && len(b) >= header+4 {
		return "", fmt.Errorf("ask for a cookie: %w", unix.Errno(-int32(binary.NativeEndian.Uint32(b[header:]))))
	}
	if len(b) < cookieAt+8 {
		return "", fmt.Errorf("ask for a cookie: %d bytes came back", len(b))
	}
	return strconv.FormatUint(binary.NativeEndian.Uint64(b[cookieAt:]), 10), nil
}
