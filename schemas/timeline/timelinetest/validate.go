// Package timelinetest checks timelines in tests: whatever the project writes
// as a timeline fits the published schema.
package timelinetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// Validate fails the test for every line (one timeline each) that does not fit
// the schema. Empty lines are passed over; it returns how many were checked, so
// that a test can tell nothing from everything in order.
func Validate(t testing.TB, lines []byte) int {
	t.Helper()
	n := 0
	for i, line := range bytes.Split(lines, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		n++
		if err := Check(line); err != nil {
			t.Errorf("timeline in line %d does not fit the schema: %v\n%.2000s", i+1, err, line)
		}
	}
	return n
}

// Check reports how one timeline does not fit the schema.
func Check(line []byte) error {
	s, err := compiled()
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(line))
	if err != nil {
		return fmt.Errorf("read timeline: %w", err)
	}
	return s.Validate(v)
}

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	const url = "timeline.schema.json"
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(timeline.Schema()))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(url, doc); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	s, err := c.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("compile schema: %w", err)
	}
	return s, nil
})
