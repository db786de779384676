package extsort

import (
	"bytes"
	"context"
)

// merge is a binary heap of runs, the one with the smallest next record first.
type merge struct {
	heap      []*runReader
	byPayload bool
}

func newMerge(runs []run, byPayload bool) (*merge, error) {
	m := &merge{byPayload: byPayload}
	for i := range runs {
		r, err := newRunReader(&runs[i], i)
		if err != nil {
			return nil, err
		}
		ok, err := r.next()
		if err != nil {
			return nil, err
		}
		if ok {
			m.heap = append(m.heap, r)
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return m, nil
}

func (m *merge) each(ctx context.Context, f func(key, payload []byte) error) error {
	for n := 0; len(m.heap) > 0; n++ {
		if n%ctxEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		top := m.heap[0]
		if err := f(top.key, top.value); err != nil {
			return err
		}
		ok, err := top.next()
		if err != nil {
			return err
		}
		if !ok {
			last := len(m.heap) - 1
			m.heap[0] = m.heap[last]
			m.heap = m.heap[:last]
		}
		m.down(0)
	}
	return nil
}

func (m *merge) less(a, b *runReader) bool {
	c := bytes.Compare(a.key, b.key)
	if c == 0 && m.byPayload {
		c = bytes.Compare(a.value, b.value)
	}
	if c == 0 {
		return a.order < b.order
	}
	return c < 0
}

func (m *merge) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(m.heap); c++ {
			if m.less(m.heap[c], m.heap[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}
