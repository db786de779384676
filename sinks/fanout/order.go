package fanout

import (
	"slices"
	"time"

	"github.com/sennit-io/sennit/sinks"
)

// waits are the revisions that are to be tried again, by record, lowest first. Later
// ones wait for them, so that they arrive in order.
type waits map[key][]wait

// key is a record whatever its revision.
type key struct {
	kind sinks.Kind
	id   string
}

type wait struct {
	revision uint32
	until    time.Time
}

// overdue is how long after its time a revision is still waited for: then its source
// has lost it.
const overdue = 10 * time.Minute

// behind reports whether an earlier revision waits, and until when.
func (w waits) behind(k key, revision uint32) (until time.Time, ok bool) {
	for _, a := range w[k] {
		if a.revision < revision && time.Since(a.until) < overdue {
			return a.until, true
		}
	}
	return time.Time{}, false
}

// add notes that a revision waits.
func (w waits) add(k key, revision uint32, until time.Time) {
	w.remove(k, revision)
	list := w[k]
	at, _ := slices.BinarySearchFunc(list, revision, func(a wait, r uint32) int { return int(int64(a.revision) - int64(r)) })
	w[k] = slices.Insert(list, at, wait{revision, until})
	if len(w)%1024 > 0 {
		return
	}
	for k, list := range w {
		list = slices.DeleteFunc(list, func(a wait) bool { return time.Since(a.until) >= overdue })
		if w[k] = list; len(list) == 0 {
			delete(w, k)
		}
	}
}

// remove notes that a revision is settled.
func (w waits) remove(k key, revision uint32) {
	list := slices.DeleteFunc(w[k], func(a wait) bool { return a.revision == revision })
	if w[k] = list; len(list) == 0 {
		delete(w, k)
	}
}
