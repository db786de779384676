package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// stateBucket is the grain in which the state forgets.
const stateBucket = time.Minute

// stateSwings is what Badger, which compacts every few minutes, may hold more at one time
// than at another: at most as much was seen at 50,000 events/s.
const stateSwings = 64 << 20

// Check fails unless the run could go on for ever: the counters balance, everything
// sent was committed, timelines came out; lag, memory and disk do not grow from the
// middle third of the run to the last. Memory and disk are judged only if a third is
// longer than what the state keeps; if not, it says so to w.
func (r *Result) Check(w io.Writer) error {
	errs := []error{r.Balance.Err()}
	if r.Timelines == 0 {
		errs = append(errs, errors.New("no timeline came out"))
	}
	var list []Sample // without the warm-up
	for _, s := range r.Series {
		if s.Seconds > r.Options.Warm && s.Seconds <= r.Options.Warm+r.Seconds {
			list = append(list, s)
		}
	}
	n := len(list) / 3
	if n == 0 {
		return errors.Join(append(errs, errors.New("the run was too short to be judged"))...)
	}
	middle, last := list[n:2*n], list[2*n:]
	// A second's worth of events may always be under way.
	errs = append(errs, flat("lag", "events", most(middle, (*Sample).Lag), most(last, (*Sample).Lag), uint64(r.EventsPerSecond)))
	if need := r.Options.Retention + stateBucket.Seconds(); r.Seconds/3 < need {
		fmt.Fprintf(w, "memory and disk are not judged: a third of the run is %.0f s, and the state keeps %.0f s\n", r.Seconds/3, need)
		return errors.Join(errs...)
	}
	errs = append(errs,
		flat("memory", "bytes", median(middle, func(s *Sample) uint64 { return s.RSS }), median(last, func(s *Sample) uint64 { return s.RSS }), 0),
		flat("state", "bytes", most(middle, func(s *Sample) uint64 { return s.State }), most(last, func(s *Sample) uint64 { return s.State }), stateSwings),
		flat("bus", "bytes", most(middle, func(s *Sample) uint64 { return s.Bus }), most(last, func(s *Sample) uint64 { return s.Bus }), 0))
	return errors.Join(errs...)
}

// flat allows a tenth more, and some.
func flat(what, unit string, before, after, some uint64) error {
	if after > before+before/10+some {
		return fmt.Errorf("%s grows: %d %s in the middle third, %d in the last", what, before, unit, after)
	}
	return nil
}

func values(list []Sample, of func(*Sample) uint64) (out []uint64) {
	for i := range list {
		out = append(out, of(&list[i]))
	}
	slices.Sort(out)
	return out
}

func most(list []Sample, of func(*Sample) uint64) uint64 {
	v := values(list, of)
	return v[len(v)-1]
}

func median(list []Sample, of func(*Sample) uint64) uint64 {
	v := values(list, of)
	return v[len(v)/2]
}
