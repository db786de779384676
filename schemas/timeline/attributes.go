package timeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/sennit-io/sennit/schemas/jsontext"
)

// Get returns the attribute of a name.
func (a Attributes) Get(key string) (Attribute, bool) {
	for _, at := range a {
		if at.Key == key {
			return at, true
		}
	}
	return Attribute{}, false
}

// AppendJSON appends the attributes as one JSON object, in their order.
func (a Attributes) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	for i := range a {
		b = append(jsontext.String(b, a[i].Key), ':')
		if a[i].IsNum {
			b = strconv.AppendInt(b, a[i].Num, 10)
		} else {
			b = jsontext.String(b, a[i].Str)
		}
		b = append(b, ',')
	}
	return jsontext.Close(b, '}')
}

// MarshalJSON returns what AppendJSON appends.
func (a Attributes) MarshalJSON() ([]byte, error) { return a.AppendJSON(nil), nil }

// UnmarshalJSON reads an object whose values are strings and whole numbers,
// keeping its order.
func (a *Attributes) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	tok, err := dec.Token()
	if err != nil {
		return fmt.Errorf("read attributes: %w", err)
	}
	*a = nil
	switch tok {
	case nil:
		return nil
	case json.Delim('{'):
	default:
		return fmt.Errorf("read attributes: %v is no object", tok)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fmt.Errorf("read attributes: %w", err)
		}
		at := Attribute{Key: key.(string)} // a decoder gives nothing else here
		value, err := dec.Token()
		if err != nil {
			return fmt.Errorf("read attribute %q: %w", at.Key, err)
		}
		switch v := value.(type) {
		case string:
			at.Str = v
		case json.Number:
			at.IsNum = true
			if at.Num, err = v.Int64(); err != nil {
				return fmt.Errorf("read attribute %q: want a whole number of 64 bits: %w", at.Key, err)
			}
		default:
			return fmt.Errorf("read attribute %q: want a string or a whole number, not %v", at.Key, v)
		}
		*a = append(*a, at)
	}
	return nil
}
