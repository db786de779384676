package replay

import (
	"bytes"
	"slices"
	"sync"

	"github.com/sennit-io/sennit/schemas/event"
)

// entry stands for one event while events are sorted: the events themselves
// stay where they were decoded.
type entry struct {
	key          event.Time // event time or arrival time
	block, event uint32
}

const entrySize = 16

// sortIndex sorts the entries of one block canonically.
func sortIndex(index []entry, events []event.Event) {
	slices.SortFunc(index, func(a, b entry) int {
		if a.key != b.key {
			if a.key < b.key {
				return -1
			}
			return 1
		}
		return compare(&events[a.event], &events[b.event])
	})
}

// compare is event.Compare, and canonical JSON where that finds no difference:
// copies of one event that are not quite the same must have an order too.
func compare(a, b *event.Event) int {
	if c := event.Compare(a, b); c != 0 {
		return c
	}
	return bytes.Compare(a.AppendJSON(nil), b.AppendJSON(nil))
}

// merger sorts an index that consists of sorted runs, stably. Neighbours that
// follow one another anyway count as one run, so that files in order cost
// nothing, and files that overlap one merge for each doubling of their number.
type merger struct {
	order  Order
	blocks []sortedBlock
	index  []entry
	spare  []entry
}

func (m *merger) less(a, b entry) bool {
	if a.key != b.key {
		return a.key < b.key
	}
	if m.order == OrderArrival {
		return false
	}
	return compare(&m.blocks[a.block].events[a.event], &m.blocks[b.block].events[b.event]) < 0
}

// sort sorts the index. bounds are the ends of the runs, ascending.
func (m *merger) sort(bounds []int) []entry {
	runs := make([]int, 1, len(bounds)+1) // starts of natural runs, and the end
	for i, end := range bounds {
		last := i == len(bounds)-1
		if end == runs[len(runs)-1] && !last {
			continue
		}
		if last || m.less(m.index[end], m.index[end-1]) {
			runs = append(runs, end)
		}
	}
	if len(runs) <= 2 {
		return m.index
	}
	m.spare = make([]entry, len(m.index))
	return m.mergeRuns(runs, true)
}

// mergeRuns merges the runs that start at runs[:len-1] and end at the last, in
// place or in the spare memory, and returns the part that holds the result.
func (m *merger) mergeRuns(runs []int, parallel bool) []entry {
	from, to := runs[0], runs[len(runs)-1]
	if len(runs) == 2 {
		return m.index[from:to]
	}
	// Split by size, at a border of runs.
	mid, found := slices.BinarySearch(runs[1:len(runs)-1], from+(to-from)/2)
	if !found && mid == len(runs)-2 {
		mid--
	}
	mid++
	var a, b []entry
	if parallel {
		var wg sync.WaitGroup
		wg.Go(func() { a = m.mergeRuns(runs[:mid+1], false) })
		b = m.mergeRuns(runs[mid:], false)
		wg.Wait()
	} else {
		a = m.mergeRuns(runs[:mid+1], false)
		b = m.mergeRuns(runs[mid:], false)
	}
	// Results alternate between index and spare by depth, which may differ
	// between the halves; the target is where the longer one is not.
	dst := m.index[from:to]
	aHome, bHome := &a[0] == &dst[0], &b[0] == &dst[len(a)]
	switch {
	case aHome && bHome:
		dst = m.spare[from:to]
	case aHome != bHome:
		// Bring the half that lies in the spare memory home first.
		if aHome {
			b = dst[len(a) : len(a)+copy(dst[len(a):], b)]
		} else {
			a = dst[:copy(dst, a)]
		}
		dst = m.spare[from:to]
	}
	m.merge(dst, a, b)
	return dst
}

// merge merges a and b, a's first among equals, into dst.
func (m *merger) merge(dst, a, b []entry) {
	for len(a) > 0 && len(b) > 0 {
		if m.less(b[0], a[0]) {
			dst[0], b = b[0], b[1:]
		} else {
			dst[0], a = a[0], a[1:]
		}
		dst = dst[1:]
	}
	copy(dst[copy(dst, a):], b)
}

// stableByKey sorts the entries of one block by key; equal ones keep their
// order.
func stableByKey(index []entry) {
	slices.SortStableFunc(index, func(a, b entry) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return 0
	})
}
