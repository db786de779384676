package scan

import (
	"testing"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// FuzzTime holds Time to time.Parse: what both read is the same instant, and
// each refuses more than the other only in the ways named here.
func FuzzTime(f *testing.F) {
	for _, seed := range []string{
		"2026-11-23T06:56:00Z", "2026-11-23T06:56:00.000000001Z", "2026-11-23t06:56:00z", "2026-11-23 06:56:00Z", "2024-02-29T23:59:59.9+23:59",
		"2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2026-12-31T23:59:60Z", "1678-01-01T00:00:00+23:59", "2261-12-31T23:59:59.999999999-23:59",
		"2262-01-01T00:00:00Z", "1969-12-31T23:59:59.999999999Z", "2026-11-23T06:56:00,5Z", "2026-11-23T06:56:00.1234567891Z", "2026-11-23T06:56:00.Z", "2026-11-23T6:56:00Z",
		"2026-11-23T06:56:00+24:00", "2026-11-23T06:56:00+0100", "2026-00-23T06:56:00Z", "2026-13-23T06:56:00Z", "2026-11-00T06:56:00Z", "2026-11-31T06:56:00Z",
		"2026-11-23T24:00:00Z", "2026-11-23T06:60:00Z", "", "2026-11-23T06:56:00", "2026-11-23T06:56:00ZZ",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := Time([]byte(in))
		std, err := time.Parse(time.RFC3339Nano, in)
		switch {
		case ok && err == nil:
			if got != event.Time(std.UnixNano()) {
				t.Fatalf("Time(%q) = %d, time.Parse says %d", in, got, std.UnixNano())
			}
		case ok:
			// More than time.Parse: a small t or z, a blank for the T, a leap second.
			if in[10] == 'T' && in[len(in)-1] != 'z' && in[17:19] != "60" {
				t.Fatalf("Time(%q) = %v, time.Parse says %v", in, got, err)
			}
		case err == nil:
			// Less: hours of one digit, years that do not fit, offsets of a day or more.
			strict := len(in) >= 20 && in[13] == ':' && std.Year() > 1678 && std.Year() < 2261
			if _, off := std.Zone(); strict && off > -86400 && off < 86400 && in[len(in)-2:] != "60" {
				t.Fatalf("Time(%q) refused, time.Parse says %v", in, std)
			}
		}
	})
}

func TestTimeReadsWhatEventWrites(t *testing.T) {
	for _, want := range []event.Time{1, -1, 1e9 - 1, -1e9, 1795396215176140315, -9214560000000000000, 9214560000000000000} {
		if got, ok := Time(want.Append(nil)); !ok || got != want {
			t.Errorf("Time(%s) = %d, %v, want %d", want, got, ok, want)
		}
	}
}
