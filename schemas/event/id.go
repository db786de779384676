package event

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hasher builds the id of an event that has none of its own: the first 128
// bits of SHA-256 over length-prefixed parts. It is cryptographic because an
// outsider who could make two records collide would have one of them dropped
// as a duplicate. The zero value is ready; a Hasher that is reused does not
// allocate.
type Hasher struct{ buf []byte }

// Reset starts a new id of the given kind.
func (h *Hasher) Reset(k Kind) *Hasher {
	h.buf = append(h.buf[:0], byte(k))
	return h
}

// String adds a part.
func (h *Hasher) String(s string) *Hasher {
	h.buf = binary.AppendUvarint(h.buf, uint64(len(s)))
	h.buf = append(h.buf, s...)
	return h
}

// Bytes adds a part.
func (h *Hasher) Bytes(b []byte) *Hasher {
	h.buf = binary.AppendUvarint(h.buf, uint64(len(b)))
	h.buf = append(h.buf, b...)
	return h
}

// Uint adds a number.
func (h *Hasher) Uint(v uint64) *Hasher {
	h.buf = binary.LittleEndian.AppendUint64(h.buf, v)
	return h
}

// Sum returns the id.
func (h *Hasher) Sum() ID {
	sum := sha256.Sum256(h.buf)
	return ID(sum[:16])
}
