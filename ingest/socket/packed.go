package socket

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
)

// Limits of compressed answers. They are unpacked when they have ended, so they are
// kept until then: maxPacked bytes of each, maxAllPacked of all. Of what comes out
// maxUnpacked bytes are read, at any ratio.
const (
	maxPacked    = 1 << 18
	maxAllPacked = 1 << 24
	maxUnpacked  = 4 << 20
)

// packing is how a body is compressed (RFC 9110, 8.4.1).
type packing uint8

const (
	packingNone packing = iota
	packingGzip
	packingDeflate
	packingOther // brotli, zstd, several in turn
)

// packingOf reads a Content-Encoding.
func packingOf(value []byte) packing {
	switch value = bytes.TrimSpace(value); {
	case len(value) == 0, is(value, "identity"):
		return packingNone
	case is(value, "gzip"), is(value, "x-gzip"):
		return packingGzip
	case is(value, "deflate"):
		return packingDeflate
	}
	return packingOther
}

// pack keeps a piece of a compressed body.
func (p *answers) pack(a *answer, b []byte) {
	if len(a.packed)+len(b) > maxPacked || p.packed+len(b) > maxAllPacked {
		p.opaque(a)
		return
	}
	p.packed += len(b)
	a.packed = append(a.packed, b...)
}

// opaque gives up a body that cannot be read.
func (p *answers) opaque(a *answer) {
	p.release(a)
	a.form = formOther
	p.unread++
}

// release forgets the compressed bytes: everything that the model said is in them.
func (p *answers) release(a *answer) {
	clear(a.packed)
	p.packed -= len(a.packed)
	a.packed = a.packed[:0]
}

// unpack reads a compressed body that has ended.
func (p *answers) unpack(a *answer) {
	if a.form != formPacked || len(a.packed) == 0 {
		return
	}
	var from io.ReadCloser
	var err error
	packed := bytes.NewReader(a.packed)
	switch b := a.packed; {
	case a.packing == packingGzip:
		from, err = gzip.NewReader(packed)
	case len(b) > 1 && b[0]&15 == 8 && (uint(b[0])<<8|uint(b[1]))%31 == 0:
		from, err = zlib.NewReader(packed)
	default: // some send it without its frame
		from = flate.NewReader(packed)
	}
	if err != nil {
		p.opaque(a)
		return
	}
	a.form = formUnknown
	a.packing = packingNone
	piece := make([]byte, 4096)
	defer clear(piece)
	for left := maxUnpacked; a.form != formOther && a.form != formPacked; {
		n, err := from.Read(piece)
		a.read(p, piece[:n])
		if err == io.EOF {
			break
		}
		if left -= n; err != nil || left <= 0 { // what came before is good
			p.unread++
			break
		}
	}
	if a.form == formPacked { // within
		p.opaque(a)
	}
	p.release(a)
}
