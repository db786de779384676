package scan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var jsonSeeds = []string{
	``, ` `, `null`, `true`, `false`, `0`, `-0`, `01`, `-`, `1.`, `.5`, `1e5`, `1E+05`, `1e`, `-1.25e-3`, `1 2`,
	`"a"`, `"`, `"\"`, `"\u00e9\ud83d\ude00"`, `"\ud800"`, `"\ud800\ud800\udc00"`, `"\ud800\u0041"`, `"\u12"`, `"\x"`,
	"\"a\tb\"", "\"a\x7fb\"", "\"\xff\xfe\"", "\"\x00\"", "\ufeff{}",
	`[]`, `[1]`, `[1,]`, `[,1]`, `[1 2]`, `[`, `]`, `[]]`, `[[],{}]`, `{}`, `{"a":1}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a" 1}`,
	`{"a":{"b":[1,{"c":null},"d"]},"e":true}`, `{"a":[}`, `{a:1}`, `{"a":nul}`, `{"a":truee}`, `{"\u0061":1}`, "\t{ \"a\" :\r\n[ ] }\n",
	`{"long":"` + strings.Repeat("x", 40) + `\n` + strings.Repeat("y", 40) + `"}`,
	`"` + strings.Repeat("x", 64) + "\x01" + strings.Repeat("y", 8) + `"`,
	`"` + strings.Repeat("z", 33), strings.Repeat("[", 64) + strings.Repeat("]", 64), strings.Repeat("[", 65) + strings.Repeat("]", 65),
	strings.Repeat(`{"a":`, 70), `[` + strings.Repeat(`"\\",`, 20) + `1]`,
}

// FuzzValid holds the scanner to encoding/json: the same texts are accepted,
// apart from what is beyond the limits, and every value is the same.
func FuzzValid(f *testing.F) {
	for _, seed := range jsonSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) { checkAgainstEncodingJSON(t, in) })
}

func checkAgainstEncodingJSON(t *testing.T, in []byte) {
	t.Helper()
	var s JSON
	s.Reset(in)
	s.Skip()
	err := s.End()
	if errors.Is(err, ErrLimit) {
		return
	}
	if valid := json.Valid(in); (err == nil) != valid {
		t.Fatalf("Skip(%q) = %v, want valid %v", in, err, valid)
	}

	s.Reset(in)
	raw := s.Raw()
	if rawErr := s.End(); (rawErr == nil) != (err == nil) {
		t.Fatalf("Raw(%q) = %v, Skip %v", in, rawErr, err)
	}
	if err == nil && string(raw) != string(bytes.Trim(in, " \t\r\n")) {
		t.Fatalf("Raw(%q) = %q", in, raw)
	}

	s.Reset(in)
	got := tree(&s)
	treeErr := s.End()
	if (treeErr == nil) != (err == nil) {
		t.Fatalf("walk of %q = %v, Skip %v", in, treeErr, err)
	}
	if err != nil {
		if !errors.Is(err, ErrSyntax) {
			t.Fatalf("Skip(%q) = %v, want ErrSyntax", in, err)
		}
		return
	}
	if want := reference(t, in); got != want {
		t.Fatalf("walk of %q\n got %s\nwant %s", in, got, want)
	}
}

// tree reads any value through the scanner's own methods and renders it, with
// bytes that are not UTF-8 replaced one by one, as encoding/json does.
func tree(s *JSON) string {
	var out strings.Builder
	var walk func(depth int)
	walk = func(depth int) {
		switch c := s.Peek(); c {
		case '{':
			out.WriteByte('{')
			for s.Object(); s.Next(); {
				fmt.Fprintf(&out, "%q:", string([]rune(string(s.Key()))))
				walk(depth + 1)
			}
			out.WriteByte('}')
		case '[':
			out.WriteByte('[')
			for s.Array(); s.Next(); {
				walk(depth + 1)
			}
			out.WriteByte(']')
		case '"':
			fmt.Fprintf(&out, "%q ", string([]rune(string(s.Bytes()))))
		case 't', 'f':
			fmt.Fprintf(&out, "%v ", s.Bool())
		case 'n':
			for s.Array(); s.Next(); { // a null is an empty list
				out.WriteString("element of null")
			}
			out.WriteString("null ")
		default:
			fmt.Fprintf(&out, "%s ", s.Raw())
		}
	}
	walk(0)
	return out.String()
}

// reference renders the same text as encoding/json reads it.
func reference(t *testing.T, in []byte) string {
	t.Helper()
	var out strings.Builder
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber()
	var walk func(obj bool)
	walk = func(obj bool) {
		for d.More() {
			tok, err := d.Token()
			if err != nil {
				t.Fatalf("encoding/json reads %q: %v", in, err)
			}
			if obj {
				fmt.Fprintf(&out, "%q:", tok.(string))
				if tok, err = d.Token(); err != nil {
					t.Fatalf("encoding/json reads %q: %v", in, err)
				}
			}
			switch v := tok.(type) {
			case json.Delim:
				out.WriteString(v.String())
				walk(v == '{')
				end, err := d.Token()
				if err != nil {
					t.Fatalf("encoding/json reads %q: %v", in, err)
				}
				out.WriteString(end.(json.Delim).String())
			case string:
				fmt.Fprintf(&out, "%q ", v)
			case nil:
				out.WriteString("null ")
			default:
				fmt.Fprintf(&out, "%v ", v)
			}
		}
	}
	walk(false)
	return out.String()
}

func TestJSONSeeds(t *testing.T) {
	for _, seed := range jsonSeeds {
		checkAgainstEncodingJSON(t, []byte(seed))
	}
}
