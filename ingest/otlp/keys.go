package otlp

import (
	"encoding/binary"
	"math/bits"
)

// keyTable finds aliases by name. It is an open-addressing table with a hash of
// three words of the name, a third of the cost of a map.
var keyTable = makeKeyTable()

const (
	keyTableBits = 9 // a quarter full: most misses end at the first look
	keyTableSize = 1 << keyTableBits
)

func makeKeyTable() (t [keyTableSize]*alias) {
	var ranks [slotCount]uint8
	for i := range aliases {
		a := &aliases[i]
		a.rank = ranks[a.slot]
		ranks[a.slot]++
		h := keyHash([]byte(a.key))
		for t[h] != nil {
			h = (h + 1) % keyTableSize
		}
		t[h] = a
	}
	return t
}

// lookup returns the alias of a name, nil for one that nobody reads.
func lookup(key []byte) *alias {
	for h := keyHash(key); ; h = (h + 1) % keyTableSize {
		a := keyTable[h]
		if a == nil || a.key == string(key) {
			return a
		}
	}
}

func keyHash(b []byte) uint64 {
	var head, mid, tail uint64
	if len(b) < 8 {
		var w [8]byte
		copy(w[:], b)
		head = binary.LittleEndian.Uint64(w[:])
	} else {
		head = binary.LittleEndian.Uint64(b)
		tail = binary.LittleEndian.Uint64(b[len(b)-8:])
		mid = binary.LittleEndian.Uint64(b[(len(b)-8)/2:])
	}
	h := head ^ bits.RotateLeft64(tail, 29) ^ bits.RotateLeft64(mid, 47)
	return (h + uint64(len(b))) * 0x9e3779b97f4a7c15 >> (64 - keyTableBits)
}
