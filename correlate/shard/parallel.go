package shard

import "sync"

// parallel calls f for every shard and waits. A single shard is called here.
func (e *Engine) parallel(n int, f func(i int)) {
	if n == 1 {
		f(0)
		return
	}
	var wg sync.WaitGroup
	for i := range n - 1 {
		wg.Go(func() { f(i + 1) })
	}
	f(0)
	wg.Wait()
}
