package wire

import (
	"bytes"
	"testing"
	"time"

	"github.com/sennit-io/sennit/ingest/replay"
)

func TestMeterLine(t *testing.T) {
	f := func(p replay.Progress, elapsed time.Duration, want string) {
		t.Helper()
		if got := meterLine(p, elapsed); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	f(replay.Progress{Bytes: 5e6, Total: 20e6, Read: 12000}, time.Second, "reading 5.0 MB of 20.0 MB (25 %), 12k events, 12k events/s, 3.00s left")
	f(replay.Progress{Bytes: 900, Read: 3}, 0, "reading 900 B, 3 events")
	f(replay.Progress{Phase: replay.PhaseSort, Read: 1_500_000}, time.Second, "sorting 1.5M events")
	f(replay.Progress{Phase: replay.PhaseEmit, Read: 2000, Emitted: 500}, 2*time.Second, "stitching 500 of 2.0k events (25 %), 250 events/s, 6.00s left")
}

func TestNoMeterIsSilent(t *testing.T) {
	var m *meter
	m.show(replay.Progress{})
	m.clear()
	var out bytes.Buffer
	m = newMeter(&out)
	m.clear()
	if out.Len() != 0 {
		t.Errorf("clearing an empty line wrote %q", out.String())
	}
	m.show(replay.Progress{})
	m.clear()
	if !bytes.HasSuffix(out.Bytes(), []byte("\r\x1b[K")) {
		t.Errorf("the line is not taken away: %q", out.String())
	}
}
