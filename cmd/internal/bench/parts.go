package bench

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// parts say whose a CPU sample is: that of the first function, from the innermost
// outwards, whose name begins so. What the client of the bus does counts for
// whoever called it, and as "client" where it works for itself.
var parts = []struct{ prefix, part string }{
	{"github.com/nats-io/nats-server/", "bus"},
	{"github.com/sennit-io/sennit/ingest/bus.(*Opener)", "decode"},
	{"github.com/sennit-io/sennit/ingest/bus.(*Sender)", "sender"},
	{"github.com/sennit-io/sennit/ingest/bus.(*OutReader)", "out"},
	{"github.com/sennit-io/sennit/correlate/state/disk", "state"},
	{"github.com/dgraph-io/", "state"},
	{"github.com/sennit-io/sennit/correlate/", "engine"},
	{"github.com/sennit-io/sennit/schemas/timeline.(*Timeline).AppendJSON", "outbox"},
	{"github.com/sennit-io/sennit/cmd/internal/live.(*outbox)", "outbox"},
	{"github.com/sennit-io/sennit/cmd/internal/live.(*Processor).judge", "rules"},
	{"github.com/sennit-io/sennit/cmd/internal/live", "turn"},
	{"github.com/sennit-io/sennit/cmd/internal/bench", "load"},
	{"github.com/nats-io/nats.go", "client"},
	{"runtime.gcBgMarkWorker", "gc"},
	{"runtime.bgsweep", "gc"},
	{"runtime.bgscavenge", "gc"},
}

// partOf is the part of a stack, innermost function first.
func partOf(stack []string) string {
	client := false
	for _, f := range stack {
		for _, p := range parts {
			if !strings.HasPrefix(f, p.prefix) {
				continue
			}
			if p.part == "client" {
				client = true
				break
			}
			return p.part
		}
	}
	if client {
		return "client"
	}
	return "runtime"
}

// ErrProfile is wrapped by every error about a profile that cannot be read.
var ErrProfile = errors.New("bad profile")

// shares reads a CPU profile (pprof's profile.proto, gzipped) and returns each
// part's share of it, which sum to 1, and the number of samples.
func shares(profile []byte) (map[string]float64, int, error) {
	p, err := readProfile(profile)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	out, total := map[string]float64{}, 0
	for _, s := range p.samples {
		var stack []string
		for _, l := range s.locations {
			for _, f := range p.locations[l] {
				if name := p.functions[f]; name < uint64(len(p.strings)) {
					stack = append(stack, p.strings[name])
				}
			}
		}
		out[partOf(stack)] += float64(s.count)
		total += int(s.count)
	}
	for part := range out {
		out[part] /= float64(total)
	}
	return out, total, nil
}

// profile is what is needed of profile.proto.
type profile struct {
	samples   []sample
	locations map[uint64][]uint64 // to functions, the innermost first
	functions map[uint64]uint64   // to strings
	strings   []string
}

type sample struct {
	locations []uint64
	count     uint64
}

func readProfile(data []byte) (*profile, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	p := &profile{locations: map[uint64][]uint64{}, functions: map[uint64]uint64{}}
	return p, fields(plain, func(n protowire.Number, _ uint64, b []byte) error {
		switch n {
		case 2:
			return p.sample(b)
		case 4:
			return p.location(b)
		case 5:
			return p.function(b)
		case 6:
			p.strings = append(p.strings, string(b))
		}
		return nil
	})
}

func (p *profile) sample(b []byte) error {
	var s sample
	first := true
	err := fields(b, func(n protowire.Number, v uint64, b []byte) error {
		values := []uint64{v}
		if b != nil { // packed
			values = values[:0]
			for len(b) > 0 {
				v, size := protowire.ConsumeVarint(b)
				if size < 0 {
					return protowire.ParseError(size)
				}
				values, b = append(values, v), b[size:]
			}
		}
		switch {
		case n == 1:
			s.locations = append(s.locations, values...)
		case n == 2 && first && len(values) > 0: // the first value counts samples, the second time
			s.count, first = values[0], false
		}
		return nil
	})
	p.samples = append(p.samples, s)
	return err
}

func (p *profile) location(b []byte) error {
	var id uint64
	var functions []uint64
	err := fields(b, func(n protowire.Number, v uint64, b []byte) error {
		switch n {
		case 1:
			id = v
		case 4: // a line
			return fields(b, func(n protowire.Number, v uint64, _ []byte) error {
				if n == 1 {
					functions = append(functions, v)
				}
				return nil
			})
		}
		return nil
	})
	p.locations[id] = functions
	return err
}

func (p *profile) function(b []byte) error {
	var id, name uint64
	err := fields(b, func(n protowire.Number, v uint64, _ []byte) error {
		switch n {
		case 1:
			id = v
		case 2:
			name = v
		}
		return nil
	})
	p.functions[id] = name
	return err
}

// fields calls f for each field: v of a varint, b of bytes (never nil).
func fields(p []byte, f func(n protowire.Number, v uint64, b []byte) error) error {
	for len(p) > 0 {
		number, typ, n := protowire.ConsumeTag(p)
		if n < 0 {
			return protowire.ParseError(n)
		}
		p = p[n:]
		size := protowire.ConsumeFieldValue(number, typ, p)
		if size < 0 {
			return protowire.ParseError(size)
		}
		var v uint64
		var b []byte
		switch typ {
		case protowire.VarintType:
			v, _ = protowire.ConsumeVarint(p)
		case protowire.BytesType:
			got, _ := protowire.ConsumeBytes(p)
			b = append([]byte{}, got...)
		}
		if err := f(number, v, b); err != nil {
			return err
		}
		p = p[size:]
	}
	return nil
}
