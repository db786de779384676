package bpf

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// reader reads the ring where it lies: to copy records, most of whose room is not
// used, took as long as to decode them. Source of the layout: kernel/bpf/ringbuf.c.
// Its methods are for one goroutine, except close.
type reader struct {
	consumer, producer *uint64 // positions, which only grow
	data               []byte  // the ring, twice: no record is in two pieces
	at, end            uint64  // up to where it was read, and can be
	told               uint64  // up to where the kernel knows that it was read
	deadline           time.Time

	mu            sync.Mutex // of the files, which close ends
	closed        atomic.Bool
	epoll, closes int
}

const (
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
	ringHeader  = 8

	// tellEvery bounds what was read and is not free yet; to tell the kernel takes
	// its memory away from the programs that write.
	tellEvery = 1 << 16
)

func newReader(ring *ebpf.Map) (*reader, error) {
	page, size := os.Getpagesize(), int(ring.MaxEntries())
	consumer, err := unix.Mmap(ring.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the position of the reader: %w", err)
	}
	producer, err := unix.Mmap(ring.FD(), int64(page), page+2*size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map the records: %w", err), unix.Munmap(consumer))
	}
	r := &reader{
		consumer: (*uint64)(unsafe.Pointer(&consumer[0])), producer: (*uint64)(unsafe.Pointer(&producer[0])), data: producer[page:],
		epoll: -1, closes: -1,
	}
	// Not with close: who reads may still look at a record.
	runtime.AddCleanup(r, func(maps [2][]byte) {
		for _, m := range maps {
			_ = unix.Munmap(m) // nothing is left to tell
		}
	}, [2][]byte{consumer, producer})
	if err := r.open(ring.FD()); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// open prepares to wait. At the edge: that there is a record, which the programs
// mostly wake nobody for, must not end a wait.
func (r *reader) open(ring int) (err error) {
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("wait for records: %w", err)
	}
	if r.closes, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return fmt.Errorf("wait for records: %w", err)
	}
	for fd, events := range map[int]uint32{ring: unix.EPOLLIN | unix.EPOLLET, r.closes: unix.EPOLLIN} {
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
			return fmt.Errorf("wait for records: %w", err)
		}
	}
	return nil
}

// next returns the next record, which is good until the next call and as long as
// the reader is in use. Its errors are those of Shim.Read.
func (r *reader) next() ([]byte, error) {
	if r.at-r.told >= tellEvery {
		r.tell()
	}
	mask := uint64(len(r.data)/2 - 1)
	for waited := error(nil); ; {
		for r.at != r.end {
			from := r.at & mask
			head := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[from])))
			if head&ringBusy != 0 {
				break // it is being written
			}
			size := uint64(head &^ ringDiscard)
			r.at += (ringHeader + size + 7) &^ 7
			if head&ringDiscard == 0 {
				from += ringHeader
				return r.data[from : from+size : from+size], nil
			}
		}
		r.tell()
		if end := atomic.LoadUint64(r.producer); end != r.end {
			r.end = end
			continue
		}
		if waited != nil {
			return nil, waited
		}
		if waited = r.wait(); waited != nil && !errors.Is(waited, os.ErrDeadlineExceeded) {
			return nil, waited
		}
	}
}

// tell says up to where the ring is free.
func (r *reader) tell() {
	if r.told != r.at {
		r.told = r.at
		atomic.StoreUint64(r.consumer, r.at)
	}
}

// wait returns nil when the programs wake it.
func (r *reader) wait() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if r.closed.Load() {
			return os.ErrClosed
		}
		timeout := -1
		if !r.deadline.IsZero() {
			left := time.Until(r.deadline)
			if left <= 0 {
				return os.ErrDeadlineExceeded
			}
			timeout = int((left + time.Millisecond - 1) / time.Millisecond)
		}
		var events [2]unix.EpollEvent
		switch n, err := unix.EpollWait(r.epoll, events[:], timeout); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for records: %w", err)
		case n > 0 && !r.closed.Load():
			return nil
		}
	}
}

// close ends a wait, and those to come.
func (r *reader) close() error {
	if r.closed.Swap(true) {
		return nil
	}
	var errs []error
	if r.closes >= 0 {
		_, err := unix.Write(r.closes, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		errs = append(errs, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, fd := range []int{r.epoll, r.closes} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}
