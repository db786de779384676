// Package racetest lets a test be smaller under the race detector, which makes
// computation ten times slower and says nothing about a single goroutine. The same
// test is whole without the detector: `make test` runs every package that imports
// this one a second time so.
package racetest

// Size is how many of something a test uses: full, or raced under the race
// detector.
func Size(full, raced int) int {
	if enabled {
		return raced
	}
	return full
}
