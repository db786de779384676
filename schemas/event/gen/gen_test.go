package main

import (
	"bytes"
	"go/format"
	"os"
	"testing"
)

func TestCommittedCodeIsWhatTheTypesGive(t *testing.T) {
	m, err := load("..")
	if err != nil {
		t.Fatal(err)
	}
	f := func(path string, emit func(*bytes.Buffer, *model) error) {
		t.Helper()
		var buf bytes.Buffer
		if err := emit(&buf, m); err != nil {
			t.Fatal(err)
		}
		want, err := format.Source(buf.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s does not fit the types: run 'go generate ./schemas/event'", path)
		}
	}
	f("../codec_json_gen.go", emitAppend)
	f("../codec_wire_gen.go", emitWire)
	f("../codec_pack_gen.go", emitPack)
	f("../../../ingest/recording/payloads_gen.go", emitDecode)
}

func TestSnake(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := snake(in); got != want {
			t.Errorf("snake(%q) = %q, want %q", in, got, want)
		}
	}
	f("Flow", "flow")
	f("HTTPFlow", "http_flow")
	f("TLSHello", "tls_hello")
	f("DNS", "dns")
	f("EdgeRequest", "edge_request")
}
