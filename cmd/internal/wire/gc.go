package wire

import (
	"os"
	"runtime/debug"
)

// Replay makes much garbage that dies young and keeps little: collecting when
// the heap has grown fivefold costs half as much as the default. Beyond
// softLimit the collector works as hard as it must.
const (
	gcPercent = 400
	softLimit = 4 << 30 // bytes
)

// tuneGC sets the collector for a replay, unless the user has set it.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softLimit)
	}
}
