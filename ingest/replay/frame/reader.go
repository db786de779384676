package frame

import (
	"bytes"
	"io"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// blockSize is how much of the stream goes into a block, in bytes.
const blockSize = 256 << 10

// Reader cuts one stream into blocks of records. Not for concurrent use.
type Reader struct {
	r       io.Reader
	err     error // of r, io.EOF included
	max     int   // bytes of one record
	line    int   // number of the line that carry begins with
	carry   []byte
	discard bool // in a line that is too long
	inLine  bool // the assembler had the beginning of this line already
	asm     [streams]assembler
	part    [streams]partial
}

// partial is a CRI line whose last part has not come yet.
type partial struct {
	buf  []byte
	line int
	at   event.Time
	over bool
}

// NewReader returns a Reader of r, whose bytes are neither compressed nor
// anything but UTF-8 (a byte order mark is skipped).
func NewReader(r io.Reader) *Reader {
	f := &Reader{r: r, max: scan.MaxRecord, line: 1}
	for i := range f.asm {
		f.asm[i].max = f.max
	}
	return f
}

// Next fills b with the next records. At the end it returns io.EOF, or the
// error that ended the stream early, after the records before it.
func (f *Reader) Next(b *Block) error {
	b.reset()
	for len(b.Records) == 0 {
		if f.err != nil && len(f.carry) == 0 {
			f.end(b)
			if len(b.Records) == 0 {
				return f.err
			}
			return nil
		}
		f.fill(b)
		f.cut(b)
	}
	return nil
}

// fill moves the carry to the block's data and reads on.
func (f *Reader) fill(b *Block) {
	want := blockSize
	if n := 2 * len(f.carry); n > want {
		want = n
	}
	if cap(b.data) < want {
		b.data = make([]byte, 0, want)
	}
	b.data = append(b.data[:0], f.carry...)
	f.carry = f.carry[:0]
	for f.err == nil && len(b.data) < cap(b.data) {
		var n int
		n, f.err = f.r.Read(b.data[len(b.data):cap(b.data)])
		b.data = b.data[:len(b.data)+n]
	}
}

// cut finds the records in data and leaves the rest to the carry.
func (f *Reader) cut(b *Block) {
	data := b.data
	pos := 0
	for pos < len(data) {
		nl := bytes.IndexByte(data[pos:], '\n')
		if nl < 0 {
			if f.err == nil {
				break
			}
			nl = len(data) - pos
		}
		end := pos + nl
		if a := &f.asm[plain]; a.state == outside && !a.array && !f.discard && !f.inLine {
			// Fast path: an object on a line, and the next line does not go on
			// with it.
			if stop := trimRight(data, pos, end); stop-pos >= 2 && data[pos] == '{' && data[stop-1] == '}' && stop-pos <= f.max {
				next, known := peek(data, end)
				if !known && f.err == nil && len(data)-end < blockSize {
					break
				}
				if next != ',' && next != ']' && next != '}' {
					b.Records = append(b.Records, Record{Line: f.line, start: pos, end: stop})
					a.swallow = false
					pos = end + 1
					f.line++
					continue
				}
			}
		}
		f.wholeLine(b, pos, end)
		pos = end + 1
		f.line++
	}
	if pos >= len(data) {
		return
	}
	f.rest(b, data[pos:])
}

// peek returns the first byte behind i that is not space.
func peek(data []byte, i int) (c byte, known bool) {
	for ; i < len(data); i++ {
		if !space(data[i]) {
			return data[i], true
		}
	}
	return 0, false
}

func trimRight(data []byte, start, end int) int {
	for end > start && space(data[end-1]) {
		end--
	}
	return end
}

// wholeLine is what is not the fast path.
func (f *Reader) wholeLine(b *Block, pos, end int) {
	line := b.data[pos:trimRight(b.data, pos, end)]
	a := &f.asm[plain]
	switch {
	case f.discard:
		f.discard = false
		return
	case f.inLine:
		f.inLine = false
		a.feed(b, line, f.line, 0, false, true)
		return
	}
	line = bytes.TrimPrefix(line, bom)
	if len(line) > f.max && line[0] != '[' && !a.active() {
		b.bad(f.line, 0, whyLimit(f.max))
		return
	}
	if a.state == outside && !a.array && len(line) > 0 && line[0] >= '0' && line[0] <= '9' {
		if content, at, from, part, ok := criLine(line); ok {
			f.cri(b, content, at, from, part)
			return
		}
	}
	f.logical(b, line, f.line, 0, plain)
}

var bom = []byte("\xef\xbb\xbf")

// logical takes one line without prefix.
func (f *Reader) logical(b *Block, line []byte, no int, at event.Time, from stream) {
	a := &f.asm[from]
	if !a.active() {
		trimmed := bytes.TrimLeft(line, " \t\r")
		switch {
		case len(trimmed) == 0:
			return
		case from != plain && line[0] == '{' && line[len(line)-1] == '}',
			trimmed[0] != '{' && trimmed[0] != '[':
			b.join(line, no, at) // whole, or text on which the decoder has the word
			return
		}
	}
	a.feed(b, line, no, at, true, true)
}

// cri takes the content of one line of a container runtime's log.
func (f *Reader) cri(b *Block, content []byte, at event.Time, from stream, part bool) {
	p := &f.part[from]
	no := f.line
	if p.line > 0 {
		no = p.line
	}
	if part || p.line > 0 {
		p.line, p.at = no, at
		if len(p.buf)+len(content) > f.max {
			p.buf, p.over = p.buf[:0], true
		}
		if !p.over {
			p.buf = append(p.buf, content...)
		}
		if part {
			return
		}
		content = p.buf
	}
	if p.over {
		b.bad(no, at, whyLimit(f.max))
	} else {
		f.logical(b, content, no, at, from)
	}
	*p = partial{buf: p.buf[:0]}
}

// rest keeps the beginning of a line for the next block, or, when the line is
// long, hands it on in pieces.
func (f *Reader) rest(b *Block, data []byte) {
	a := &f.asm[plain]
	long := len(data) >= blockSize && bytes.IndexByte(data, '\n') < 0
	switch {
	case f.discard:
	case f.inLine || long && (a.active() || data[0] == '['):
		a.feed(b, data, f.line, 0, !f.inLine, false)
		f.inLine = true
	case len(data) > f.max && long:
		b.bad(f.line, 0, whyLimit(f.max))
		f.discard = true
	default:
		f.carry = append(f.carry, data...)
	}
}

// end flushes what waits for a line that does not come.
func (f *Reader) end(b *Block) {
	for i := range f.part {
		p := &f.part[i]
		if p.line == 0 {
			continue
		}
		b.bad(p.line, p.at, "cut off: the last part of a CRI line is missing")
		*p = partial{}
	}
	for i := range f.asm {
		f.asm[i].end(b, 0)
	}
}
