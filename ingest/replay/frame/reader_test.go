package frame

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// read renders every record as "line:text", or "line!why", with the CRI time
// where there is one.
func read(t testing.TB, r *Reader) ([]string, error) {
	t.Helper()
	var out []string
	var b Block
	for {
		err := r.Next(&b)
		if err != nil && len(b.Records) > 0 {
			t.Fatalf("records beside %v", err)
		}
		for i := range b.Records {
			rec := &b.Records[i]
			s := fmt.Sprint(rec.Line, ":", string(b.Bytes(rec)))
			if rec.Why != "" {
				s = fmt.Sprint(rec.Line, "!", rec.Why)
			}
			if rec.Observed != 0 {
				s = rec.Observed.String()[17:20] + " " + s
			}
			out = append(out, s)
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

func TestReader(t *testing.T) {
	f := func(name, in string, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			got, err := read(t, NewReader(strings.NewReader(in)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("whole (-want +got):\n%s", diff)
			}
			got, err = read(t, NewReader(iotest.OneByteReader(strings.NewReader(in))))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("byte by byte (-want +got):\n%s", diff)
			}
		})
	}
	f("empty", "")
	f("blank lines", "\n \n\r\n\t\n")
	f("lines", "{\"a\":1}\n{\"b\":2}\r\n\n  {\"c\":3}  \n{\"d\":4}", `1:{"a":1}`, `2:{"b":2}`, `4:{"c":3}`, `5:{"d":4}`)
	f("byte order mark", "\xef\xbb\xbf{\"a\":1}\n{\"b\":2}\n", `1:{"a":1}`, `2:{"b":2}`)
	f("two on a line", `{"a":1}{"b":2} {"c":3}`, `1:{"a":1}{"b":2} {"c":3}`) // the decoder finds out, see Split
	f("commas", "{\"a\":1},\n{\"b\":2},\n", `1:{"a":1}`, `2:{"b":2}`)
	f("text", "hello\n{\"a\":1}\n2026 was\n\"s\"\n17\n", `1:hello`, `2:{"a":1}`, `3:2026 was`, `4:"s"`, `5:17`)

	f("array", `[{"a":[{}]}, {"b":"],["}]`, `1:{"a":[{}]}`, `1:{"b":"],["}`)
	f("array over lines", "[\n{\"a\":1},\n {\"b\":2}\n]\n{\"c\":3}", `2:{"a":1}`, `3:{"b":2}`, `5:{"c":3}`)
	f("array, comma first", "[{\"a\":1}\n,{\"b\":2}\n]", `1:{"a":1}`, `2:{"b":2}`)
	f("empty arrays", "[]\n[ \n ]\n{}", `4:{}`)
	f("array of others", "[1,2]\n[[{}]]\n", `1:[1,2]`, `2:[[{}]]`)
	f("array of objects and others", `[{},1,"x",[2]]`, `1:{}`, `1:1`, `1:"x"`, `1:[2]`)
	f("array that does not end", "[{\"a\":1},\n{\"b\":2}", `1:{"a":1}`, `2:{"b":2}`)

	f("pretty", "{\n  \"a\": {\n    \"b\": \"}\\\"{\"\n  }\n}\n{\n}\n{\"c\":1}\n",
		"1:{\n  \"a\": {\n    \"b\": \"}\\\"{\"\n  }\n}", "6:{\n}", `8:{"c":1}`)
	f("pretty array", "[\n  {\n    \"a\": 1\n  },\n  {\n    \"b\": 2\n  }\n]\n", "2:{\n    \"a\": 1\n  }", "5:{\n    \"b\": 2\n  }")
	f("first line ends like a whole object", "{\"a\":{}\n,\"b\":1}\n{\"c\":{}\n\n}\n{\"d\":[{}\n]}\n{\"e\":1}",
		"1:{\"a\":{}\n,\"b\":1}", "3:{\"c\":{}\n\n}", "6:{\"d\":[{}\n]}", `8:{"e":1}`)

	f("cut in a string", "{\"a\":\"x\n{\"b\":1}\n", "1!"+whyBroken, `2:{"b":1}`)
	f("cut behind a comma", "{\"a\":{\"x\":1,\n{\"b\":1}\n{\"c\":1}\n", "1!"+whyCut, `2:{"b":1}`, `3:{"c":1}`)
	f("cut behind a colon", "{\"a\":\n{\"b\":1}\n{\"c\":1}\n{\"d\":1}\n", "1!"+whyCut, `2:{"b":1}`, `3:{"c":1}`, `4:{"d":1}`)
	f("cut in an array", "{\"a\":[\n{\"b\":1}\n{\"c\":1}\n", "1!"+whyCut, `2:{"b":1}`, `3:{"c":1}`)
	f("cut at the end", "{\"a\":[\n{\"b\":1},\n{\"c\":1}", "1!"+whyEnd, `2:{"b":1}`, `3:{"c":1}`)
	f("cut twice", "{\"a\":[\n{\"b\":\n{\"c\":1}\n{\"d\":1}", "1!"+whyCut, "2!"+whyBroken, `3:{"c":1}`, `4:{"d":1}`)
	f("broken pretty", "{\n  \"a\": 1,\n  b: 2,\n  \"c\": [\n    3\n  ]\n}\n{\"d\":1}\n", "1!"+whyCut, `8:{"d":1}`)
	f("broken pretty in an array", "[\n  {\n    \"a\": b\n  },\n  {\n    \"c\": 1\n  }\n]\n{\"d\":1}",
		"2!"+whyCut, "5:{\n    \"c\": 1\n  }", `9:{"d":1}`)
	f("trailing text", "{\"a\":[]} x\n{\"b\":1}\n", `1:{"a":[]}`, `1!not valid JSON: unexpected 'x'`, `2:{"b":1}`)
	f("log line in brackets", "[2026-01-01 12:00:00] INFO started\n{\"b\":1}\n", "1!"+whyBroken, `2:{"b":1}`)
	f("too deep", strings.Repeat("[", 70)+"\n{\"b\":1}\n", "1!"+whyDepth, `2:{"b":1}`)
	f("deepest", strings.Repeat("[", 64)+strings.Repeat("]", 64)+"\n", "1:"+strings.Repeat("[", 64)+strings.Repeat("]", 64))
	f("NUL", "\x00\x00{\n{\"b\":1}\n", "1:\x00\x00{", `2:{"b":1}`)

	const cri = "2026-11-23T07:16:"
	f("cri", cri+"01.5Z stdout F {\"a\":1}\n"+cri+"02Z stderr F {\"b\":1}\n{\"c\":1}\n",
		`01. 1:{"a":1}`, `02. 2:{"b":1}`, `3:{"c":1}`)
	f("cri offset", cri+"01.123456789+02:00 stdout F {\"a\":1}", `01. 1:{"a":1}`)
	f("cri parts", cri+"01Z stdout P {\"a\"\n"+cri+"02Z stderr P {\"b\n"+cri+"03Z stdout P :1\n"+cri+"04Z stdout F }\n"+cri+"05Z stderr F \":2}\n",
		`04. 1:{"a":1}`, `05. 2:{"b":2}`)
	f("cri parts without an end", cri+"01Z stdout P {\"a\"\n{\"b\":1}", `2:{"b":1}`, "01. 1!cut off: the last part of a CRI line is missing")
	f("cri pretty", cri+"01Z stdout F {\n"+cri+"02Z stderr F {\"x\":1}\n"+cri+"03Z stdout F   \"a\": 1\n"+cri+"04Z stdout F }\n",
		`02. 2:{"x":1}`, "04. 1:{\n  \"a\": 1\n}")
	f("cri array", cri+"01Z stdout F [{\"a\":1},{\"b\":1}]", `01. 1:{"a":1}`, `01. 1:{"b":1}`)
	f("cri text", cri+"01Z stderr F level=info msg=started\n"+cri+"01Z stderr F\n", `01. 1:level=info msg=started`)
	f("cri tags", cri+"01Z stdout F:x {\"a\":1}\n", `01. 1:{"a":1}`)
	f("cri after a broken line", "{\"a\":\"x\n"+cri+"01Z stdout F {\"b\":1}\n", "1!"+whyBroken, `01. 2:{"b":1}`)
	f("not cri", cri+"01Z stdout X {\"a\":1}\n", "1:"+cri+`01Z stdout X {"a":1}`)
}

func limited(in string, max int) *Reader {
	r := NewReader(strings.NewReader(in))
	r.max = max
	for i := range r.asm {
		r.asm[i].max = max
	}
	return r
}

func TestReaderLimits(t *testing.T) {
	const max = 1000
	f := func(name, in string, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			got, err := read(t, limited(in, max))
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if len(got[i]) > 100 {
					got[i] = got[i][:10]
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	long := strings.Repeat("x", max)
	huge := strings.Repeat("x", 3*blockSize)
	over := "!limit exceeded: record over 1000 bytes"
	f("line", `{"a":"`+long+"\"}\n{\"b\":1}", "1"+over, `2:{"b":1}`)
	f("line over blocks", `{"a":"`+huge+"\"}\n{\"b\":1}", "1"+over, `2:{"b":1}`)
	f("no newline", huge, "1"+over)
	f("array element", `[{"a":"`+long+"\"},{\"b\":1}]\n", "1"+over, `1:{"b":1}`)
	f("pretty", "{\n\"a\":\""+long+"\"\n}\n{\"b\":1}", "1"+over, `4:{"b":1}`)
	f("cri parts", strings.Repeat("2026-11-23T07:16:01Z stdout P "+long[:400]+"\n", 5)+"2026-11-23T07:16:01Z stdout F }\n{\"b\":1}",
		"01. 1"+over, `7:{"b":1}`)
	big := "[" + strings.Repeat(`{"a":1},`, blockSize/4) + "{\"b\":1}]\n{\"c\":1}"
	got, err := read(t, limited(big, max))
	if n := len(got); err != nil || n != blockSize/4+2 || got[n-1] != `2:{"c":1}` || got[n-2] != `1:{"b":1}` {
		t.Errorf("array over blocks: %d records, %v, %v", n, err, got[max0(n-3):])
	}
	blank := "{\"a\":1}\n" + strings.Repeat("\n", 5*blockSize) + "{\"b\":1}"
	if got, err := read(t, limited(blank, max)); err != nil || len(got) != 2 {
		t.Errorf("blank lines: %v, %v", got, err)
	}
}

func max0(n int) int { return max(n, 0) }

func TestReaderError(t *testing.T) {
	broken := errors.New("broken pipe")
	r := NewReader(io.MultiReader(strings.NewReader("{\"a\":1}\n{\"b\":"), iotest.ErrReader(broken)))
	got, err := read(t, r)
	if !errors.Is(err, broken) {
		t.Errorf("got error %v", err)
	}
	if diff := cmp.Diff([]string{`1:{"a":1}`, "2!" + whyEnd}, got); diff != "" {
		t.Error(diff)
	}
}

// Long input crosses blocks in every place, and the records stay the same.
func TestReaderBlocks(t *testing.T) {
	var in bytes.Buffer
	var want []string
	for i := range 5000 {
		rec := fmt.Sprintf(`{"i":%d,"pad":"%s"}`, i, strings.Repeat("x", i%307))
		want = append(want, fmt.Sprint(i+1, ":", rec))
		in.WriteString(rec)
		in.WriteByte('\n')
	}
	got, err := read(t, NewReader(&in))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzReader holds that any input is read to its end, that no line is invented,
// and that well-formed values come out whole, however they are laid out.
func FuzzReader(f *testing.F) {
	f.Add([]byte("{\"a\":1}\n[{\"b\":2},{}]\n"), uint8(3))
	f.Add([]byte("2026-11-23T07:16:01Z stdout P {\"a\"\n2026-11-23T07:16:01Z stdout F :1}\n"), uint8(0))
	f.Add([]byte("{\n \"a\": [\n{\"x\":\n"), uint8(200))
	f.Add([]byte("{ \n}"), uint8(0))
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		var src io.Reader = bytes.NewReader(in)
		if chunk > 0 {
			src = &chunks{in, int(chunk)}
		}
		got, err := read(t, NewReader(src))
		if err != nil {
			t.Fatal(err)
		}
		if whole, _ := read(t, NewReader(bytes.NewReader(in))); cmp.Diff(whole, got) != "" {
			t.Fatalf("chunks of %d change the records:\n%q\n%q", chunk, whole, got)
		}
		if json.Valid(in) && len(got) > 0 && bytes.IndexByte(in, '[') < 0 && depthOf(in) <= 64 {
			if len(got) != 1 || strings.Contains(got[0], "!") && strings.Index(got[0], "!") < strings.Index(got[0]+":", ":") {
				t.Fatalf("one valid value gave %q", got)
			}
			// Blanks at the end of a line inside a value may go: they mean nothing.
			if _, text, _ := strings.Cut(got[0], ":"); compact(t, []byte(text)) != compact(t, in) {
				t.Fatalf("%q became %q", in, text)
			}
		}
	})
}

func compact(t *testing.T, value []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Compact(&out, value); err != nil {
		t.Fatalf("%q: %v", value, err)
	}
	return out.String()
}

func depthOf(b []byte) int { return bytes.Count(b, []byte("{")) }

type chunks struct {
	b []byte
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(c.n, len(p))], c.b)
	c.b = c.b[n:]
	return n, nil
}
