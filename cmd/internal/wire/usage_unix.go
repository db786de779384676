//go:build unix

package wire

import (
	"runtime"
	"syscall"
	"time"
)

// usage returns the CPU time of the process so far, user and system, and the
// most memory it ever held, in bytes.
func usage() (cpu time.Duration, maxRSS uint64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	maxRSS = uint64(u.Maxrss)
	if runtime.GOOS != "darwin" && runtime.GOOS != "ios" {
		maxRSS *= 1024 // everybody else counts kilobytes
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), maxRSS
}
