package render

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// Duration writes a duration in at most six columns: "61µs", "4.1ms", "412ms",
// "1.25s", "3m05s", "2h07m".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Duration(-d)
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + "ns"
	case d < time.Millisecond:
		return strconv.FormatInt(int64(d/time.Microsecond), 10) + "µs"
	case d < 9950*time.Microsecond:
		return strconv.FormatFloat(float64(d)/1e6, 'f', 1, 64) + "ms"
	case d < time.Second:
		return strconv.FormatInt(int64(d/time.Millisecond), 10) + "ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(float64(d/(10*time.Millisecond))/100, 'f', 2, 64) + "s"
	case d < time.Minute:
		return strconv.FormatFloat(float64(d/(100*time.Millisecond))/10, 'f', 1, 64) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d/time.Second%60)
	}
	return fmt.Sprintf("%dh%02dm", d/time.Hour, d/time.Minute%60)
}

// Count writes a number short: "812", "3.1k", "48k", "1.2M".
func Count(n uint64) string {
	switch {
	case n < 1000:
		return strconv.FormatUint(n, 10)
	case n < 10_000:
		return strconv.FormatFloat(float64(n/100)/10, 'f', 1, 64) + "k"
	case n < 1_000_000:
		return strconv.FormatUint(n/1000, 10) + "k"
	}
	return strconv.FormatFloat(float64(n/100_000)/10, 'f', 1, 64) + "M"
}

// Grouped writes a number in full with commas.
func Grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, c := range []byte(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// Many writes "1 gap", "2,000 gaps".
func Many(n uint64, what string) string {
	if n != 1 {
		what += "s"
	}
	return Grouped(n) + " " + what
}

// Clock writes the time of day with milliseconds, in UTC.
func Clock(t event.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.Std().Format("15:04:05.000")
}

// ShortID shortens a timeline id to what people type: eight digits, with the
// number that tells requests of one trace apart ("4bf92f35-2").
func ShortID(id string) string {
	head, suffix, numbered := strings.Cut(id, "-")
	if len(head) > 8 {
		head = head[:8]
	}
	if numbered && len(suffix) <= 10 {
		return head + "-" + suffix
	}
	return head
}

// MatchesID reports whether typed names the timeline: its id, a prefix of it, or
// the short form that ShortID makes.
func MatchesID(id, typed string) bool {
	if strings.HasPrefix(id, typed) {
		return true
	}
	head, suffix, numbered := strings.Cut(typed, "-")
	idHead, idSuffix, idNumbered := strings.Cut(id, "-")
	return numbered && idNumbered && suffix != "" && suffix == idSuffix && strings.HasPrefix(idHead, head)
}
