package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/dustin/go-humanize"
)

// byteSize is a flag's number of bytes, as 512MiB or 1GB.
type byteSize struct{ bytes int64 }

func newByteSize(n int64) *byteSize { return &byteSize{n} }

func (s *byteSize) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is no size, as 512MiB or 2GB", text)
	}
	s.bytes = int64(n)
	return nil
}

func (s *byteSize) String() string {
	return strings.ReplaceAll(humanize.IBytes(uint64(s.bytes)), " ", "")
}

func (*byteSize) Type() string { return "SIZE" }
