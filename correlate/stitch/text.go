package stitch

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/sennit-io/sennit/schemas/event"
)

// text makes the strings of a timeline in chunks that they share: a timeline's
// strings live and die together, and one allocation serves hundreds of them.
type text struct{ buf []byte }

const chunk = 4 << 10

// room makes sure that n bytes fit without moving what has been handed out.
func (t *text) room(n int) int {
	if cap(t.buf)-len(t.buf) < n {
		t.buf = make([]byte, 0, max(chunk, n))
	}
	return len(t.buf)
}

func (t *text) from(i int) string {
	b := t.buf[i:]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (t *text) hex(b []byte) string {
	i := t.room(2 * len(b))
	t.buf = hex.AppendEncode(t.buf, b)
	return t.from(i)
}

func (t *text) time(v event.Time) string {
	i := t.room(40)
	t.buf = v.Append(t.buf)
	return t.from(i)
}

func (t *text) addr(a netip.Addr) string {
	i := t.room(64)
	t.buf = a.AppendTo(t.buf)
	return t.from(i)
}

func (t *text) addrPort(a netip.AddrPort) string {
	i := t.room(72)
	t.buf = a.AppendTo(t.buf)
	return t.from(i)
}

func (t *text) uint(v uint64) string {
	i := t.room(20)
	t.buf = strconv.AppendUint(t.buf, v, 10)
	return t.from(i)
}

// join makes one string of several.
func (t *text) join(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	i := t.room(n)
	for _, p := range parts {
		t.buf = append(t.buf, p...)
	}
	return t.from(i)
}

// request names a request by method and path.
func (t *text) request(h *event.HTTP) string {
	switch {
	case h.Method == "":
		return h.Path
	case h.Path == "":
		return h.Method
	}
	return t.join(h.Method, " ", h.Path)
}
