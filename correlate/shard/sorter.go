package shard

import (
	"cmp"
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
)

// sorter puts events in canonical order. It sorts their times, which lie side by
// side, and looks at the events themselves only where these are equal.
type sorter struct {
	keys []sortKey
	from []*event.Event
}

type sortKey struct {
	time event.Time
	at   int32
}

func (s *sorter) sort(events []*event.Event) {
	if slices.IsSortedFunc(events, event.Compare) {
		return
	}
	if cap(s.keys) > spareEvents && len(events) <= spareEvents {
		*s = sorter{}
	}
	s.keys, s.from = s.keys[:0], append(s.from[:0], events...)
	for i, e := range events {
		s.keys = append(s.keys, sortKey{e.Time, int32(i)})
	}
	slices.SortFunc(s.keys, func(a, b sortKey) int {
		if a.time != b.time {
			return cmp.Compare(a.time, b.time)
		}
		return event.Compare(s.from[a.at], s.from[b.at])
	})
	for i, k := range s.keys {
		events[i] = s.from[k.at]
	}
	clear(s.from)
}
