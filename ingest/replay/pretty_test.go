package replay

import (
	"bytes"
	"encoding/json"
	"testing"
)

// pretty lays values out over lines.
func pretty(t testing.TB, prefix string, values ...string) string {
	t.Helper()
	var out bytes.Buffer
	for _, v := range values {
		if err := json.Indent(&out, []byte(v), prefix, "  "); err != nil {
			t.Fatal(err)
		}
		out.WriteByte('\n')
	}
	return out.String()
}
