// Package unpack opens gzip and zstd streams, recognised by their first bytes,
// also one within the other, and guards against streams that unpack to far more
// than they are.
package unpack

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	gzip "github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Limits on what a stream may unpack to, named in the error of what goes
// beyond them.
const (
	MaxLayers = 2         // one compressed stream within another
	MaxRatio  = 250       // unpacked bytes per packed byte, beyond the first FreeBytes
	FreeBytes = 16 << 20  // unpacked bytes that no ratio is asked of
	MaxBytes  = 1 << 40   // unpacked bytes of one stream
	MaxWindow = 128 << 20 // of zstd, which is memory
)

// Errors of streams that end early. The bytes before them were whole.
var (
	ErrTruncated = errors.New("the compressed stream is truncated")
	ErrLimit     = errors.New("limit exceeded")
)

// Reader reads the plain bytes of a stream. Not for concurrent use.
type Reader struct {
	base   counter
	r      io.Reader
	close  []func()
	layers int
	names  string
	out    int64
	lim    limits
}

type limits struct{ ratio, free, bytes int64 }

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// NewReader looks at the first bytes of r and returns a reader of what they
// pack, or of r itself. It must be closed, which does not close r.
func NewReader(r io.Reader) (*Reader, error) {
	u := &Reader{base: counter{r: r}, lim: limits{MaxRatio, FreeBytes, MaxBytes}}
	u.r = &u.base
	for {
		b := bufio.NewReaderSize(u.r, 64<<10)
		u.r = b
		head, err := b.Peek(4)
		if err != nil && !errors.Is(err, io.EOF) {
			if u.layers > 0 {
				err = u.early(err)
			}
			u.Close()
			return nil, err
		}
		name, open := sniff(head)
		if open == nil {
			return u, nil
		}
		if u.layers++; u.layers > MaxLayers {
			u.Close()
			return nil, fmt.Errorf("%w: more than %d layers of compression", ErrLimit, MaxLayers)
		}
		inner, done, err := open(b)
		if err != nil {
			err = fmt.Errorf("open %s stream: %w", name, u.early(err))
			u.Close()
			return nil, err
		}
		u.close = append(u.close, done)
		u.names = name
		u.r = inner
	}
}

type opener func(io.Reader) (io.Reader, func(), error)

func sniff(head []byte) (string, opener) {
	switch {
	case len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		return "gzip", openGzip
	case len(head) >= 4 && (string(head) == "\x28\xb5\x2f\xfd" || head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18"):
		return "zstd", openZstd
	}
	return "", nil
}

func openGzip(r io.Reader) (io.Reader, func(), error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	return z, func() {}, nil
}

func openZstd(r io.Reader) (io.Reader, func(), error) {
	// One goroutine: the stream is read beside the decoders anyway.
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, nil, err
	}
	return z, z.Close, nil
}

// Read implements io.Reader. An error other than io.EOF says why the stream
// ended before its end; it wraps ErrTruncated or ErrLimit where that is why.
func (u *Reader) Read(b []byte) (int, error) {
	n, err := u.r.Read(b)
	if u.layers == 0 {
		return n, err
	}
	u.out += int64(n)
	switch {
	case u.out > u.lim.bytes:
		return n, fmt.Errorf("%w: the %s stream unpacks to over %d bytes", ErrLimit, u.names, u.lim.bytes)
	case u.out > u.lim.free && u.out/u.lim.ratio > u.base.n:
		return n, fmt.Errorf("%w: the %s stream unpacks to over %d times its size", ErrLimit, u.names, u.lim.ratio)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = u.early(err)
	}
	return n, err
}

// early says in words why a stream ended early.
func (u *Reader) early(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w after %d bytes", ErrTruncated, u.base.n)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("%w: zstd window over %d bytes", ErrLimit, MaxWindow)
	case errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("what follows %d packed bytes is not gzip", u.base.n)
	}
	return fmt.Errorf("unpack %s stream, after %d packed bytes: %w", u.names, u.base.n, err)
}

// Packed returns the bytes read from the underlying reader so far.
func (u *Reader) Packed() int64 { return u.base.n }

// Close frees what unpacking holds.
func (u *Reader) Close() {
	for _, f := range u.close {
		f()
	}
	u.close = nil
}
