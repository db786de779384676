package tables

import (
	"math"

	"github.com/sennit-io/sennit/schemas/event"
)

// What is unknown is NULL: an empty text, a time or port of zero.

func text(s string) Value { return Value{Set: s != "", Str: s} }

func list(l []string) Value { return Value{Set: len(l) > 0, List: l} }

// count is a number whose zero says something.
func count[N int | int64 | uint32 | uint64](n N) Value {
	if uint64(n) > math.MaxInt64 {
		return Value{Set: true, Num: math.MaxInt64}
	}
	return Value{Set: true, Num: int64(n)}
}

// number is one whose zero is unknown.
func number[N int | int64 | uint16 | uint32](n N) Value { return Value{Set: n != 0, Num: int64(n)} }

func real(f float64) Value { return Value{Set: true, Real: f} }

func truth(b bool) Value {
	if b {
		return Value{Set: true, Num: 1}
	}
	return Value{Set: true}
}

func instant(t event.Time) Value { return Value{Set: !t.IsZero(), Num: floor(int64(t), 1e3)} }

// lasted is NULL unless both ends are known.
func lasted(start, end event.Time) Value {
	if start.IsZero() || end < start {
		return Value{}
	}
	return Value{Set: true, Num: int64(end - start)}
}

const dayNS = 24 * 60 * 60 * 1e9

// day is the day of the first time that is known.
func day(times ...event.Time) Value {
	for _, t := range times {
		if !t.IsZero() {
			return Value{Set: true, Num: floor(int64(t), dayNS)}
		}
	}
	return Value{Set: true}
}

func floor(n, by int64) int64 {
	if n < 0 {
		return (n+1)/by - 1
	}
	return n / by
}
