package event

import (
	"encoding/binary"
	"encoding/hex"
)

// MarshalText renders 64 hex digits, 16 a hash: as JSON numbers they would lose
// bits in many readers.
func (h Hashes) MarshalText() ([]byte, error) {
	raw := h.raw()
	return hex.AppendEncode(nil, raw[:]), nil
}

// UnmarshalText reads what MarshalText wrote.
func (h *Hashes) UnmarshalText(b []byte) error {
	var raw [32]byte
	if err := decodeHex(raw[:], b); err != nil {
		return err
	}
	for i := range h {
		h[i] = binary.BigEndian.Uint64(raw[8*i:])
	}
	return nil
}

func (h Hashes) raw() (raw [32]byte) {
	for i, v := range h {
		binary.BigEndian.PutUint64(raw[8*i:], v)
	}
	return raw
}
