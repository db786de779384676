package simulate

import (
	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/gcp"
	"github.com/sennit-io/sennit/ingest/tetragon"
	"github.com/sennit-io/sennit/schemas/event"
)

// ids finds the event id that a reader will give a line, by reading it: the
// truth names events by it wherever the line itself carries no id. Readers with
// a redaction key of their own arrive at other ids for system calls.
type ids struct {
	tetragon tetragon.Decoder
	gcp      gcp.Decoder
	batch    event.Batch
}

type decoder interface {
	Decode(rec []byte, b *event.Batch) (ingest.Tally, error)
}

// of returns the id, zero for a line that no decoder reads as one event.
func (i *ids) of(d decoder, line []byte) event.ID {
	i.batch.Reset()
	if _, err := d.Decode(line, &i.batch); err != nil || len(i.batch.Events) != 1 {
		return event.ID{}
	}
	return i.batch.Events[0].ID
}
