package simulate

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sennit-io/sennit/schemas/event"
)

// output is one file: what one exporter of one node writes, in the order in
// which its lines come out, which is not the order of their event times.
type output struct {
	out     *outputs
	source  event.Source
	node    *node // nil for what no node writes
	w       *bufio.Writer
	f       *os.File
	pending []pendingLine // binary heap by (at, seq)
	seq     uint64
	free    [][]byte
	at      int64 // when the line being built comes out
	loss    lossWindows
}

type pendingLine struct {
	at   int64
	seq  uint64
	line []byte
}

// outputs are all files of a run, and the troubles that lines meet on the way.
type outputs struct {
	dir   string
	s     *sched
	rng   rng
	o     *Options
	files []*output
	sum   *Summary
	err   error
}

func (o *outputs) open(name string, source event.Source, n *node) *output {
	f := &output{out: o, source: source, node: n}
	var err error
	if f.f, err = os.Create(filepath.Join(o.dir, name)); err != nil && o.err == nil {
		o.err = fmt.Errorf("create simulated file: %w", err)
	}
	f.w = bufio.NewWriterSize(f.f, 256<<10)
	if n != nil && o.o.Loss > 0 && (source == event.SourceHubble || source == event.SourceTetragon || source == event.SourceSocket) {
		f.loss.start(o.rng, o.o.Loss, o.s.now)
	}
	o.files = append(o.files, f)
	return f
}

// begin starts a line that comes out base nanoseconds from now when nothing
// happens to it. It returns nil when the line is lost; else the line is built
// by appending and handed to end.
func (f *output) begin(base int64) []byte {
	o := f.out
	if f.loses() {
		o.sum.Lost++
		return nil
	}
	delay := base
	if o.o.Late > 0 && o.rng.chance(o.o.Late) {
		delay += o.rng.between(5*s1, 30*s1)
		o.sum.Late++
	}
	if o.o.Reorder > 0 && o.rng.chance(o.o.Reorder) {
		delay += o.rng.between(0, 5*s1)
		o.sum.Moved++
	}
	f.at = o.s.now + delay
	if n := len(f.free); n > 0 {
		b := f.free[n-1]
		f.free = f.free[:n-1]
		return b[:0]
	}
	return make([]byte, 0, 1024)
}

// end takes the line, which holds the given number of records.
func (f *output) end(b []byte, records int, background bool) {
	o := f.out
	b = append(b, '\n')
	o.sum.Events += records
	o.sum.Sources[f.source.String()] += records
	if background {
		o.sum.Background += records
	}
	f.push(f.at, b)
	if o.o.Duplicate > 0 && o.rng.chance(o.o.Duplicate) {
		o.sum.Duplicated++
		f.push(f.at+o.rng.exp(300*ms), append([]byte(nil), b...))
	}
	f.flush(o.s.now)
}

func (f *output) push(at int64, line []byte) {
	f.seq++
	h := append(f.pending, pendingLine{at, f.seq, line})
	i := len(h) - 1
	for i > 0 {
		p := (i - 1) / 2
		if !comesOutFirst(&h[i], &h[p]) {
			break
		}
		h[i], h[p] = h[p], h[i]
		i = p
	}
	f.pending = h
}

func comesOutFirst(a, b *pendingLine) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// flush writes what has come out by now.
func (f *output) flush(now int64) {
	for len(f.pending) > 0 && f.pending[0].at <= now {
		h := f.pending
		line := h[0].line
		n := len(h) - 1
		h[0] = h[n]
		h[n] = pendingLine{}
		h = h[:n]
		for i := 0; ; {
			c := 2*i + 1
			if c >= n {
				break
			}
			if c+1 < n && comesOutFirst(&h[c+1], &h[c]) {
				c++
			}
			if !comesOutFirst(&h[c], &h[i]) {
				break
			}
			h[i], h[c] = h[c], h[i]
			i = c
		}
		f.pending = h
		f.write(line)
		if cap(line) <= 64<<10 && len(f.free) < 1024 {
			f.free = append(f.free, line)
		}
	}
}

func (f *output) write(line []byte) {
	n, err := f.w.Write(line)
	f.out.sum.Bytes += int64(n)
	if err != nil && f.out.err == nil {
		f.out.err = fmt.Errorf("write simulated events: %w", err)
	}
}

// finish writes what is still on its way and closes the files.
func (o *outputs) finish() error {
	for _, f := range o.files {
		f.flush(1<<63 - 1)
		if f.f == nil {
			continue
		}
		if err := f.w.Flush(); err != nil && o.err == nil {
			o.err = fmt.Errorf("write simulated events: %w", err)
		}
		if err := f.f.Close(); err != nil && o.err == nil {
			o.err = fmt.Errorf("close simulated file: %w", err)
		}
	}
	o.sum.Files = len(o.files)
	return o.err
}
