package frame

import "github.com/sennit-io/sennit/schemas/event"

// Block is some records and the memory they lie in. The zero value is ready
// for Reader.Next; one that is used again allocates nothing once it has
// reached its size.
type Block struct {
	Records []Record
	data    []byte // read from the stream
	joined  []byte // records put together from several lines
}

// Record is one value, or what should have been one.
type Record struct {
	// Observed is when the container runtime had the line, zero without a CRI
	// prefix.
	Observed event.Time
	// Line is the number of the line it starts on, from 1.
	Line int
	// Why says why it cannot be read; empty for a record worth decoding. The
	// bytes of an unreadable record are not kept.
	Why        string
	start, end int
	joined     bool
}

// Bytes returns the text of a record of this block, valid until the block is
// filled again.
func (b *Block) Bytes(r *Record) []byte {
	if r.joined {
		return b.joined[r.start:r.end:r.end]
	}
	return b.data[r.start:r.end:r.end]
}

func (b *Block) reset() {
	b.Records, b.data, b.joined = b.Records[:0], b.data[:0], b.joined[:0]
	if cap(b.data) > keepSize {
		b.data = nil
	}
	if cap(b.joined) > keepSize {
		b.joined = nil
	}
}

// keepSize is how much memory a block keeps for the next use.
const keepSize = 4 << 20

// join adds a record from memory outside of data.
func (b *Block) join(rec []byte, line int, observed event.Time) {
	start := len(b.joined)
	b.joined = append(b.joined, rec...)
	b.Records = append(b.Records, Record{Observed: observed, Line: line, start: start, end: len(b.joined), joined: true})
}

func (b *Block) bad(line int, observed event.Time, why string) {
	b.Records = append(b.Records, Record{Observed: observed, Line: line, Why: why})
}
