package event

import (
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
}
