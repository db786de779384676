package doctor

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/cmd/internal/render"
)

// Verdict of a check.
type Verdict uint8

// Verdicts: warn is something that Sennit does without, fail what was asked for
// and cannot be.
const (
	OK Verdict = iota
	Warn
	Fail
)

func (v Verdict) String() string { return [...]string{"ok  ", "warn", "fail"}[v] }

// Check is one thing that was looked at: what was found, and what to do about it.
type Check struct {
	Verdict       Verdict
	Name, Finding string
	Do            string // empty if nothing
}

// All looks at everything. The bus is asked for only where a URL is given.
func All(ctx context.Context, url string) []Check {
	checks := append(kernel(), exporters()...)
	if url != "" {
		checks = append(checks, bus(ctx, url))
	}
	return checks
}

// Write writes one line a check, and a second one where there is something to
// do. It reports whether none failed.
func Write(w io.Writer, checks []Check) (well bool, err error) {
	well = true
	for _, c := range checks {
		well = well && c.Verdict != Fail
		if _, err := fmt.Fprintf(w, "%s  %-28s %s\n", c.Verdict, c.Name, render.Escape(c.Finding)); err != nil {
			return false, err
		}
		if c.Do == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "      %-28s → %s\n", "", render.Escape(c.Do)); err != nil {
			return false, err
		}
	}
	return well, nil
}

// bus asks NATS for its JetStream account.
func bus(ctx context.Context, url string) Check {
	c := Check{Name: "bus"}
	nc, err := nats.Connect(url, nats.Timeout(3*time.Second))
	if err != nil {
		c.Verdict, c.Finding, c.Do = Fail, err.Error(), "start NATS there, or give its address with --nats"
		return c
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	js, err := jetstream.New(nc)
	if err == nil {
		_, err = js.AccountInfo(ctx)
	}
	if err != nil {
		c.Verdict, c.Finding, c.Do = Fail, "JetStream: "+err.Error(), "start the server with JetStream (nats-server --jetstream), and allow it to this account"
		return c
	}
	c.Finding = "NATS " + nc.ConnectedServerVersion() + " with JetStream"
	return c
}
