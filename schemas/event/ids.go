package event

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

// ErrBadID is wrapped by every error about an identifier that cannot be read.
var ErrBadID = errors.New("bad identifier")

// ID names one event for ever: the source's own identifier where it has one,
// else a hash of the normalised record. Two events with one ID are the same
// event seen twice.
type ID [16]byte

// TraceID is a W3C trace id. The zero value means "none".
type TraceID [16]byte

// SpanID is a W3C span (parent) id. The zero value means "none".
type SpanID [8]byte

// BootID tells the boots of one node apart (the kernel's boot_id). The zero
// value means "unknown", as in every source but Sennit's own.
type BootID [16]byte

// SocketCookie is the kernel's socket cookie (SO_COOKIE), unique within one
// boot of one node. Zero means "none".
type SocketCookie uint64

// SockAddr is the kernel address of a struct sock, which Tetragon publishes
// under the name "cookie". Addresses are reused: one holds only from the open
// to the close of its socket.
type SockAddr uint64

// CgroupID is the inode of a cgroup2 directory.
type CgroupID uint64

// ExecID is Tetragon's name of one execution of one process on one node.
type ExecID string

// ProcessRef names a process of one node and boot. Pids are reused, so the
// start time belongs to the name; StartNS is nanoseconds since boot, 0 when
// the source does not know it.
type ProcessRef struct {
	PID     uint32 `json:"pid,omitzero"`
	StartNS uint64 `json:"start_ns,omitzero,string"`
}

// Tuple is a transport connection as seen at one point: Src sent the packet
// (or opened the connection), Dst received it. Addresses are unmapped
// (no ::ffff:a.b.c.d), ports in host order.
type Tuple struct {
	Proto Proto          `json:"proto,omitzero"`
	Src   netip.AddrPort `json:"src,omitzero"`
	Dst   netip.AddrPort `json:"dst,omitzero"`
}

// Reverse returns the tuple as the other end sees it.
func (t Tuple) Reverse() Tuple { return Tuple{t.Proto, t.Dst, t.Src} }

// IsZero reports whether no end is known.
func (t Tuple) IsZero() bool { return t == Tuple{} }

// Complete reports whether both ends have an address and a port, so that the
// tuple can name a connection.
func (t Tuple) Complete() bool {
	return t.Src.IsValid() && t.Dst.IsValid() && t.Src.Port() != 0 && t.Dst.Port() != 0
}

// Canonical returns the direction-free form: the smaller end first.
func (t Tuple) Canonical() Tuple {
	if t.Src.Compare(t.Dst) > 0 {
		return t.Reverse()
	}
	return t
}

// IsZero reports whether the process is unknown.
func (p ProcessRef) IsZero() bool { return p == ProcessRef{} }

// IsZero reports whether the id is unset.
func (id ID) IsZero() bool { return id == ID{} }

// IsZero reports whether the id is unset.
func (id TraceID) IsZero() bool { return id == TraceID{} }

// IsZero reports whether the id is unset.
func (id SpanID) IsZero() bool { return id == SpanID{} }

// IsZero reports whether the id is unset.
func (id BootID) IsZero() bool { return id == BootID{} }

func (id ID) String() string      { return hex.EncodeToString(id[:]) }
func (id TraceID) String() string { return hex.EncodeToString(id[:]) }
func (id SpanID) String() string  { return hex.EncodeToString(id[:]) }
func (id BootID) String() string  { return hex.EncodeToString(id[:]) }

// String returns the cookie in decimal, the form of every output: JSON numbers
// lose bits beyond 2^53.
func (c SocketCookie) String() string { return strconv.FormatUint(uint64(c), 10) }
func (a SockAddr) String() string     { return strconv.FormatUint(uint64(a), 10) }
func (c CgroupID) String() string     { return strconv.FormatUint(uint64(c), 10) }

// Hash64 spreads a trace id over partitions.
func (id TraceID) Hash64() uint64 {
	return mix64(binary.LittleEndian.Uint64(id[:8]) ^ mix64(binary.LittleEndian.Uint64(id[8:])))
}

func mix64(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// MarshalText renders lower-case hex.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// MarshalText renders lower-case hex.
func (id TraceID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// MarshalText renders lower-case hex.
func (id SpanID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// MarshalText renders lower-case hex.
func (id BootID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// MarshalText renders decimal, so that no JSON reader rounds it.
func (c SocketCookie) MarshalText() ([]byte, error) {
	return strconv.AppendUint(nil, uint64(c), 10), nil
}

// MarshalText renders decimal, so that no JSON reader rounds it.
func (a SockAddr) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(a), 10), nil }

// MarshalText renders decimal, so that no JSON reader rounds it.
func (c CgroupID) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(c), 10), nil }

// UnmarshalText reads hex of either case.
func (id *ID) UnmarshalText(b []byte) error { return decodeHex(id[:], b) }

// UnmarshalText reads hex of either case.
func (id *TraceID) UnmarshalText(b []byte) error { return decodeHex(id[:], b) }

// UnmarshalText reads hex of either case.
func (id *SpanID) UnmarshalText(b []byte) error { return decodeHex(id[:], b) }

// UnmarshalText reads hex of either case.
func (id *BootID) UnmarshalText(b []byte) error { return decodeHex(id[:], b) }

// UnmarshalText reads decimal.
func (c *SocketCookie) UnmarshalText(b []byte) error { return decodeUint((*uint64)(c), b) }

// UnmarshalText reads decimal.
func (a *SockAddr) UnmarshalText(b []byte) error { return decodeUint((*uint64)(a), b) }

// UnmarshalText reads decimal.
func (c *CgroupID) UnmarshalText(b []byte) error { return decodeUint((*uint64)(c), b) }

func decodeHex(dst, src []byte) error {
	if len(src) != 2*len(dst) {
		return fmt.Errorf("%w: %q is not %d hex digits", ErrBadID, src, 2*len(dst))
	}
	if _, err := hex.Decode(dst, src); err != nil {
		return fmt.Errorf("%w: %q: %w", ErrBadID, src, err)
	}
	return nil
}

func decodeUint(dst *uint64, src []byte) error {
	v, err := strconv.ParseUint(string(src), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadID, err)
	}
	*dst = v
	return nil
}
