package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/sennit-io/sennit/cmd/internal/live"
)

// recordFlags say how a recording of the bus is written.
type recordFlags struct {
	options live.RecordOptions
	size    int
	pack    *choice
}

// add adds the flags, whose names begin with a prefix where a verb has more to do
// than to record.
func (f *recordFlags) add(g flagGroup, prefix string) {
	f.pack = newChoice("none", "gz", "zst")
	g.set.IntVar(&f.size, prefix+"max-size", 256, "begin a new file when one has so many `MiB`, before it is packed")
	g.set.DurationVar(&f.options.Files.MaxAge, prefix+"max-age", time.Hour, "begin a new file when one is `DURATION` old, 0 for whatever its age")
	g.set.IntVar(&f.options.Files.Keep, prefix+"keep", 0, "keep the newest `N` finished files, 0 for all")
	g.set.Var(f.pack, prefix+"pack", "compress finished files")
}

// check completes what the flags say.
func (f *recordFlags) check() error {
	switch {
	case f.size < 1:
		return usagef("--max-size must be 1 (MiB) or more")
	case f.options.Files.MaxAge < 0 || f.options.Since < 0 || f.options.Files.Keep < 0:
		return usagef("--max-age, --since and --keep must not be negative")
	}
	f.options.Files.MaxBytes = int64(f.size) << 20
	if f.options.Files.Pack = f.pack.value; f.pack.value == "none" {
		f.options.Files.Pack = ""
	}
	return nil
}

func recordRunner() *runner {
	f := newServiceFlags()
	var rec recordFlags
	r := &runner{}
	r.cmd = &cobra.Command{
		Use:     "record",
		GroupID: "live",
		Short:   "Record what passes on the bus, for replay",
		Long: `Read the events that nodes send to a bus (NATS with JetStream) and write them to
files, one event a line, which 'sennit replay' reads: what a processor stitches,
and nothing is taken from it. A file is finished when it is large or old enough, and
at the end; one that is not is called .part, and replay passes it over.

The process may be killed at any time: it goes on where it was, and no event is lost
or written twice.`,
		Example: `  sennit record --nats nats://nats.sennit:4222 --out events --pack zst --keep 48
  sennit replay events`,
	}
	g := newFlagGroup("Recording")
	g.once = true
	g.set.StringVar(&f.service.Dir, "out", "sennit-record", "write the files into the folder `DIR`")
	rec.add(g, "")
	g.set.DurationVar(&rec.options.Since, "since", 0, "begin a new recording `DURATION` back, 0 for with all that the bus holds")
	r.groups = []flagGroup{g, f.listening(false), f.connecting(), f.working(false)}
	r.check = func() error {
		if err := f.check(r.cmd, false); err != nil {
			return err
		}
		return rec.check()
	}
	r.run = func(ctx context.Context) error { return live.Record(ctx, f.service, f.bus, rec.options) }
	return r
}
