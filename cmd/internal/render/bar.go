package render

import (
	"strings"

	"github.com/sennit-io/sennit/schemas/event"
)

// span is the time a waterfall is drawn over.
type span struct{ start, end event.Time }

// bar draws start..end over n columns with a resolution of half a column. What
// is shorter than that is still half a column wide.
func (s span) bar(start, end event.Time, n int) string {
	whole := s.end - s.start
	if n <= 0 {
		return ""
	}
	at := func(t event.Time) int {
		if whole <= 0 {
			return 0
		}
		t = min(max(t, s.start), s.end)
		return int(float64(t-s.start) / float64(whole) * float64(2*n))
	}
	from, to := at(start), at(end)
	if whole <= 0 {
		to = 2 * n
	}
	from = min(from, 2*n-1)
	to = max(to, from+1)
	var b strings.Builder
	for i := range n {
		left, right := from <= 2*i && 2*i < to, from <= 2*i+1 && 2*i+1 < to
		switch {
		case left && right:
			b.WriteRune('█')
		case left:
			b.WriteRune('▌')
		case right:
			b.WriteRune('▐')
		default:
			b.WriteByte(' ')
		}
	}
	return b.String()
}
