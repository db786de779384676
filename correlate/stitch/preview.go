package stitch

import (
	"slices"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/bind"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/timeline"
)

// Preview shows a request while it is open, from whatever rows are there.
type Preview struct {
	forest *forest
	maker  maker
}

// NewPreview returns a preview that resolves pods with dir.
func NewPreview(dir *bind.Directory) *Preview {
	return &Preview{forest: newForest(), maker: maker{dir: dir}}
}

// Make returns the live view of the rows: revision 0, state open. The rows are
// put in order.
func (p *Preview) Make(key correlate.Key, rows []correlate.Row, update uint32) *timeline.Timeline {
	slices.SortStableFunc(rows, func(a, b correlate.Row) int { return event.Compare(a.Event, b.Event) })
	f := p.forest
	f.build(rows, nil)
	e := &entry{key: key, id: key.String()}
	var nodes []int32
	for n := range f.nodes {
		nd := &f.nodes[n]
		nd.shown = nd.fold == none
		if !nd.shown {
			continue
		}
		nodes = append(nodes, int32(n))
		if nd.parent == none && (e.start == 0 || f.rankOf(int32(n)) < e.rank || f.rankOf(int32(n)) == e.rank && nd.start < e.start) {
			e.rank, e.start, e.end = f.rankOf(int32(n)), nd.start, nd.end
			e.root = f.rows[nd.first].Event.ID
		}
	}
	t := p.maker.make(f, &group{}, e, nodes)
	t.State, t.Update = timeline.Open, update
	return t
}
