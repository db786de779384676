package stitch

import "github.com/sennit-io/sennit/correlate"

// Aliases is a union-find over keys that turned out to be one request. The
// representative is the least key of its set: which one it is never shows, it
// only says where the group lives.
type Aliases struct {
	parent map[correlate.Key]correlate.Key
}

// NewAliases returns an empty union-find.
func NewAliases() *Aliases { return &Aliases{parent: make(map[correlate.Key]correlate.Key)} }

// Find returns the representative of a key.
func (a *Aliases) Find(k correlate.Key) correlate.Key {
	if len(a.parent) == 0 {
		return k
	}
	p, ok := a.parent[k]
	if !ok {
		return k
	}
	root := p
	for {
		next, ok := a.parent[root]
		if !ok {
			break
		}
		root = next
	}
	if root != p {
		a.parent[k] = root
	}
	return root
}

// Union makes one set of two and returns its representative and the one that
// ceased to be one; they are equal if the keys were together already.
func (a *Aliases) Union(k, l correlate.Key) (winner, loser correlate.Key) {
	k, l = a.Find(k), a.Find(l)
	if k == l {
		return k, k
	}
	if l.Compare(k) < 0 {
		k, l = l, k
	}
	a.parent[l] = k
	return k, l
}

// Forget drops the keys of a group that is gone.
func (a *Aliases) Forget(keys []correlate.Key) {
	for _, k := range keys {
		delete(a.parent, k)
	}
}
