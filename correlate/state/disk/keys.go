package disk

import "encoding/binary"

// Version of the layout of the folder, docs/state-format.md.
const Version = 5

// First bytes of the keys.
const (
	keyVersion  = 'v'
	keyPosition = 'p'
	keySession  = 's' // session
	keyBundle   = 'o' // turn, place: what is to be sent
	keyPlace    = 'q' // stream
	keyHeard    = 'h' // message id
	// A result is found by its kind and the id of what it is of: KindTimeline, KindAlert.
)

func bundleKey(turn uint64, place int) []byte {
	k := binary.BigEndian.AppendUint64([]byte{keyBundle}, turn)
	return binary.BigEndian.AppendUint32(k, uint32(place))
}

func placeKey(stream string) string { return string(rune(keyPlace)) + stream }
