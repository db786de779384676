package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sennit-io/sennit/cmd/internal/wire"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/bigquery"
	"github.com/sennit-io/sennit/sinks/fanout"
	"github.com/sennit-io/sennit/sinks/otlp"
	"github.com/sennit-io/sennit/sinks/parquet"
)

// sinkForms says how a sink is named on the command line.
const sinkForms = "parquet:DIR, bigquery:PROJECT.DATASET[?key=FILE], or otlp:URL of who takes traces (grpc://HOST:PORT, grpcs://, http://, https://; behind # ca=FILE, cert=FILE, key=FILE, headers=FILE, with & between)"

const sinkEvents = "write every event as well, to the table events of sinks that are tables: evidence that is in no request, or came too late, is there"

// openSinks opens what was named, all or none.
func openSinks(ctx context.Context, specs []string, events bool, log *slog.Logger) (list []wire.NamedSink, err error) {
	defer func() {
		if err != nil {
			for _, s := range list {
				err = errors.Join(err, s.Close())
			}
			list = nil
		}
	}()
	for _, spec := range specs {
		s, err := openSink(ctx, spec, true, events, log)
		if err != nil {
			return list, fmt.Errorf("sink %s: %w", spec, err)
		}
		list = append(list, wire.NamedSink{Name: spec, Sink: s, Events: events && isTables(spec)})
	}
	return list, nil
}

// isTables tells the sinks that are tables.
func isTables(spec string) bool { return !strings.HasPrefix(spec, "otlp:") }

// openSink opens a sink. What is recorded is complete when it ends, a service goes
// on.
func openSink(ctx context.Context, spec string, recorded, events bool, log *slog.Logger) (sinks.Sink, error) {
	if err := checkSink(spec); err != nil {
		return nil, err
	}
	kind, where, _ := strings.Cut(spec, ":")
	switch kind {
	case "parquet":
		return parquet.Open(parquet.Options{Dir: where})
	case "otlp":
		return openOTLP(where)
	}
	o, err := bigQueryOptions(where)
	if err != nil {
		return nil, err
	}
	o.Epoch = uint64(time.Now().Unix()) // higher than that of whoever wrote before
	o.Backfill, o.Events, o.Log = recorded, events, log
	return bigquery.Open(ctx, o)
}

// checkSink says what is wrong with how a sink is named.
func checkSink(spec string) error {
	kind, where, _ := strings.Cut(spec, ":")
	switch {
	case where == "":
	case kind == "parquet":
		return nil
	case kind == "bigquery":
		_, err := bigQueryOptions(where)
		return err
	case kind == "otlp":
		s, err := openOTLP(where)
		if err != nil {
			return &usageError{err}
		}
		return s.Close()
	}
	return usagef("want %s", sinkForms)
}

// tableSinks are the sinks of a running service that take timelines.
type tableSinks struct {
	specs  []string
	events bool
}

func (f *tableSinks) add(g flagGroup) {
	g.set.StringArrayVar(&f.specs, "sink", nil, "write results as tables to `SINK`: "+sinkForms+"; may be given several times")
	g.set.BoolVar(&f.events, "sink-events", false, sinkEvents)
}

func (f *tableSinks) check() error {
	if f.events && !slices.ContainsFunc(f.specs, isTables) {
		return usagef("--sink-events needs a --sink with tables: parquet:DIR or bigquery:PROJECT.DATASET")
	}
	for _, spec := range f.specs {
		if err := checkSink(spec); err != nil {
			return fmt.Errorf("--sink %s: %w", spec, err)
		}
	}
	return nil
}

// A table takes many rows at once, and they may wait a little for company.
const (
	tableBatch = 500
	tableWait  = time.Second
)

// open opens the sinks, all or none. Their places in the stream go by their names.
func (f *tableSinks) open(ctx context.Context, log *slog.Logger) (list []fanout.Config, err error) {
	defer func() {
		if err != nil {
			for _, c := range list {
				err = errors.Join(err, c.Sink.Close())
			}
			list = nil
		}
	}()
	for _, spec := range f.specs {
		s, err := openSink(ctx, spec, false, f.events, log)
		if err != nil {
			return list, fmt.Errorf("--sink %s: %w", spec, err)
		}
		kind, _, _ := strings.Cut(spec, ":")
		sum := sha256.Sum256([]byte(spec))
		c := fanout.Config{
			Name: kind + "-" + hex.EncodeToString(sum[:4]), Takes: []sinks.Kind{sinks.Timeline, sinks.Alert}, Sink: s,
			BatchCount: tableBatch, BatchWait: tableWait, Open: kind == "bigquery",
		}
		switch {
		case !isTables(spec): // whose spans name the alerts
			c.Takes = []sinks.Kind{sinks.Timeline}
		case f.events:
			c.Takes = append(c.Takes, sinks.Event)
		}
		list = append(list, c)
	}
	return list, nil
}

// bigQueryOptions reads PROJECT.DATASET?key=FILE&endpoint=HOST:PORT.
func bigQueryOptions(where string) (o bigquery.Options, err error) {
	name, query, _ := strings.Cut(where, "?")
	if err := dataset(name, &o, nil); err != nil {
		return o, err
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return o, &usageError{err}
	}
	for key, v := range values {
		switch key {
		case "key":
			o.KeyFile = v[0]
		case "endpoint":
			o.Endpoint = v[0]
		default:
			return o, usagef("unknown option %q: there are key and endpoint", key)
		}
	}
	return o, nil
}

// openOTLP reads URL#ca=FILE&cert=FILE&key=FILE&headers=FILE.
func openOTLP(where string) (*otlp.Sink, error) {
	var o otlp.Options
	var options string
	o.URL, options, _ = strings.Cut(where, "#")
	values, err := url.ParseQuery(options)
	if err != nil {
		return nil, fmt.Errorf("what follows # is not NAME=VALUE&…: %w", err)
	}
	for name := range values {
		switch name {
		case "ca", "cert", "key", "headers":
		default:
			return nil, fmt.Errorf("unknown option %q: there are ca, cert, key and headers", name)
		}
	}
	if file := values.Get("headers"); file != "" {
		if o.Header, err = readHeaders(file); err != nil {
			return nil, err
		}
	}
	if o.TLS, err = clientTLS(values.Get("ca"), values.Get("cert"), values.Get("key")); err != nil {
		return nil, err
	}
	return otlp.New(o)
}
