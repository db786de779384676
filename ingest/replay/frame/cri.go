package frame

import (
	"bytes"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// stream is where a line came from; each has its own values under way.
type stream uint8

const (
	plain stream = iota // no CRI prefix
	stdout
	stderr
	streams
)

// criLine takes a line of a container runtime's log apart:
//
//	2026-11-23T07:16:00.123456789Z stdout F {"flow":…}
//
// The tag is F for a whole line or its last part and P for a part that goes on
// (k8s.io/kubernetes/pkg/kubelet/kuberuntime/logs; further tags may follow
// behind a colon).
func criLine(line []byte) (content []byte, at event.Time, from stream, partial, ok bool) {
	sp := bytes.IndexByte(line[:min(len(line), 40)], ' ')
	if sp < 20 {
		return nil, 0, 0, false, false
	}
	if at, ok = scan.Time(line[:sp]); !ok {
		return nil, 0, 0, false, false
	}
	rest := line[sp+1:]
	switch {
	case bytes.HasPrefix(rest, []byte("stdout ")):
		from = stdout
	case bytes.HasPrefix(rest, []byte("stderr ")):
		from = stderr
	default:
		return nil, 0, 0, false, false
	}
	rest = rest[len("stdout "):]
	tag := rest
	if sp = bytes.IndexByte(rest, ' '); sp >= 0 {
		tag, content = rest[:sp], rest[sp+1:]
	}
	if len(tag) == 0 || len(tag) > 1 && tag[1] != ':' || tag[0] != 'F' && tag[0] != 'P' {
		return nil, 0, 0, false, false
	}
	return content, at, from, tag[0] == 'P', true
}
