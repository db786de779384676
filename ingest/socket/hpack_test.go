package socket

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2/hpack"
)

// read decodes blocks in one table.
func read(t *testing.T, blocks ...[]byte) (all []fields) {
	t.Helper()
	var d Decoder
	var tab table
	for _, b := range blocks {
		var f fields
		if !d.block(&tab, b, &f) {
			t.Fatalf("%x is no header block", b)
		}
		all = append(all, f)
	}
	return all
}

// The examples of RFC 7541, C.4 (with Huffman codes, the table kept).
func TestBlocks(t *testing.T) {
	got := read(t,
		[]byte("\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"),
		[]byte("\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf"),
		[]byte("\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf"))
	for i, path := range []string{"/", "/", "/index.html"} {
		if got[i].method != "GET" || got[i].path != path || got[i].host != "www.example.com" || got[i].unknown {
			t.Errorf("block %d: %+v", i, got[i])
		}
	}
}

// After a gap an entry is either right or unknown.
func TestBlocksAfterGap(t *testing.T) {
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	block := func(pairs ...string) []byte {
		buf.Reset()
		for i := 0; i < len(pairs); i += 2 {
			if err := e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}); err != nil {
				t.Fatal(err)
			}
		}
		return bytes.Clone(buf.Bytes())
	}
	block(":method", "PATCH", ":path", "/one", "x-key", "hush") // missed
	got := read(t,
		block(":method", "PATCH", ":path", "/two", "traceparent", traceparent),
		block(":method", "PATCH", ":path", "/one", "x-request-id", "r1"),
		block(":method", "GET", ":path", "/two", "traceparent", traceparent, "x-request-id", "r1"))
	for i, want := range []fields{
		{path: "/two", unknown: true}, {requestID: "r1", unknown: true}, {method: "GET", path: "/two", requestID: "r1"},
	} {
		trace := i != 1
		if g := got[i]; g.method != want.method || g.path != want.path || g.requestID != want.requestID || g.unknown != want.unknown ||
			g.traces.best().TraceID.IsZero() == trace {
			t.Errorf("block %d: got %+v, want %+v", i, g, want)
		}
	}
}

// Nothing of a header that is not read is kept, nor a query.
func TestBlocksForget(t *testing.T) {
	var buf bytes.Buffer
	e := hpack.NewEncoder(&buf)
	for _, h := range []hpack.HeaderField{
		{Name: "authorization", Value: "Bearer hush-hush"}, {Name: "x-hush", Value: "1"}, {Name: ":path", Value: "/a?key=hush"},
	} {
		if err := e.WriteField(h); err != nil {
			t.Fatal(err)
		}
	}
	var d Decoder
	var tab table
	var f fields
	if !d.block(&tab, buf.Bytes(), &f) || tab.n != 3 || f.path != "/a" {
		t.Fatalf("%d entries, path %q", tab.n, f.path)
	}
	kept := bytes.Clone(d.literal[:cap(d.literal)])
	for _, e := range tab.ring {
		kept = append(kept, e.value[:cap(e.value)]...)
	}
	if bytes.Contains(kept, []byte("hush")) {
		t.Errorf("kept: %q", kept)
	}
}

// FuzzBlocks compares with x/net on what x/net accepts: two blocks in one table.
func FuzzBlocks(f *testing.F) {
	f.Add([]byte("\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"), []byte("\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf"))
	f.Add([]byte("\x40\x04host\x01a\x40\x04host\x01b"), []byte("\xbf\xbe\x3f\x11\xbe"))
	f.Add([]byte("\x3f\xe1\xff\x03\x40\x0btraceparent\x37"+traceparent), []byte("\xbe"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		var d, e Decoder
		var tab table
		x := hpack.NewDecoder(4096, nil)
		x.SetAllowedMaxDynamicTableSize(maxTable)
		for _, b := range [][]byte{one, two} {
			if len(b) > maxBlock {
				return
			}
			theirs, err := x.DecodeFull(b)
			var got, want fields
			ok := d.block(&tab, b, &got)
			if tab.size > maxTable || tab.n > maxTable/entryCost {
				t.Fatalf("a table of %d entries and %d bytes", tab.n, tab.size)
			}
			if err != nil {
				return // ours goes on where it can
			}
			for _, h := range theirs {
				if k := headerOf([]byte(h.Name)); k > headerUnknown {
					e.take(&want, k, e.kept(k, []byte(h.Value)))
				}
			}
			if !ok {
				t.Fatalf("%x is no header block, but x/net reads %v", b, theirs)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(fields{}, traces{})); diff != "" {
				t.Fatalf("%x (-x/net +ours):\n%s", b, diff)
			}
		}
	})
}
