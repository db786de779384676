package disk

import (
	"encoding/binary"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// Version of the layout of keys and values, docs/state-format.md.
const Version = 2

// First bytes of the keys.
const (
	keyVersion  = 'v'
	keyPosition = 'p'
	keySession  = 's' // session
	keySegment  = 'e' // bucket, turn, part
	keyOutbox   = 'o' // turn, place
	keyTimeline = 't' // timeline id
	keyExpiry   = 'x' // bucket, timeline id
	keyPlace    = 'q' // stream
	keyHeard    = 'h' // message id
	keyAlert    = 'a' // alert id
	keyAlertEnd = 'y' // bucket, alert id
)

// bucketWidth is how much time shares a bucket.
const bucketWidth = time.Minute

func bucketOf(t event.Time) uint32 { return uint32(max(0, int64(t)/int64(bucketWidth))) }

func segmentKey(bucket uint32, turn uint64, part int) []byte {
	k := binary.BigEndian.AppendUint32([]byte{keySegment}, bucket)
	k = binary.BigEndian.AppendUint64(k, turn)
	return binary.BigEndian.AppendUint16(k, uint16(part))
}

// OutboxKey is the key of a turn's message, as Outbox gives it.
func OutboxKey(turn uint64, place int) []byte {
	k := binary.BigEndian.AppendUint64([]byte{keyOutbox}, turn)
	return binary.BigEndian.AppendUint32(k, uint32(place))
}

func expiryKey(first byte, bucket uint32, id string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{first}, bucket), id...)
}

// turnOf is the turn of a segment's or an outbox row's key.
func turnOf(k []byte) uint64 {
	if k[0] == keySegment {
		return binary.BigEndian.Uint64(k[5:])
	}
	return binary.BigEndian.Uint64(k[1:])
}
