package replay

import (
	"context"
	"time"

	"github.com/sennit-io/sennit/ingest/replay/extsort"
	"github.com/sennit-io/sennit/schemas/event"
)

// sortedBlock is the events of one block, still in the order of lines.
type sortedBlock struct {
	events []event.Event
	left   int // not yet handed on
}

// collector takes decoded blocks in the order in which they were read, counts,
// and sorts.
type collector struct {
	o      *Options
	res    *Result
	total  int64 // bytes of all inputs, 0 if unknown
	before int64 // bytes of inputs that are finished
	blocks []sortedBlock
	runs   [][]entry // one a block, sorted
	size   int64
	newest event.Time // OrderArrival: the newest event time of the current file
	disk   *extsort.Runs
	next   time.Time // of the progress
	last   Progress
	buf    []byte
}

func newCollector(o *Options, res *Result, in []input) *collector {
	c := &collector{o: o, res: res, disk: extsort.NewRuns(extsort.Options{TempDir: o.TempDir, ByPayload: o.Order == OrderEvent})}
	known := true
	for _, f := range in {
		res.Files = append(res.Files, File{Path: f.path})
		c.total += f.size
		known = known && f.size >= 0
	}
	if !known {
		c.total = 0
	}
	return c
}

// collect empties the pipeline.
func (c *collector) collect(ctx context.Context, p *pipeline) error {
	for j := range p.ordered {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-j.ready:
		}
		if err := c.take(ctx, j); err != nil {
			return err
		}
		j.out, j.err = decoded{}, nil
		select {
		case p.free <- j:
		default: // made for a file that could not be opened
		}
	}
	return ctx.Err()
}

func (c *collector) take(ctx context.Context, j *job) error {
	f, out := &c.res.Files[j.file], &j.out
	f.Bytes = j.bytes
	f.Records += out.records
	f.Events += uint64(len(out.events))
	for s := range out.sources {
		n := &out.sources[s]
		c.res.Sources[s].Add(n.Tally)
		c.res.Sources[s].LostUpstream += n.LostUpstream
		f.Bad += uint64(n.Bad)
		f.Unknown += uint64(n.UnknownType)
	}
	for _, p := range out.bad {
		c.res.Bad = note(c.res.Bad, Problem{f.Path, p.line, p.why})
	}
	for _, p := range out.unknown {
		c.res.Unknown = note(c.res.Unknown, Problem{f.Path, p.line, p.why})
	}
	if len(out.events) > 0 {
		if c.size > 0 && c.size+out.size > c.o.SortMemory {
			if err := c.spill(ctx); err != nil {
				return err
			}
		}
		c.add(out)
	}
	if j.last {
		f.Err = j.err
		c.before += f.Bytes
		c.newest = 0
		c.progress(Progress{Phase: PhaseRead, Bytes: c.before}, false)
		return nil
	}
	c.progress(Progress{Phase: PhaseRead, Bytes: c.before + f.Bytes}, false)
	return nil
}

func (c *collector) add(out *decoded) {
	n := uint32(len(c.blocks))
	if c.o.Order == OrderArrival {
		c.arrival(out)
	}
	for i := range out.index {
		out.index[i].block = n
	}
	c.blocks = append(c.blocks, sortedBlock{out.events, len(out.events)})
	c.runs = append(c.runs, out.index)
	c.size += out.size
	c.last.Read += uint64(len(out.events))
}

// arrival gives the events of a block the times at which they arrived.
func (c *collector) arrival(out *decoded) {
	for i := range out.events {
		e := &out.events[i]
		c.newest = max(c.newest, e.Time)
		at := e.Observed
		if at == 0 {
			at = c.newest
		}
		out.index[i].key = at
	}
	stableByKey(out.index)
}

// sorted sorts all that is in memory.
func (c *collector) sorted() []entry {
	n := 0
	for _, r := range c.runs {
		n += len(r)
	}
	m := merger{order: c.o.Order, blocks: c.blocks, index: make([]entry, 0, n)}
	bounds := make([]int, len(c.runs))
	for i, r := range c.runs {
		m.index = append(m.index, r...)
		bounds[i] = len(m.index)
		c.runs[i] = nil
	}
	c.runs = c.runs[:0]
	return m.sort(bounds)
}

// progress reports, at most ten times a second unless told to.
func (c *collector) progress(p Progress, always bool) {
	p.Total, p.Read, p.Emitted = c.total, c.last.Read, c.res.Events
	changed := p.Phase != c.last.Phase
	c.last = p
	if c.o.Progress == nil {
		return
	}
	if now := time.Now(); always || changed || now.After(c.next) {
		c.next = now.Add(100 * time.Millisecond)
		c.o.Progress(p)
	}
}
