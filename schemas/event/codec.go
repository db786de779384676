package event

import (
	"encoding/json"
	"fmt"

	"github.com/sennit-io/sennit/schemas/jsontext"
)

//go:generate go run ./gen

func (h Hashes) appendJSON(b []byte) []byte {
	raw := h.raw()
	return jsontext.Hex(b, raw[:])
}

// UnmarshalJSON reads an event of any kind, the derived ones too, with
// encoding/json: it is for tools and tests; recorded lines are read by package
// ingest/recording.
func (e *Event) UnmarshalJSON(b []byte) error {
	type head Event
	in := struct {
		*head
		Payload json.RawMessage `json:"payload"`
	}{head: (*head)(e)}
	*e = Event{}
	if err := json.Unmarshal(b, &in); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	if e.Payload = NewPayload(e.Kind); e.Payload == nil {
		return fmt.Errorf("read event: no payload is known for kind %q", e.Kind)
	}
	if len(in.Payload) == 0 {
		return nil
	}
	if err := json.Unmarshal(in.Payload, e.Payload); err != nil {
		return fmt.Errorf("read payload of %s: %w", e.Kind, err)
	}
	return nil
}
