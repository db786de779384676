// Package recordings finds the real recordings that some tests read. They are
// no part of the project: without them those tests skip, loudly.
package recordings

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir returns the folder of the recordings: SENNIT_SHARED_DATA, else
// ../shared/data beside the repository. Without one the test is skipped.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SENNIT_SHARED_DATA")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for ; root != filepath.Dir(root); root = filepath.Dir(root) {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
		}
		dir = filepath.Join(filepath.Dir(root), "shared", "data")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: no recordings (%v); set SENNIT_SHARED_DATA to their folder", err)
	}
	return dir
}
