package bpf

import (
	"bytes"
	"fmt"
	"unsafe"
)

// What a record of a frame is the first of (Frame.First).
const (
	FirstOfAll   = 1 // nothing came before it in its direction
	FirstOfFrame = 2
)

// Directions of data, as seen from the socket.
const (
	Out = 0
	In  = 1
)

// Roles of a socket.
const (
	RoleUnknown = 0
	RoleClient  = 1
	RoleServer  = 2
)

// Kind is what a record says. The kinds are declared in record.h.
type Kind uint32

// Kinds of records.
const (
	KindOpen     = Kind(shimKindKIND_OPEN)     // Socket: connected or accepted
	KindOwner    = Kind(shimKindKIND_OWNER)    // Socket: a process uses it for the first time
	KindClose    = Kind(shimKindKIND_CLOSE)    // Socket: the end, or a connect that failed
	KindQuiet    = Kind(shimKindKIND_QUIET)    // Socket: only cookie, role and progress
	KindRequest  = Kind(shimKindKIND_REQUEST)  // Head
	KindResponse = Kind(shimKindKIND_RESPONSE) // Head
	KindHello    = Kind(shimKindKIND_HELLO)    // Head of a TLS connection: a ClientHello
	KindExec     = Kind(shimKindKIND_EXEC)     // Process with its arguments
	KindRunning  = Kind(shimKindKIND_RUNNING)  // Process: it was there before
	KindExit     = Kind(shimKindKIND_EXIT)     // Process
	KindPlain    = Kind(shimKindKIND_PLAIN)    // Head without data: how far plain text got is in Before
	KindFrame    = Kind(shimKindKIND_FRAME)    // Frame of HTTP/2, or a piece of one
	KindStanding = Kind(shimKindKIND_STANDING) // Socket: it is open
	KindFork     = Kind(shimKindKIND_FORK)     // Process that runs what its parent does
	KindBody     = Kind(shimKindKIND_BODY)     // Head: a piece of a body within TLS that answers a client
	KindBurst    = Kind(shimKindKIND_BURST)    // Socket of a TLS connection: only cookie, role, progress and turn
	kinds        = int(shimKindKINDS)
)

var kindNames = [kinds]string{"none", "open", "owner", "close", "quiet", "request", "response", "hello", "exec", "running", "exit", "plain", "frame", "standing", "fork", "body", "burst"}

func (k Kind) String() string {
	if int(k) < kinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

// The records, in the layout that record.h gives them. All times are
// nanoseconds since boot (CLOCK_BOOTTIME), ports in host order, addresses in
// network order (IPv4 in the first four bytes).
type (
	// Socket is one socket under all its names. Error is an errno.
	Socket = shimSocketRecord
	// Head is a packet that begins like a head; its bytes follow in Record.Data.
	Head = shimHeadRecord
	// Frame is a frame of HTTP/2 or a piece of one; what was captured of its
	// payload follows in Record.Data. Captured are header blocks and, within TLS, of
	// DATA that a client reads as much as is allowed.
	Frame = shimFrameRecord
	// Process is an execution or an end. ExitCode is a wait status.
	Process = shimProcessRecord
	// Identity names a process by its pid and its leader's start, and a thread.
	Identity = shimProcess
	// Progress is how far a connection got: indexed by Out and In.
	Progress = shimProgress
)

// Record is one record of the ring. One of the pointers is set; they and Data
// point into the ring, which must not be written, and are good until the next read.
type Record struct {
	Kind    Kind
	Socket  *Socket
	Head    *Head
	Frame   *Frame
	Process *Process
	// Data is the begin of the packet, or the arguments of an execution,
	// each ended by a NUL. It is at most as long as what was captured.
	Data []byte
}

// Parse reads one record. It reads nothing beyond b and keeps it.
func Parse(b []byte) (Record, error) {
	if len(b) < 4 || uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 != 0 {
		return Record{}, errShort(b)
	}
	r := Record{Kind: Kind(*(*uint32)(unsafe.Pointer(&b[0])))}
	switch r.Kind {
	case KindOpen, KindOwner, KindClose, KindQuiet, KindStanding, KindBurst:
		if len(b) < int(unsafe.Sizeof(Socket{})) {
			return Record{}, errShort(b)
		}
		r.Socket = (*Socket)(unsafe.Pointer(&b[0]))
		if r.Socket.Role > RoleServer {
			return Record{}, fmt.Errorf("read record of %s: role %d", r.Kind, r.Socket.Role)
		}
	case KindRequest, KindResponse, KindHello, KindPlain, KindBody:
		size := int(unsafe.Sizeof(Head{}))
		if len(b) < size {
			return Record{}, errShort(b)
		}
		r.Head = (*Head)(unsafe.Pointer(&b[0]))
		r.Data = b[size:]
		if n := int(r.Head.Captured); n > len(r.Data) {
			return Record{}, errShort(b)
		} else if r.Data = r.Data[:n]; r.Head.Direction > In {
			return Record{}, fmt.Errorf("read record of %s: direction %d", r.Kind, r.Head.Direction)
		}
	case KindFrame:
		size := int(unsafe.Sizeof(Frame{}))
		if len(b) < size {
			return Record{}, errShort(b)
		}
		r.Frame = (*Frame)(unsafe.Pointer(&b[0]))
		r.Data = b[size:]
		if n := int(r.Frame.Captured); n > len(r.Data) {
			return Record{}, errShort(b)
		} else if r.Data = r.Data[:n]; r.Frame.Direction > In || r.Frame.Role > RoleServer {
			return Record{}, fmt.Errorf("read record of %s: direction %d, role %d", r.Kind, r.Frame.Direction, r.Frame.Role)
		}
	case KindExec, KindRunning, KindExit, KindFork:
		size := int(unsafe.Sizeof(Process{}))
		if len(b) < size {
			return Record{}, errShort(b)
		}
		r.Process = (*Process)(unsafe.Pointer(&b[0]))
		if r.Kind == KindExec {
			r.Data = b[size:]
			r.Data = r.Data[:min(len(r.Data), int(r.Process.ArgsLength))]
		}
	default:
		return Record{}, fmt.Errorf("read record: %s is unknown", r.Kind)
	}
	return r, nil
}

func errShort(b []byte) error {
	return fmt.Errorf("read record: %d bytes are too few, or not aligned", len(b))
}

// Binary returns the path that was executed.
func Binary(p *Process) []byte {
	b := unsafe.Slice((*byte)(unsafe.Pointer(&p.Binary)), len(p.Binary))
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return b
}
