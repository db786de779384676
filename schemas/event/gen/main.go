// Command gen writes what follows from the declarations of package event alone:
// how an event is written as JSON (in package event) and read back (in
// ingest/recording), how it is packed in memory, and, with the numbers of
// event.proto, its protobuf codec. It reads the source, not the compiled package,
// so that it still works when generated code no longer fits the types.
//
// Run it by "go generate" in schemas/event.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/format"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	src := flag.String("src", ".", "folder of package event")
	appendOut := flag.String("append", "codec_json_gen.go", "file of the writers")
	decodeOut := flag.String("decode", "../../ingest/recording/payloads_gen.go", "file of the readers")
	wireOut := flag.String("wire", "codec_wire_gen.go", "file of the protobuf codec")
	packOut := flag.String("pack", "codec_pack_gen.go", "file of the packed codec")
	flag.Parse()

	m, err := load(*src)
	if err != nil {
		log.Fatal(err)
	}
	for _, out := range []struct {
		path string
		emit func(*bytes.Buffer, *model) error
	}{{*appendOut, emitAppend}, {*decodeOut, emitDecode}, {*wireOut, emitWire}, {*packOut, emitPack}} {
		var buf bytes.Buffer
		if err := out.emit(&buf, m); err != nil {
			log.Fatal(err)
		}
		text, err := format.Source(buf.Bytes())
		if err != nil {
			log.Fatalf("format %s: %v", out.path, err)
		}
		if err := os.WriteFile(out.path, text, 0o644); err != nil {
			log.Fatal(fmt.Errorf("write %s: %w", out.path, err))
		}
	}
}
