package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/sennit-io/sennit/cmd/internal/exchanges"
)

// setFigures are those of one recording of TraceWeaver.
type setFigures struct {
	Name        string
	Exchanges   int
	Best, Limit figures // of the best candidates, of those at the default limit
	PerSecond   float64 // exchanges a CPU second, the best of five runs
}

// limit is the confidence from which a timeline takes a link.
const limit = 0.95

func measureSet(dir, name string) (setFigures, error) {
	f := setFigures{Name: name}
	all, t, err := readTraces(filepath.Join(dir, "traceweaver", name+".jaeger.jsonl.gz"))
	if err != nil {
		return f, err
	}
	f.Exchanges = len(all)
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for i := range all {
		if err := enc.Encode(&all[i]); err != nil {
			return f, err
		}
	}
	var predictions []prediction
	for range 5 {
		set, err := exchanges.Read(bytes.NewReader(lines.Bytes()))
		if err != nil {
			return f, fmt.Errorf("read %s: %w", name, err)
		}
		predictions = predictions[:0]
		runtime.GC()
		before := cpuTime()
		if err := set.Link(func(p exchanges.Prediction) error {
			predictions = append(predictions, prediction{p.ID, p.Parent, p.Confidence})
			return nil
		}); err != nil {
			return f, fmt.Errorf("link %s: %w", name, err)
		}
		f.PerSecond = max(f.PerSecond, float64(f.Exchanges)/(cpuTime()-before).Seconds())
	}
	f.Best, f.Limit = judge(t, predictions, 0), judge(t, predictions, limit)
	return f, nil
}

// cpuTime is what the process has used of all processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
