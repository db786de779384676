package socket

import "bytes"

// chunks takes the framing off a chunked body of HTTP/1 (RFC 9112, 7.1).
type chunks struct {
	left  uint64 // of the chunk
	state uint8
}

const (
	chunkSize uint8 = iota
	chunkRest       // of the line with the size
	chunkData
	chunkEnd // the end of the line after the data
	chunkTrailer
)

// next returns the data at the begin of b, which may be none, and what follows.
// It is not ok where b is no chunk.
func (c *chunks) next(b []byte) (data, rest []byte, ok bool) {
	switch c.state {
	case chunkSize:
		digit := bytes.IndexByte([]byte("0123456789abcdef"), b[0]|0x20)
		if b[0] <= '9' {
			digit = int(b[0]) - '0'
		}
		switch {
		case 0 <= digit && digit < 16 && c.left < 1<<32:
			c.left = c.left<<4 | uint64(digit)
			return nil, b[1:], true
		case b[0] == ';' || b[0] == '\r' || b[0] == ' ':
			c.state = chunkRest
			return nil, b, true
		}
		return nil, nil, false
	case chunkRest, chunkEnd:
		_, rest, whole := bytes.Cut(b, []byte("\n"))
		switch {
		case !whole:
		case c.state == chunkEnd:
			c.state = chunkSize
		case c.left == 0:
			c.state = chunkTrailer
		default:
			c.state = chunkData
		}
		return nil, rest, true
	case chunkData:
		n := min(c.left, uint64(len(b)))
		if c.left -= n; c.left == 0 {
			c.state = chunkEnd
		}
		return b[:n], b[n:], true
	}
	return nil, nil, true // trailers
}
