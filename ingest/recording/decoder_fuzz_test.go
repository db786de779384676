package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
)

// FuzzDecode holds the decoder to encoding/json: whatever that reads as an
// event, Decode reads as the same one. Decode is the more liberal (numbers in
// quotes or not, times with offsets, null), and the stricter in what cannot be.
func FuzzDecode(f *testing.F) {
	for _, k := range eventtest.Kinds() {
		for seed := range uint64(3) {
			f.Add(eventtest.Fill(k, seed).AppendJSON(nil))
		}
	}
	f.Add([]byte(`{"payload":{"of":"hubble"},"kind":"clock","time":"2026-11-23T06:56:00Z"}`))
	f.Add([]byte(`{"kind":"dns","time":"2026-11-23T06:56:00Z","payload":{"answers":[null,"::ffff:1.2.3.4","fe80::1%x"]}}`))
	f.Fuzz(func(t *testing.T, rec []byte) {
		var d Decoder
		var b event.Batch
		tally, err := d.Decode(rec, &b)
		if tally.In != 1 || len(b.Events)+tally.Bad+tally.UnknownType != 1 || (err == nil) != (len(b.Events) == 1) {
			t.Fatalf("the law of counting is broken: %+v, %d events, %v", tally, len(b.Events), err)
		}
		if errors.Is(err, ingest.ErrUnknownType) != (tally.UnknownType == 1) {
			t.Fatalf("%+v with the error %v", tally, err)
		}
		if tally.Bad == 0 && !json.Valid(rec) && utf8.Valid(rec) {
			t.Fatalf("not JSON, and read: %s", rec)
		}

		var want event.Event
		if json.Unmarshal(rec, &want) != nil || !agreed(rec) {
			return
		}
		if want.Kind == event.KindPeerTrace || want.Kind == event.KindAlias {
			if tally.Bad == 0 && tally.UnknownType != 1 {
				t.Fatalf("kind %s: %+v, %v", want.Kind, tally, err)
			}
			return
		}
		if err != nil {
			for _, allowed := range []string{"RFC 3339", "no time", "limit exceeded"} {
				if strings.Contains(err.Error(), allowed) {
					return
				}
			}
			t.Fatalf("encoding/json reads it, Decode says %v\n%s", err, rec)
		}
		canonical(reflect.ValueOf(&want).Elem())
		got := b.Events[0]
		if want.ID.IsZero() {
			got.ID = event.ID{}
		}
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Fatalf("Decode read something else (-encoding/json +Decode):\n%s\n%s", diff, rec)
		}
		line(t, &got)
	})
}

// agreed says whether encoding/json and Decode mean to agree on a text: it
// has no member twice, none in another case, and is UTF-8.
func agreed(rec []byte) bool {
	if !utf8.Valid(rec) || bytes.Contains(rec, []byte(`\u`)) {
		return false
	}
	dec := json.NewDecoder(bytes.NewReader(rec))
	var walk func() bool
	walk = func() bool {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		switch tok {
		case json.Delim('{'):
			seen := map[string]bool{}
			for dec.More() {
				key, err := dec.Token()
				if err != nil {
					return false
				}
				name := strings.ToLower(key.(string))
				if seen[name] || name != key.(string) || !ascii(name) {
					return false
				}
				seen[name] = true
				if !walk() {
					return false
				}
			}
			_, err = dec.Token()
		case json.Delim('['):
			for dec.More() {
				if !walk() {
					return false
				}
			}
			_, err = dec.Token()
		}
		return err == nil
	}
	return walk()
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// canonical gives addresses the one form that decoders give them.
func canonical(v reflect.Value) {
	switch a := v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(a.Unmap().WithZone("")))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			canonical(v.Field(i))
		}
	case reflect.Interface, reflect.Pointer:
		canonical(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			canonical(v.Index(i))
		}
	}
}

// reverseMembers writes an object with its members, and those of the objects in
// it, in the opposite order.
func reverseMembers(t testing.TB, rec []byte) []byte {
	t.Helper()
	if len(rec) == 0 || rec[0] != '{' {
		return rec
	}
	dec := json.NewDecoder(bytes.NewReader(rec))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	var out []byte
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		name, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		member := append(append(name, ':'), reverseMembers(t, raw)...)
		if out != nil {
			member = append(append(member, ','), out...)
		}
		out = member
	}
	return append(append([]byte{'{'}, out...), '}')
}
