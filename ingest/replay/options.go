package replay

import (
	"io"
	"runtime"

	"github.com/sennit-io/sennit/schemas/redact"
)

// Order is the sequence in which events are handed on.
type Order uint8

const (
	// OrderEvent is the canonical order: event time, source rank, event id
	// (event.Compare), and the canonical JSON of the event where all three are
	// equal. It does not depend on the order of lines or files.
	OrderEvent Order = iota
	// OrderArrival is the order in which the lines would have arrived live: by
	// the time an event was observed (noted in the record, else by the CRI
	// prefix of its line), else by the newest event time its file had reached,
	// and among equals by file and line.
	OrderArrival
)

// DefaultSortMemory is Options.SortMemory where none is given, in bytes.
const DefaultSortMemory = 1 << 30

// Options of Run. Only Paths is required.
type Options struct {
	// Paths are files, folders, or "-" for Stdin. A folder is walked: files
	// that end in .json, .jsonl, .ndjson or .log, also with .gz or .zst behind
	// it, are read in the order of their names; others, and files of ground
	// truth (truth*.jsonl, *.truth-*.jsonl), are skipped and named in the
	// result. A file named here is read whatever it is called.
	Paths []string
	// Stdin is read for the path "-".
	Stdin io.Reader
	Order Order
	// Redact is what may pass; its zero value drops everything that can be.
	Redact redact.Policy
	// SortMemory is about how many bytes of decoded events are held before
	// they are sorted to disk; 0 means DefaultSortMemory.
	SortMemory int64
	// TempDir is where sorted events go that do not fit; empty means
	// os.TempDir().
	TempDir string
	// Workers is the number of decoding goroutines; 0 means one for each
	// processor. The result does not depend on it.
	Workers int
	// Progress, if set, is called about ten times a second, and at the end of
	// each phase, from the goroutine that called Run.
	Progress func(Progress)
}

func (o *Options) setDefaults() {
	if o.SortMemory <= 0 {
		o.SortMemory = DefaultSortMemory
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
}

// Phase is what Run is doing.
type Phase uint8

// Phases, in order.
const (
	PhaseRead Phase = iota // reading, decoding, sorting to disk if need be
	PhaseSort              // sorting what is in memory
	PhaseEmit              // handing events on
)

// String returns the phase as a verb for a meter.
func (p Phase) String() string { return [...]string{"read", "sort", "emit"}[p] }

// Progress says how far Run is.
type Progress struct {
	Phase Phase
	// Bytes of the files as they are on disk, compressed; Total is 0 when it
	// is not known (stdin).
	Bytes, Total int64
	// Events read so far, and handed on so far.
	Read, Emitted uint64
}
