package replay

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/sennit-io/sennit/ingest/replay/frame"
	"github.com/sennit-io/sennit/ingest/replay/unpack"
)

// job is one block of records on its way from the reader through a worker to
// the collector, which takes jobs in the order in which they were read.
type job struct {
	file  int
	block frame.Block
	bytes int64 // of the file read so far, as stored
	// last tells that the file ends here; err why, if not at its end.
	last  bool
	err   error
	out   decoded
	ready chan struct{} // one token: out is filled
}

// pipeline connects reader, workers and collector. Every job is sent to the
// workers and, at the same time, to the collector, which waits for its result:
// so results stay in order, and the number of jobs bounds the memory.
type pipeline struct {
	free    chan *job
	work    chan *job
	ordered chan *job
}

func newPipeline(workers int) *pipeline {
	n := 2*workers + 2
	p := &pipeline{make(chan *job, n), make(chan *job, n), make(chan *job, n)}
	for range n {
		p.free <- &job{ready: make(chan struct{}, 1)}
	}
	return p
}

// read reads all inputs, one after the other, and closes the channels.
func (p *pipeline) read(ctx context.Context, in []input, stdin io.Reader) error {
	defer close(p.work)
	defer close(p.ordered)
	for i := range in {
		if err := p.readFile(ctx, i, &in[i], stdin); err != nil {
			return err
		}
	}
	return nil
}

// readFile reads one input. What goes wrong with the file travels with its last
// job; only the context's error is returned.
func (p *pipeline) readFile(ctx context.Context, file int, in *input, stdin io.Reader) error {
	u, done, err := open(ctx, in, stdin)
	if err != nil {
		return p.send(ctx, &job{file: file, last: true, err: err, ready: make(chan struct{}, 1)})
	}
	defer done()
	r := frame.NewReader(u)
	for {
		var j *job
		select {
		case <-ctx.Done():
			return ctx.Err()
		case j = <-p.free:
		}
		err := r.Next(&j.block)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		j.file, j.bytes, j.last, j.err = file, u.Packed(), err != nil, err
		if errors.Is(err, io.EOF) {
			j.err = nil
		}
		last := j.last
		if err := p.send(ctx, j); err != nil || last {
			return err
		}
	}
}

func (p *pipeline) send(ctx context.Context, j *job) error {
	for _, to := range []chan *job{p.work, p.ordered} {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case to <- j:
		}
	}
	return nil
}

func open(ctx context.Context, in *input, stdin io.Reader) (*unpack.Reader, func(), error) {
	if in.path == stdinPath {
		if stdin == nil {
			return nil, nil, errors.New("there is no standard input")
		}
		u, err := unpack.NewReader(&patient{ctx: ctx, r: stdin})
		if err != nil {
			return nil, nil, err
		}
		return u, u.Close, nil
	}
	f, err := os.Open(in.path)
	if err != nil {
		return nil, nil, reason(err)
	}
	u, err := unpack.NewReader(f)
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return u, func() { u.Close(); f.Close() }, nil
}

// patient reads a stream that may wait for ever (a terminal, a pipe) without
// holding up the end: when the context is done its Read returns, and the read
// under way is left to finish on its own.
type patient struct {
	ctx  context.Context
	r    io.Reader
	buf  []byte
	left []byte
	err  error
	got  chan struct{}
}

func (p *patient) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		if p.buf == nil {
			p.buf, p.got = make([]byte, 64<<10), make(chan struct{}, 1)
		}
		go func() {
			var n int
			n, p.err = p.r.Read(p.buf)
			p.left = p.buf[:n]
			p.got <- struct{}{}
		}()
		select {
		case <-p.ctx.Done():
			return 0, p.ctx.Err()
		case <-p.got:
		}
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}
