package record

import (
	"compress/gzip"
	"errors"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// pack compresses a file into another and makes it safe.
func pack(from, to, form string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	var w io.WriteCloser
	if form == "zst" {
		w, err = zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
	} else {
		w, err = gzip.NewWriterLevel(out, gzip.BestSpeed)
	}
	if err != nil {
		return errors.Join(err, out.Close())
	}
	_, err = io.Copy(w, in)
	return errors.Join(err, w.Close(), out.Sync(), out.Close())
}
