package disk

import (
	"fmt"
	"syscall"
)

// spaceFor returns ErrFull if less than min bytes are free where dir lies. A
// folder that is not there yet is left to Badger, which makes it.
func spaceFor(dir string, min uint64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return nil
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < min {
		return fmt.Errorf("%w (%d MiB free, %d wanted)", ErrFull, free>>20, min>>20)
	}
	return nil
}
