package hold

import "sync/atomic"

// Spill is where chunks are put when memory is short. Arenas of several shards
// use it at once. What was put must be the same when it is got.
type Spill interface {
	// Put keeps a copy of the chunk and returns its number.
	Put(chunk []byte) (n uint64, err error)
	// Get appends chunk n to b.
	Get(n uint64, b []byte) ([]byte, error)
	// Drop forgets chunk n.
	Drop(n uint64)
}

// Budget is the memory that arenas share. It may be used by several goroutines
// at once; nil has no limit.
type Budget struct {
	limit   int64
	spill   Spill
	bytes   atomic.Int64
	spilled atomic.Int64
	refused atomic.Uint64
	fetched atomic.Uint64
}

// NewBudget returns a budget of so many bytes; beyond it chunks go to the spill.
// Without one (nil), or with no limit (0), nothing leaves the memory.
func NewBudget(limit int64, spill Spill) *Budget { return &Budget{limit: limit, spill: spill} }

// Usage is what the arenas of a budget hold.
type Usage struct {
	// Limit is the budget, 0 for none.
	Limit int64 `json:"limit_bytes"`
	// Memory is the size of the chunks in memory, Spilled that of those that are not.
	Memory  int64 `json:"memory_bytes"`
	Spilled int64 `json:"spilled_bytes"`
	// Refused counts the chunks that the spill did not take: they stayed in memory.
	Refused uint64 `json:"refused_chunks"`
	// Fetched counts the times that one was read back.
	Fetched uint64 `json:"fetched_chunks"`
}

// Usage returns what the arenas hold now.
func (b *Budget) Usage() Usage {
	return Usage{b.limit, b.bytes.Load(), b.spilled.Load(), b.refused.Load(), b.fetched.Load()}
}
