package replay

import (
	"errors"
	"fmt"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// ErrNothingRead says that there were files, or none, and not one event in
// them.
var ErrNothingRead = errors.New("nothing could be read: no event in any file")

// PathError says that a path the caller named cannot be opened, or is not
// there. It is found before anything is read.
type PathError struct {
	Path string
	Err  error
}

func (e *PathError) Error() string { return fmt.Sprintf("open %s: %v", e.Path, e.Err) }

// Unwrap returns the reason, os.ErrNotExist say.
func (e *PathError) Unwrap() error { return e.Err }

// Result is what Run did.
type Result struct {
	// Sources counts records by the source that wrote them. What is not JSON
	// or of no known shape counts as event.SourceUnknown.
	Sources [event.Sources]SourceCount
	// Events is the number of events handed on.
	Events uint64
	// Files are the inputs in the order they were read; Skipped are files of
	// folders that were not.
	Files   []File
	Skipped []Skipped
	// Bad are the first unreadable records, Unknown the first well-formed ones
	// of an unknown type, at most MaxShown each; the counters are complete.
	Bad, Unknown []Problem
	// Spilled is the number of bytes written to temporary files.
	Spilled int64
}

// MaxShown is how many problems of each sort a Result names.
const MaxShown = 10

// SourceCount are the counters of one source. In = events + Bad + UnknownType.
type SourceCount struct {
	ingest.Tally
	// LostUpstream is the sum of what the source itself reports as lost before
	// it reached the file; a loss of unknown size counts as nothing here and
	// is still an event.
	LostUpstream uint64
}

// File is one input.
type File struct {
	Path string // as named or found; "-" is stdin
	// Bytes read as stored; Records, the JSON values found (an OTLP one holds
	// many of the source's records), and Events decoded.
	Bytes           int64
	Records, Events uint64
	// Bad and Unknown count records.
	Bad, Unknown uint64
	// Err says why reading ended before the end of the file, nil if it did
	// not: a truncated or corrupt stream, a limit, a read error. What came
	// before it counts.
	Err error
}

// Skipped is a file that was found and not read.
type Skipped struct{ Path, Why string }

// Problem is one record that gave no event.
type Problem struct {
	Path string
	Line int // of its first byte, from 1
	Why  string
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Why) }

// note keeps the first problems.
func note(list []Problem, p Problem) []Problem {
	if len(list) < MaxShown {
		list = append(list, p)
	}
	return list
}
