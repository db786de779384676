// Command joint converts a recording of one agent process (ftrace, strace,
// capture, clocks) to records that sennit replay reads.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/sennit-io/sennit/testdata/joint/convert"
)

func main() {
	in := flag.String("in", "", "folder of the recording")
	out := flag.String("out", "", "folder to write to")
	trace := flag.Bool("trace-context", false, "keep the traceparent headers that the capture shows")
	flag.Parse()
	if *in == "" || *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	n, err := convert.Run(*in, *out, convert.Options{TraceContext: *trace})
	if err != nil {
		fmt.Fprintln(os.Stderr, "joint:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "joint: %d records\n", n)
}
