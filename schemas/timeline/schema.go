package timeline

import (
	"bytes"
	_ "embed"
)

//go:embed timeline.schema.json
var schema []byte

// Schema returns the JSON Schema (2020-12) of the canonical form. It is closed:
// members it does not name are not allowed, except in attributes.
func Schema() []byte { return bytes.Clone(schema) }
