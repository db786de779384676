package fanout

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/sennit-io/sennit/sinks"
)

// Queue is the source of a replay: what there is, and nothing more. It lives in
// memory, and is used by one lane.
type Queue struct {
	next   func() (sinks.Record, error, bool)
	stop   func()
	again  []queued // by due
	out    int      // handed out and not settled
	all    int
	dead   int
	reason error // of the first dead letter
	err    error // of reading the records
}

type queued struct {
	due time.Time
	d   Delivery
}

// mostAgain bounds what waits to be tried again; while there is as much, nothing new
// is read.
const mostAgain = 1000

// NewQueue hands out records in their order. Their data must stay as it is.
func NewQueue(records iter.Seq2[sinks.Record, error]) *Queue {
	q := &Queue{}
	q.next, q.stop = iter.Pull2(records)
	return q
}

// Next implements the source of a lane.
func (q *Queue) Next(wait time.Duration) (Delivery, bool, error) {
	if len(q.again) < mostAgain && (len(q.again) == 0 || time.Until(q.again[0].due) > 0) {
		r, err, ok := q.next()
		switch {
		case err != nil:
			q.stop() // so that the next answer is that there is no more
			q.err = fmt.Errorf("read results: %w", err)
		case ok:
			q.all++
			return q.hand(Delivery{Record: r, Since: time.Now()}), true, nil
		}
	}
	if len(q.again) == 0 {
		if q.out == 0 {
			return Delivery{}, false, io.EOF
		}
		return Delivery{}, false, nil // the batch is to be delivered first
	}
	due := time.Until(q.again[0].due)
	if due > wait {
		time.Sleep(wait)
		return Delivery{}, false, nil
	}
	time.Sleep(due)
	first := q.again[0].d
	q.again = q.again[1:]
	return q.hand(first), true, nil
}

func (q *Queue) hand(d Delivery) Delivery {
	q.out++
	d.Attempt++
	d.Settle = func(v Verdict) error {
		q.out--
		switch v.Fate {
		case Again:
			one := queued{time.Now().Add(v.After), d}
			at, _ := slices.BinarySearchFunc(q.again, one, func(a, b queued) int {
				if a.due.After(b.due) {
					return 1
				}
				return -1 // what is due at the same time comes behind
			})
			q.again = slices.Insert(q.again, at, one)
		case Dead:
			if q.dead++; q.dead == 1 {
				q.reason = v.Why
			}
		}
		return nil
	}
	return d
}

// Backlog implements the source of a lane.
func (q *Queue) Backlog() (uint64, error) { return uint64(q.out + len(q.again)), nil }

// Working implements the source of a lane: nothing is handed out twice.
func (q *Queue) Working() error { return nil }

// Err says what could not be delivered, nil for nothing. It is called when the lane
// has ended.
func (q *Queue) Err() error {
	q.stop()
	left := q.out + len(q.again)
	switch {
	case q.err != nil:
		return q.err
	case q.dead > 0:
		return fmt.Errorf("%d of %d results could not be delivered, the first because: %w", q.dead, q.all, q.reason)
	case left > 0:
		return fmt.Errorf("%d results were left undelivered", left)
	}
	return nil
}
