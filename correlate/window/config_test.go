package window

import (
	"testing"
	"time"

	"github.com/sennit-io/sennit/schemas/tables"
)

// The views of tables leave out open requests that began so long ago that they cannot
// be open any more.
func TestOpenHours(t *testing.T) {
	c := Default()
	if least := c.Longest + c.Silence + c.Lag + tables.StalenessMinutes*time.Minute; tables.OpenHours*time.Hour < least {
		t.Errorf("a request may be open for %v, tables show it for %d h", least, tables.OpenHours)
	}
}
