package bench

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
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
	if runtime.GOOS != "darwin" {
		maxRSS *= 1024 // everybody else counts kilobytes
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), maxRSS
}

// forgetPeak makes the most memory that the process held count from here on, where
// the kernel can (Linux); elsewhere it stays that since the start.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// rss is the memory of the process now; 0 where /proc does not say.
func rss() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(f[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}

// diskUse is what the files of a folder take on the disk, holes not counted.
func diskUse(dir string) (bytes uint64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // removed meanwhile
		}
		if info, err := d.Info(); err == nil {
			if s, ok := info.Sys().(*syscall.Stat_t); ok {
				bytes += uint64(s.Blocks) * 512
			}
		}
		return nil
	})
	return bytes
}

// calibrate measures the machine with a fixed piece of work, the FNV-1a hash of
// 256 MiB: even CPU time drifts with the load of its host. It returns the CPU
// time.
func calibrate() time.Duration {
	buf := make([]byte, 1<<20)
	for i := range buf {
		buf[i] = byte(i * 7)
	}
	before, _ := usage()
	h := uint64(14695981039346656037)
	for range calibrationMiB {
		for _, c := range buf {
			h = (h ^ uint64(c)) * 1099511628211
		}
	}
	runtime.KeepAlive(h)
	after, _ := usage()
	return after - before
}

const calibrationMiB = 256
