//go:build !unix

package parquet

import "os"

// lock only opens the file: that one process writes to a folder is up to the user.
func lock(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644) }
