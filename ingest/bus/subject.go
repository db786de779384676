package bus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
)

// Partitions is the number of partitions of the stream EVENTS, fixed for its
// life: another number would move nearly every node to another partition.
const Partitions = 64

// Names of the streams.
const (
	StreamEvents = "EVENTS"
	StreamOut    = "OUT"
	StreamDead   = "DEAD"
	// StreamUndelivered holds the dead letters of sinks.
	StreamUndelivered = "UNDELIVERED"
)

const (
	eventsPrefix = "sennit.events."
	outPrefix    = "sennit.out."
	outTimeline  = outPrefix + "timeline"
	outAlert     = outPrefix + "alert."            // severity
	outAgain     = outPrefix + "again."            // sink: what is sent once more, to it alone
	outPart      = outPrefix + "part"              // of bodies that are too large for a message
	tickSubject  = eventsPrefix + "tick.tick.tick" // no node's: its partition is none
	deadPrefix   = "sennit.dead."
	deadPart     = deadPrefix + "part"

	undeliveredPrefix = "sennit.undelivered." // sink
	undeliveredPart   = undeliveredPrefix + "_part"
)

// ErrSubject is wrapped by every error about a subject that no sender uses.
var ErrSubject = errors.New("bad subject")

// PartitionOf is the partition of a node, computed by the sender: FNV-1a.
func PartitionOf(node string) int {
	h := uint32(2166136261)
	for i := range len(node) {
		h = (h ^ uint32(node[i])) * 16777619
	}
	return int(h % Partitions)
}

// Subject is where a node publishes envelopes of one source.
func Subject(node string, source event.Source) string {
	return eventsPrefix + strconv.Itoa(PartitionOf(node)) + "." + NodeToken(node) + "." + source.String()
}

// parseSubject reads what Subject wrote. The node it returns is the one that the
// sender's credentials allow.
func parseSubject(subject string) (partition int, node string, err error) {
	rest, ok := strings.CutPrefix(subject, eventsPrefix)
	tokens := strings.Split(rest, ".")
	if !ok || len(tokens) != 3 {
		return 0, "", fmt.Errorf("%w: %q", ErrSubject, subject)
	}
	if node, err = NodeOf(tokens[1]); err != nil {
		return 0, "", err
	}
	if partition, err = strconv.Atoi(tokens[0]); err != nil || partition != PartitionOf(node) {
		return 0, "", fmt.Errorf("%w: %q is not the partition of %q", ErrSubject, tokens[0], node)
	}
	return partition, node, nil
}

// NodeToken makes one token of a subject of any name: what is no letter, digit
// or dash becomes =XX, the empty name "=".
func NodeToken(s string) string {
	if s == "" {
		return "="
	}
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// NodeOf reads what NodeToken wrote.
func NodeOf(s string) (string, error) {
	if s == "=" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			b.WriteByte(s[i])
			continue
		}
		v, err := strconv.ParseUint(s[i+1:min(len(s), i+3)], 16, 8)
		if err != nil {
			return "", fmt.Errorf("%w: node %q", ErrSubject, s)
		}
		b.WriteByte(byte(v))
		i += 2
	}
	if NodeToken(b.String()) != s { // one name, one subject
		return "", fmt.Errorf("%w: node %q", ErrSubject, s)
	}
	return b.String(), nil
}
