package frame

import (
	"bytes"
	"fmt"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// assembler puts values together that are not an object on a line of its own.
// Elements of an array of objects become records of their own.
type assembler struct {
	grammar
	max     int  // bytes of one value
	escaped bool // the last byte was a backslash in a string
	array   bool // inside an array that is being unwrapped
	pending bool // an array was opened that may turn out to be one of objects
	// buf is the value so far, up to the current piece; start is where it goes
	// on in the piece. line and indent are those of its first byte.
	buf    []byte
	start  int
	line   int
	indent int
	multi  bool // the value has left its first line
	// swallow says that a value broke: deeper indented lines belong to it.
	swallow bool
}

// Why a value ended early.
var (
	whyCut    = "not valid JSON: the value is cut off where its first line ends, or broken further down"
	whyBroken = "not valid JSON: the value breaks off within the line"
	whyEnd    = "not valid JSON: the file ends in the middle of the value"
	whyDepth  = fmt.Sprintf("%v: nesting depth over %d", scan.ErrLimit, scan.MaxDepth)
)

func whyLimit(n int) string { return fmt.Sprintf("%v: record over %d bytes", scan.ErrLimit, n) }

// active reports whether the next line belongs to something under way.
func (a *assembler) active() bool { return a.state != outside || a.array || a.swallow }

// feed reads a piece of a line, without its newline. first tells that the piece
// begins the line, last that it ends it.
func (a *assembler) feed(b *Block, piece []byte, line int, at event.Time, first, last bool) {
	if first && a.state == outside && a.swallow {
		if a.swallows(piece) {
			return
		}
		a.swallow = false
	}
	a.start = 0
	for i := 0; i < len(piece); i++ {
		c := piece[i]
		switch {
		case a.inText():
			if i = a.text(piece, i); i < len(piece) && piece[i] < ' ' {
				a.broken(b, piece, line, at, last)
				return
			}
		case a.state == inScalar:
			if !space(c) && c != ',' && c != ']' && c != '}' {
				continue
			}
			a.endValue()
			if a.state == outside {
				a.finish(b, piece[a.start:i], at)
			}
			i-- // look at the byte that ended it once more
			continue
		case space(c):
			continue
		case a.state == outside:
			if a.between(c, piece, i, first) {
				continue
			}
			a.line, a.indent, a.multi, a.start, a.depth = line, indent(piece), false, i, 0
			a.pending = c == '[' && !a.array
			if !a.begin(c) { // text that is no JSON: the rest of the line is one bad record
				b.bad(line, at, fmt.Sprintf("not valid JSON: unexpected %q", c))
				a.state = outside
				return
			}
			continue
		case a.pending && c == ']': // an empty array is no record
			a.drop()
			continue
		case a.pending:
			a.pending = false
			if c == '{' { // an array of objects: each one a record
				a.array, a.depth, a.buf = true, 0, a.buf[:0]
				a.line, a.indent, a.multi, a.start = line, indent(piece), false, i
			}
			fallthrough
		default:
			if !a.step(c) {
				a.broken(b, piece, line, at, last)
				return
			}
		}
		if a.state == outside {
			a.finish(b, piece[a.start:i+1], at)
		}
	}
	switch {
	case !last:
	case a.inText(): // no string goes over the end of a line
		a.broken(b, piece, line, at, last)
		return
	case a.state == inScalar:
		a.endValue()
		if a.state == outside {
			a.finish(b, piece[a.start:], at)
		}
	}
	if a.state == outside {
		return
	}
	a.buf = append(a.buf, piece[a.start:]...)
	if last {
		a.buf = append(a.buf, '\n')
		a.multi = true
	}
	if len(a.buf) > a.max {
		b.bad(a.line, at, whyLimit(a.max))
		a.drop()
		a.swallow = true
	}
}

// text goes to the end of a string and returns its index, or that of a byte
// that must not be in one, or the length of the piece.
func (a *assembler) text(piece []byte, i int) int {
	for ; i < len(piece); i++ {
		switch c := piece[i]; {
		case a.escaped:
			a.escaped = false
		case c == '"':
			if a.state == inKey {
				a.state = wantColon
			} else {
				a.endValue()
			}
			return i
		case c == '\\':
			a.escaped = true
		case c < ' ':
			return i
		}
	}
	return i
}

// between reports whether c may stand between two values.
func (a *assembler) between(c byte, piece []byte, i int, first bool) bool {
	switch {
	case a.array && c == ']':
		a.array = false
		return true
	case c == ',':
		// Outside of arrays, only the comma behind an object that someone cut
		// out of a list.
		return a.array || first && i > 0 && len(bytes.TrimSpace(piece[i+1:])) == 0
	}
	return false
}

// finish hands on the value whose last part is tail.
func (a *assembler) finish(b *Block, tail []byte, at event.Time) {
	rec := tail
	if len(a.buf) > 0 {
		a.buf = append(a.buf, tail...)
		rec = a.buf
	}
	if len(rec) > a.max {
		b.bad(a.line, at, whyLimit(a.max))
	} else {
		b.join(rec, a.line, at)
	}
	a.drop()
}

// broken ends a value that went wrong in piece. What is left of the line
// belongs to it if it began there; otherwise only its first line is given up,
// and the following ones are read again.
func (a *assembler) broken(b *Block, piece []byte, line int, at event.Time, last bool) {
	why := whyBroken
	switch {
	case a.depth > scan.MaxDepth:
		why = whyDepth
	case a.multi:
		why = whyCut
	}
	b.bad(a.line, at, why)
	buf, from, multi := a.take()
	if multi {
		a.refeed(b, buf, from, at)
		a.feed(b, piece, line, at, true, last)
	}
}

// take takes the value out of the assembler.
func (a *assembler) take() (buf []byte, line int, multi bool) {
	buf, line, multi = a.buf, a.line, a.multi
	a.buf = nil
	a.drop()
	a.swallow = true
	return buf, line, multi
}

func (a *assembler) drop() {
	a.state, a.depth, a.pending, a.escaped = outside, 0, false, false
	if cap(a.buf) > keepSize {
		a.buf = nil
	}
	a.buf = a.buf[:0]
}

// refeed reads the lines of a broken value again, all but the first. Each must
// stand alone this time, so that no line is read more than twice.
func (a *assembler) refeed(b *Block, buf []byte, from int, at event.Time) {
	for line := from; ; line++ {
		nl := bytes.IndexByte(buf, '\n')
		if nl < 0 {
			return
		}
		if line > from {
			a.feed(b, buf[:nl], line, at, true, true)
		}
		if a.state != outside {
			b.bad(a.line, at, whyBroken)
			a.drop()
			a.swallow = true
		}
		buf = buf[nl+1:]
	}
}

// end tells that no further line comes.
func (a *assembler) end(b *Block, at event.Time) {
	if a.state != outside {
		b.bad(a.line, at, whyEnd)
		buf, from, _ := a.take()
		a.refeed(b, buf, from, at)
	}
	a.array, a.swallow = false, false
}

// swallows reports whether a line belongs to the broken value before it.
func (a *assembler) swallows(line []byte) bool {
	n := indent(line)
	if n == len(line) || n > a.indent {
		return true
	}
	switch c := line[n]; {
	case c == '}' || c == ']' && !a.array:
		return n == a.indent
	default:
		return c == '"'
	}
}

func indent(line []byte) int {
	n := 0
	for n < len(line) && (line[n] == ' ' || line[n] == '\t') {
		n++
	}
	return n
}
