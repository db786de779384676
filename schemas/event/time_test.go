package event

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const stdLayout = "2006-01-02T15:04:05.000000000Z"

// Append does by hand what time.Time's formatting does.
func TestTimeAppend(t *testing.T) {
	check := func(v Time) {
		t.Helper()
		want := v.Std().Format(stdLayout)
		if v == 0 {
			want = ""
		}
		if got := v.String(); got != want {
			t.Fatalf("%d renders as %q, want %q", int64(v), got, want)
		}
		var back Time
		if y := v.Std().Year(); y < 1678 || y > 2261 {
			return
		}
		if err := back.UnmarshalText([]byte(v.String())); err != nil || back != v {
			t.Fatalf("%d reads back as %d, %v", int64(v), int64(back), err)
		}
	}
	for _, v := range []Time{0, 1, -1, 999999999, 1000000000, -1000000000, -1000000001, 86400e9, -86400e9, -86400e9 - 1, Never, -1 << 63} {
		check(v)
	}
	// Every day for 300 years, so every leap rule.
	for day := int64(-70000); day < 50000; day++ {
		check(Time(day*86400e9 + 1))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		check(Time(r.Uint64()))
	}
}

func TestTimeUnmarshal(t *testing.T) {
	f := func(in string, want Time, ok bool) {
		t.Helper()
		got := Time(77)
		if err := got.UnmarshalText([]byte(in)); (err == nil) != ok || ok && got != want {
			t.Errorf("%q reads as %d, %v, want %d, ok %v", in, int64(got), err, int64(want), ok)
		}
	}
	f("", 0, true)
	f("1970-01-01T00:00:01Z", 1e9, true)
	f("1970-01-01T01:00:01.5+01:00", 15e8, true)
	f("9999-01-01T00:00:00Z", 0, false)
	f("0001-01-01T00:00:00Z", 0, false)
	f("yesterday", 0, false)
}

// What is read without time.Parse is what that reads, and nothing else is.
func TestTimeCanonical(t *testing.T) {
	f := func(in string) {
		t.Helper()
		got, ok := canonical([]byte(in))
		want, err := time.Parse(time.RFC3339Nano, in)
		wantOK := err == nil && len(in) == len(stdLayout) && want.Year() >= 1970 && want.Year() <= 2261
		if ok != wantOK || ok && got != At(want) {
			t.Fatalf("%q reads as %d, %t, want %v, %v", in, int64(got), ok, want, err)
		}
	}
	for _, year := range []int{0, 1969, 1970, 1999, 2000, 2024, 2026, 2100, 2261, 2262, 9999} {
		for month := range 14 {
			for day := range 33 {
				f(fmt.Sprintf("%04d-%02d-%02dT12:34:56.123456789Z", year, month, day))
			}
		}
	}
	for n := range 100 {
		f(fmt.Sprintf("2026-11-23T%02d:00:00.000000000Z", n))
		f(fmt.Sprintf("2026-11-23T00:%02d:00.000000000Z", n))
		f(fmt.Sprintf("2026-11-23T00:00:%02d.000000000Z", n))
	}
	const good = "2026-11-23T12:34:56.123456789Z"
	for i := range good {
		for c := byte(1); c < 0x80; c++ {
			if c == ',' && good[i] == '.' { // time.Parse takes it for a point
				continue
			}
			f(good[:i] + string(rune(c)) + good[i+1:])
		}
		f(good[:i])
	}
}

func TestTimeArithmetic(t *testing.T) {
	if got := Never.Add(time.Hour); got != Never {
		t.Errorf("Never + 1h = %d, want Never", got)
	}
	if got := Time(5).Add(-10); got != -5 {
		t.Errorf("5 - 10 ns = %d", got)
	}
	if got := Time(1e9).Sub(4e8); got != 600*time.Millisecond {
		t.Errorf("1 s - 0.4 s = %v", got)
	}
	if !At(time.Time{}).IsZero() || At(time.Unix(0, 9)) != 9 {
		t.Error("At")
	}
}

func TestTimeAppendAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() { buf = Time(1795396215176140315).Append(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	var v Time
	if n := testing.AllocsPerRun(100, func() {
		if err := v.UnmarshalText(buf); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("reading: %v allocations, want 0", n)
	}
}
