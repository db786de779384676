package shard

import "sync"

// Spread says whether steps are worked on all cores at once, as they are unless told
// otherwise, or on one, which leaves the others to who has less to do and is in a hurry.
// It changes no result.
func (e *Engine) Spread(v bool) { e.single = !v }

// parallel calls f for every shard and waits.
func (e *Engine) parallel(n int, f func(i int)) {
	if n == 1 || e.single {
		for i := range n {
			f(i)
		}
		return
	}
	var wg sync.WaitGroup
	for i := range n - 1 {
		wg.Go(func() { f(i + 1) })
	}
	f(0)
	wg.Wait()
}
