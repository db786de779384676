package event

import (
	"fmt"
	"time"
)

// Time is an instant in nanoseconds since the Unix epoch, UTC. Zero means
// "unknown". It is written as RFC 3339 with nanoseconds.
type Time int64

// Never is later than every event.
const Never Time = 1<<63 - 1

// At converts a time.Time of the years 1678 to 2261, beyond which nanoseconds do
// not fit; the zero time.Time is unknown.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixNano())
}

// Std converts to a time.Time in UTC.
func (t Time) Std() time.Time { return time.Unix(0, int64(t)).UTC() }

// Add returns the time d later, saturating at Never.
func (t Time) Add(d time.Duration) Time {
	if u := t + Time(d); d < 0 || u >= t {
		return u
	}
	return Never
}

// Sub returns the duration t-u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// IsZero reports whether the time is unknown.
func (t Time) IsZero() bool { return t == 0 }

func (t Time) String() string { return string(t.Append(nil)) }

// MarshalText renders RFC 3339 with nine digits, or nothing for zero.
func (t Time) MarshalText() ([]byte, error) { return t.Append(nil), nil }

// UnmarshalText reads RFC 3339, nothing as zero. Years outside 1678..2261 do not
// fit and are an error.
func (t *Time) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*t = 0
		return nil
	}
	if v, ok := canonical(b); ok {
		*t = v
		return nil
	}
	std, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		return fmt.Errorf("parse time: %w", err)
	}
	if y := std.UTC().Year(); y < 1678 || y > 2261 {
		return fmt.Errorf("parse time: the year %d does not fit", y)
	}
	*t = At(std)
	return nil
}

// canonical reads what Append writes, of the years 1970 to 2261, at a tenth of what
// time.Parse costs. All else is for that.
func canonical(b []byte) (Time, bool) {
	const form = "0000-00-00T00:00:00.000000000Z"
	if len(b) != len(form) {
		return 0, false
	}
	for i := range len(form) {
		if c := form[i]; c == '0' && b[i]-'0' > 9 || c != '0' && c != b[i] {
			return 0, false
		}
	}
	number := func(from, to int) (n int64) {
		for _, c := range b[from:to] {
			n = n*10 + int64(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	hour, minute, second := number(11, 13), number(14, 16), number(17, 19)
	if year < 1970 || year > 2261 || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	if day < 1 || day > 28 { // which every month has
		if y, m, d := civil(days(year, month, day)); int64(y) != year || int64(m) != month || int64(d) != day {
			return 0, false
		}
	}
	return Time(((days(year, month, day)*24+hour)*60+minute)*60+second)*1e9 + Time(number(20, 29)), true
}

// days are those from 1970-01-01 until a day of the years from 1: what civil undoes.
func days(year, month, day int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	era := year / 400
	yoe := year - era*400
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + (153*(month-3)+2)/5 + day - 1 - 719468
}

// Append appends the RFC 3339 form with nine digits ("2026-11-23T06:56:00.000000001Z"),
// nothing for zero. It does not allocate when b has room.
func (t Time) Append(b []byte) []byte {
	if t == 0 {
		return b
	}
	sec, ns := int64(t)/1e9, int64(t)%1e9
	if ns < 0 {
		sec, ns = sec-1, ns+1e9
	}
	days, rem := sec/86400, sec%86400
	if rem < 0 {
		days, rem = days-1, rem+86400
	}
	y, m, d := civil(days)
	b = append2(append2(b, y/100), y%100)
	b = append2(append(b, '-'), m)
	b = append2(append(b, '-'), d)
	b = append2(append(b, 'T'), int(rem/3600))
	b = append2(append(b, ':'), int(rem/60%60))
	b = append2(append(b, ':'), int(rem%60))
	b = append(b, '.')
	for div := int64(1e8); div > 0; div /= 10 {
		b = append(b, byte('0'+ns/div%10))
	}
	return append(b, 'Z')
}

func append2(b []byte, v int) []byte { return append(b, byte('0'+v/10%10), byte('0'+v%10)) }

// civil turns days since 1970-01-01 into year, month and day of the proleptic
// Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date
// Algorithms"): time.Time's own formatting costs five times as much.
func civil(days int64) (year, month, day int) {
	z := days + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy - (153*mp+2)/5 + 1)
	month = int(mp + 3)
	if month > 12 {
		month -= 12
	}
	year = int(yoe + era*400)
	if month <= 2 {
		year++
	}
	return year, month, day
}
