package convert

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
)

// clock puts boot time on the wall clock. One reading is enough: recordings
// take seconds.
type clock struct {
	Realtime int64 `json:"realtime_ns"`
	Boottime int64 `json:"boottime_ns"`
}

func readClock(dir string) (c clock, err error) {
	b, err := os.ReadFile(filepath.Join(dir, "clock.json"))
	if err != nil {
		return c, fmt.Errorf("read clock: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("read clock.json: %w", err)
	}
	if c.Realtime == 0 || c.Boottime == 0 {
		return c, fmt.Errorf("read clock.json: realtime_ns or boottime_ns is missing")
	}
	return c, nil
}

func (c clock) wall(bootNS int64) event.Time { return event.Time(c.Realtime - c.Boottime + bootNS) }

func (c clock) boot(t event.Time) uint64 { return uint64(int64(t) - c.Realtime + c.Boottime) }

// seconds reads "2095.372175" as nanoseconds. Floating point would lose the
// last digits of a wall clock.
func seconds(s string) (int64, error) {
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) > 9 {
		return 0, fmt.Errorf("read time %q: more than nine digits", s)
	}
	sec, err := strconv.ParseUint(whole, 10, 33)
	if err != nil {
		return 0, fmt.Errorf("read time: %w", err)
	}
	ns, err := strconv.ParseUint(frac+"000000000"[len(frac):], 10, 31)
	if err != nil {
		return 0, fmt.Errorf("read time: %w", err)
	}
	return int64(sec)*1e9 + int64(ns), nil
}
