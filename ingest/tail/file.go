package tail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	chunk   = 1 << 20
	maxLine = 16 << 20 // longer ones are passed over, and counted
	// grace is how long a file that was rotated away is followed after its last
	// growth: its writer may have it open still.
	grace = 30 * time.Second
)

// follower is an open file.
type follower struct {
	position
	file  *os.File
	size  int64     // when it was last looked at, -1 before
	rest  []byte    // of a line without its end
	quiet time.Time // since when a rotated file has not grown, zero for one in its place
}

// errRead is wrapped by what the system says of reading, as opposed to Take.
type errRead struct{ error }

func (e errRead) Unwrap() error { return e.error }

// read hands on the whole lines of a file up to its end, and reports whether it
// has grown.
func (f *follower) read(ctx context.Context, take Take, long *atomic.Uint64) (grown bool, err error) {
	if err := f.begin(); err != nil {
		return false, errRead{fmt.Errorf("read %s: %w", f.Path, err)}
	}
	buf := make([]byte, chunk)
	for {
		n, err := f.file.ReadAt(buf, f.Offset+int64(len(f.rest)))
		if n == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = f.learn()
			}
			if err != nil {
				err = errRead{fmt.Errorf("read %s: %w", f.Path, err)}
			}
			return grown, err
		}
		grown = true
		data := append(f.rest, buf[:n]...)
		end := bytes.LastIndexByte(data, '\n') + 1
		if end == 0 {
			if len(data) > maxLine { // its end is passed over when it comes
				if !f.Skip {
					long.Add(1)
				}
				f.Offset, f.rest, f.Skip = f.Offset+int64(len(data)), nil, true
				continue
			}
			f.rest = data
			continue
		}
		lines := bytes.Split(data[:end-1], []byte{'\n'})
		if f.Skip {
			lines = lines[1:]
		}
		lines = slices.DeleteFunc(lines, func(l []byte) bool { return len(bytes.TrimSpace(l)) == 0 })
		if len(lines) > 0 {
			if err := take(ctx, f.Path, lines); err != nil {
				f.rest, f.size = nil, -1
				return grown, err
			}
		}
		f.Offset += int64(end)
		f.rest, f.Skip = slices.Clone(data[end:]), false
	}
}

// begin starts from the beginning if what was read is not there any more: the file
// was cut, or is another one.
func (f *follower) begin() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size == f.size {
		return nil
	}
	same := size >= f.Offset+int64(len(f.rest))
	if same && f.Head.Bytes > 0 {
		now, err := headOf(f.file, f.Head.Bytes)
		if err != nil {
			return err
		}
		same = now == f.Head
	}
	if !same {
		f.Offset, f.Skip, f.Head, f.rest = 0, false, head{}, nil
	}
	f.size = size
	return nil
}

// learn completes the head with what was read since.
func (f *follower) learn() (err error) {
	if read := min(f.Offset+int64(len(f.rest)), maxHead); f.Head.Bytes < read {
		f.Head, err = headOf(f.file, read)
	}
	return err
}

// current reports whether the file still has its path, as far as one can see.
func (f *follower) current() bool {
	info, err := os.Stat(f.Path)
	return err == nil && idOf(info) == f.fileID || err != nil && !errors.Is(err, os.ErrNotExist)
}

// gone reports whether nobody writes to a file any more that has been read to its
// end: another one has its path, or it was removed, and it does not grow.
func (f *follower) gone(grown bool) bool {
	if f.current() {
		f.quiet = time.Time{}
		return false
	}
	if _, err := os.Stat(f.Path); err != nil { // between rename and the new file: wait
		if own, err := f.file.Stat(); err == nil && own.Sys().(*syscall.Stat_t).Nlink > 0 {
			return false
		}
	}
	if grown || f.quiet.IsZero() {
		f.quiet = time.Now()
	}
	return time.Since(f.quiet) > grace
}
