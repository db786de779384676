package pods

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sennit-io/sennit/schemas/event"
)

// Of linux/sock_diag.h and linux/inet_diag.h.
const (
	sockDiagByFamily = 20
	inetDiagCgroupID = 21
	diagNoCookie     = ^uint32(0)
)

// request asks for one TCP socket: struct nlmsghdr, then struct inet_diag_req_v2.
type request struct {
	unix.NlMsghdr
	family, protocol, ext, pad uint8
	states                     uint32
	sport, dport               [2]byte
	src, dst                   [16]byte
	iface                      uint32
	cookie                     [2]uint32
}

// messageSize is that of what precedes the attributes of the answer: struct inet_diag_msg.
const messageSize = 72

// errNoCgroup says that the kernel does not tell the cgroups of sockets: one
// before 5.7, or without CONFIG_SOCK_CGROUP_DATA.
var errNoCgroup = errors.New("the kernel does not tell the cgroups of sockets")

// cgroupOf returns the cgroup of the TCP socket of this network namespace that
// has the two ends, 0 if there is none.
func cgroupOf(local, peer netip.AddrPort) (event.CgroupID, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("ask the kernel for a socket: %w", err)
	}
	defer unix.Close(fd)
	q := request{
		NlMsghdr: unix.NlMsghdr{Type: sockDiagByFamily, Flags: unix.NLM_F_REQUEST, Len: uint32(unsafe.Sizeof(request{}))},
		family:   unix.AF_INET6, protocol: unix.IPPROTO_TCP, states: ^uint32(0), cookie: [2]uint32{diagNoCookie, diagNoCookie},
	}
	if local.Addr().Is4() {
		q.family = unix.AF_INET
	}
	copy(q.src[:], local.Addr().AsSlice())
	copy(q.dst[:], peer.Addr().AsSlice())
	binary.BigEndian.PutUint16(q.sport[:], local.Port())
	binary.BigEndian.PutUint16(q.dport[:], peer.Port())
	if err := unix.Sendto(fd, unsafe.Slice((*byte)(unsafe.Pointer(&q)), unsafe.Sizeof(q)), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("ask the kernel for a socket: %w", err)
	}
	buf := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return 0, fmt.Errorf("ask the kernel for a socket: %w", err)
	}
	return parseAnswer(buf[:n])
}

func parseAnswer(b []byte) (event.CgroupID, error) {
	const head, body = unix.SizeofNlMsghdr, messageSize
	if len(b) < head+4 {
		return 0, errors.New("read the kernel's answer about a socket: it is cut")
	}
	size, kind := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint16(b[4:])
	switch {
	case kind == unix.NLMSG_ERROR:
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(b[head:])))
		if errno == unix.ENOENT {
			return 0, nil
		}
		return 0, fmt.Errorf("ask the kernel for a socket: %w", errno)
	case kind != sockDiagByFamily || int(size) > len(b) || int(size) < head+body:
		return 0, errors.New("read the kernel's answer about a socket: it is something else")
	}
	for b = b[head+body : size]; len(b) >= unix.SizeofRtAttr; {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < unix.SizeofRtAttr || size > len(b) {
			break
		}
		if kind == inetDiagCgroupID && size == unix.SizeofRtAttr+8 {
			return event.CgroupID(binary.NativeEndian.Uint64(b[unix.SizeofRtAttr:])), nil
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return 0, errNoCgroup
}
