// Package spill keeps waiting events on the disk: the hold.Spill of a processor.
package spill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
)

// ErrDamaged is returned for a chunk that is not what was put.
var ErrDamaged = errors.New("the file of waiting events is damaged: its disk is failing, or something else wrote into it")

// errLarge is of a chunk that has no place in the file: it stays in memory.
var errLarge = errors.New("larger than a place in the file of waiting events")

const (
	place  = 64<<10 + header
	header = 8 // length and checksum
)

// File puts chunks into a file that has no name and goes with the process: what
// waits is made again from the state. Places are used again, so the file is as
// long as the most that it ever held. It may be used by several goroutines at
// once.
type File struct {
	mu   sync.Mutex
	f    *os.File
	free []uint64
	next uint64
	buf  []byte
}

// Open makes the file in a folder.
func Open(dir string) (*File, error) {
	f, err := os.CreateTemp(dir, "waiting-*")
	if err != nil {
		return nil, fmt.Errorf("open file of waiting events: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("open file of waiting events: %w", err), f.Close())
	}
	return &File{f: f}, nil
}

// Close gives the file's room back.
func (f *File) Close() error { return f.f.Close() }

// Put implements hold.Spill.
func (f *File) Put(chunk []byte) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(chunk) > place-header {
		return 0, errLarge
	}
	n := f.next
	if last := len(f.free) - 1; last >= 0 {
		n = f.free[last]
	}
	b := binary.LittleEndian.AppendUint32(f.buf[:0], uint32(len(chunk)))
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
	f.buf = append(b, chunk...)
	if _, err := f.f.WriteAt(f.buf, int64(n)*place); err != nil {
		return 0, fmt.Errorf("write waiting events: %w", err)
	}
	if n == f.next {
		f.next++
	} else {
		f.free = f.free[:len(f.free)-1]
	}
	return n, nil
}

// Get implements hold.Spill. The error wraps ErrDamaged when the chunk is not
// what was put.
func (f *File) Get(n uint64, b []byte) ([]byte, error) {
	var head [header]byte
	if _, err := f.f.ReadAt(head[:], int64(n)*place); err != nil {
		return nil, fmt.Errorf("read waiting events: %w", err)
	}
	size := int(binary.LittleEndian.Uint32(head[:]))
	if size > place-header {
		return nil, fmt.Errorf("read waiting events: %w", ErrDamaged)
	}
	at := len(b)
	b = append(b, make([]byte, size)...)
	if _, err := f.f.ReadAt(b[at:], int64(n)*place+header); err != nil {
		return nil, fmt.Errorf("read waiting events: %w", err)
	}
	if crc32.ChecksumIEEE(b[at:]) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("read waiting events: %w", ErrDamaged)
	}
	return b, nil
}

// Drop implements hold.Spill.
func (f *File) Drop(n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free = append(f.free, n)
}
