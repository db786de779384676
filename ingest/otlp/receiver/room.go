package receiver

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/sennit-io/sennit/ingest"
)

// room bounds the bytes of all requests that are being read or wait for a worker.
type room struct{ bytes *semaphore.Weighted }

// firstRoom is what a request takes before anything of it is read. It doubles as
// bytes come in: who announces much and sends little, or slowly, keeps nobody out.
const firstRoom = 16 << 10

var errTooLarge = fmt.Errorf("request over the limit of %d MiB, unpacked", maxRequest>>20)

// hold is the room of one request.
type hold struct {
	room  *room
	wait  time.Duration // for more
	bytes int64
}

func (r *room) hold(wait time.Duration) *hold { return &hold{room: r, wait: wait} }

func (h *hold) release() { h.room.bytes.Release(h.bytes) }

// grow takes more bytes. Without room it returns ingest.ErrBusy.
func (h *hold) grow(ctx context.Context, by int64) error {
	ctx, cancel := context.WithTimeout(ctx, h.wait)
	defer cancel()
	if h.room.bytes.Acquire(ctx, by) != nil {
		return ingest.ErrBusy
	}
	h.bytes += by
	return nil
}

// read reads a request, at most maxRequest bytes once it is unpacked. Size is
// how many it says to have, unpacked; negative if it does not say.
func (h *hold) read(ctx context.Context, from io.Reader, packed bool, size int64) (msg []byte, err error) {
	most := int64(maxRequest + 1)
	if !packed && size >= 0 {
		most = min(most, size+1) // one more, to see the end
	}
	for {
		if have := int64(cap(msg)); int64(len(msg)) == have {
			if have >= most {
				return nil, errTooLarge
			}
			more := min(max(2*have, firstRoom), most) - have
			if err := h.grow(ctx, more); err != nil {
				return nil, err
			}
			msg = append(make([]byte, 0, have+more), msg...)
		}
		if packed { // it reads from the start
			if from, err = gzip.NewReader(from); err != nil {
				return nil, err
			}
			packed = false
		}
		n, err := from.Read(msg[len(msg):cap(msg)])
		msg = msg[:len(msg)+n]
		switch {
		case errors.Is(err, io.EOF):
			return msg, nil
		case err != nil:
			return nil, err
		}
	}
}
