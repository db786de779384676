package convert

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/sennit-io/sennit/schemas/event"
)

// Options say how to convert.
type Options struct {
	// TraceContext keeps the traceparent headers that the capture shows. Without
	// it the records are those of a shim that cannot read the wire.
	TraceContext bool
}

// Node is the name of the one node.
const Node = "joint"

// Records reads a recording (agent.ftrace.log, agent.strace.log.gz,
// loopback.pcap and clock.json in one folder) and returns its records in
// canonical order. Source is the shim's for all of them, execs and exits too.
func Records(dir string, o Options) ([]event.Event, error) {
	c, err := readClock(dir)
	if err != nil {
		return nil, err
	}
	var points []tracepoint
	var calls []call
	var ends []exited
	var capture []segment
	for _, in := range []struct {
		name string
		read func(io.Reader) error
	}{
		{"agent.ftrace.log", func(r io.Reader) (err error) { points, err = readFtrace(r); return err }},
		{"agent.strace.log.gz", func(r io.Reader) error {
			z, err := gzip.NewReader(r)
			if err == nil {
				calls, ends, err = readStrace(z)
			}
			return err
		}},
		{"loopback.pcap", func(r io.Reader) (err error) { capture, err = readPcap(r); return err }},
	} {
		if err := open(filepath.Join(dir, in.name), in.read); err != nil {
			return nil, err
		}
	}
	t := newTable(c, points, calls)
	all := addFtrace(connections(capture), c, t, points)
	addStrace(all, t, calls)
	out, err := processEvents(c, t, points, calls, ends)
	if err != nil {
		return nil, err
	}
	out = append(out, socketEvents(all)...)
	exchanges, err := exchangeEvents(all, t, newTransfers(calls), o)
	if err != nil {
		return nil, err
	}
	out = append(out, exchanges...)
	return finish(out, c), nil
}

// finish adds the heartbeats, one where the clocks were read and one at the
// end, gives every record its head and sorts them.
func finish(out []event.Event, c clock) []event.Event {
	last := event.Time(c.Realtime)
	for i := range out {
		last = max(last, out[i].Time)
	}
	end := last + 1 // after all that it vouches for
	out = append(out,
		event.Event{Kind: event.KindClock, Time: event.Time(c.Realtime), Payload: &event.Clock{
			Of: event.SourceSocket, BootNS: uint64(c.Boottime), Wall: event.Time(c.Realtime),
		}},
		event.Event{Kind: event.KindClock, Time: end, Payload: &event.Clock{
			Of: event.SourceSocket, BootNS: c.boot(end), Wall: end, Watermark: last, Idle: true,
		}})
	var hash event.Hasher
	boot := event.BootID(hash.Reset(event.KindNone).String(Node).Uint(uint64(c.Realtime - c.Boottime)).Sum())
	var text []byte
	for i := range out {
		e := &out[i]
		e.Source, e.Node, e.Boot = event.SourceSocket, Node, boot
		text = e.AppendJSON(text[:0])
		e.ID = hash.Reset(e.Kind).Bytes(text).Sum()
	}
	slices.SortFunc(out, func(a, b event.Event) int { return event.Compare(&a, &b) })
	return out
}

// exchangeEvents returns the requests that were answered, once from each end.
func exchangeEvents(all []*connection, t *table, tr transfers, o Options) ([]event.Event, error) {
	var out []event.Event
	for _, c := range all {
		if c.ends[client].sent.holes || c.ends[server].sent.holes {
			return nil, fmt.Errorf("put %s -> %s together: the capture lacks some of its bytes", c.ends[client].addr, c.ends[server].addr)
		}
		list, err := pairs(c)
		if err != nil {
			return nil, fmt.Errorf("read HTTP on %s -> %s: %w", c.ends[client].addr, c.ends[server].addr, err)
		}
		before := event.Time(0)
		for n, p := range list {
			for side := range c.ends {
				end := &c.ends[side]
				x := &event.Exchange{
					Cookie: end.cookie, Tuple: c.tuple(side), Role: roles[side], Ordinal: uint32(n + 1), Protocol: "http/1.1",
					Start: p.start, FirstByte: p.firstByte, BytesOut: uint64(p.request), BytesIn: uint64(p.response),
					HTTP: p.http, Process: end.process,
				}
				if o.TraceContext {
					x.Trace = p.trace
				}
				peer := c.ends[1-side].addr
				if side == client {
					x.TID = tr.wrote(end.addr, peer, p.start)
				} else {
					x.BytesOut, x.BytesIn = x.BytesIn, x.BytesOut
					x.TID = tr.read(end.addr, peer, before, p.end)
				}
				if x.TID != 0 {
					x.Process = t.process(x.TID)
				}
				out = append(out, event.Event{Kind: event.KindExchange, Time: p.end, Payload: x})
			}
			before = p.end
		}
	}
	return out, nil
}

// Run converts the recording in one folder to what `sennit replay` reads in
// another: the records, and the spans and logs as they are. The truth stays
// behind.
func Run(in, out string, o Options) (int, error) {
	records, err := Records(in, o)
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return 0, fmt.Errorf("make folder: %w", err)
	}
	err = write(filepath.Join(out, Node+".socket.jsonl"), func(w io.Writer) error {
		var line []byte
		for i := range records {
			line = append(records[i].AppendJSON(line[:0]), '\n')
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		return nil
	})
	for _, name := range []string{"traces", "logs"} {
		if err != nil {
			return 0, err
		}
		err = open(filepath.Join(in, name+".jsonl"), func(r io.Reader) error {
			return write(filepath.Join(out, Node+"."+name+".jsonl"), func(w io.Writer) error {
				_, err := io.Copy(w, r)
				return err
			})
		})
	}
	return len(records), err
}

func open(path string, read func(io.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read recording: %w", err)
	}
	defer f.Close()
	if err := read(bufio.NewReader(f)); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return nil
}

func write(path string, fill func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write records: %w", err)
	}
	w := bufio.NewWriter(f)
	err = fill(w)
	if err == nil {
		err = w.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}
