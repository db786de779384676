// Package joint holds the tests of the recording of a real agent under
// testdata/joint: of its conversion, and of what the engine makes of it. They are
// here because ./... does not reach testdata.
package joint
