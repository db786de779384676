package replay

import (
	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Decoder decodes single records of any format that Run reads, for who reads
// records as they come. Not for concurrent use.
type Decoder struct {
	sniffer  sniffer
	decoders [formats]decoder
}

// NewDecoder returns a decoder. The zero policy drops everything that can be.
func NewDecoder(policy redact.Policy) *Decoder {
	return &Decoder{decoders: newDecoders(policy)}
}

// Decode appends the events of one record to the batch. The tally counts the
// record as what it was; an error says why it gave no event.
func (d *Decoder) Decode(rec []byte, b *event.Batch) (event.Source, ingest.Tally, error) {
	f, err := d.sniffer.sniff(rec)
	switch {
	case err != nil:
		return event.SourceUnknown, ingest.Tally{In: 1, Bad: 1}, err
	case f == formatUnknown:
		return event.SourceUnknown, ingest.Tally{In: 1, UnknownType: 1}, errNoShape
	}
	t, err := d.decoders[f].Decode(rec, b)
	return f.source(), t, err
}
