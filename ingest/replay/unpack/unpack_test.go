package unpack

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zst(b []byte) []byte {
	w, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	return w.EncodeAll(b, nil)
}

func unpacked(in []byte) (string, error) {
	u, err := NewReader(bytes.NewReader(in))
	if err != nil {
		return "", err
	}
	defer u.Close()
	out, err := io.ReadAll(u)
	return string(out), err
}

func TestReader(t *testing.T) {
	f := func(name string, in []byte, want string) {
		t.Helper()
		if got, err := unpacked(in); got != want || err != nil {
			t.Errorf("%s: got %.40q, %v", name, got, err)
		}
	}
	text := strings.Repeat("{\"a\":1}\n", 1000)
	plain := []byte(text)
	f("empty", nil, "")
	f("short", []byte("{}"), "{}")
	f("plain", plain, text)
	f("gzip", gz(plain), text)
	f("zstd", zst(plain), text)
	f("gzip in zstd", zst(gz(plain)), text)
	f("zstd in gzip", gz(zst(plain)), text)
	f("gzip members", append(gz(plain), gz(plain)...), text+text)
	f("zstd frames", append(zst(plain), zst(plain)...), text+text)
	f("zstd after a skippable frame", append([]byte("\x50\x2a\x4d\x18\x02\x00\x00\x00xx"), zst(plain)...), text)
	f("empty gzip", gz(nil), "")
}

func TestReaderEndsEarly(t *testing.T) {
	f := func(name string, in []byte, wantPrefix string, wantErr error, says string) {
		t.Helper()
		got, err := unpacked(in)
		if !strings.HasPrefix(got, wantPrefix) || err == nil || wantErr != nil && !errors.Is(err, wantErr) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %.40q, %v", name, got, err)
		}
	}
	var lines bytes.Buffer // does not pack to nothing
	for i := range 40000 {
		lines.WriteString(strings.Repeat(string(rune('a'+i*7%26)), i%13))
		lines.WriteByte('\n')
	}
	plain := lines.Bytes()
	start := string(plain[:100])
	z := gz(plain)
	f("gzip", z[:len(z)/2], start, ErrTruncated, "truncated after")
	f("gzip without its checksum", z[:len(z)-4], string(plain), ErrTruncated, "truncated")
	f("gzip header alone", z[:5], "", ErrTruncated, "gzip")
	f("gzip and more", append(bytes.Clone(z), "{\"a\":1}, and no packed bytes\n"...), string(plain), nil, "is not gzip")
	f("gzip, bent", flip(z, len(z)/2), "", nil, "")
	s := zst(plain)
	f("zstd", s[:len(s)/2], "", ErrTruncated, "truncated after")
	f("three layers", gz(gz(gz(plain))), "", ErrLimit, "more than 2 layers")
	bomb := make([]byte, FreeBytes+4<<20)
	f("gzip bomb", gz(bomb), "\x00", ErrLimit, "250 times its size")
	f("zstd bomb", zst(bomb), "\x00", ErrLimit, "250 times its size")
	f("nested bomb", gz(gz(bomb)), "\x00", ErrLimit, "250 times its size")
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 0xff
	b[i+1] ^= 0xff
	return b
}

func TestReaderTotal(t *testing.T) {
	u, err := NewReader(bytes.NewReader(gz(make([]byte, 5000))))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	u.lim.bytes = 3000
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{u}); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "over 3000 bytes") {
		t.Errorf("got %v", err)
	}
}
