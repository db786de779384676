package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/sennit-io/sennit/cmd/internal/wire"
	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/bigquery"
	"github.com/sennit-io/sennit/sinks/parquet"
)

// sinkForms says how a sink is named on the command line.
const sinkForms = "parquet:DIR or bigquery:PROJECT.DATASET[?key=FILE]"

// openSinks opens what was named, all or none.
func openSinks(ctx context.Context, specs []string) (list []wire.NamedSink, err error) {
	defer func() {
		if err != nil {
			for _, s := range list {
				err = errors.Join(err, s.Close())
			}
			list = nil
		}
	}()
	for _, spec := range specs {
		s, err := openSink(ctx, spec)
		if err != nil {
			return list, fmt.Errorf("sink %s: %w", spec, err)
		}
		list = append(list, wire.NamedSink{Name: spec, Sink: s})
	}
	return list, nil
}

func openSink(ctx context.Context, spec string) (sinks.Sink, error) {
	kind, where, _ := strings.Cut(spec, ":")
	if where == "" {
		return nil, usagef("want %s", sinkForms)
	}
	switch kind {
	case "parquet":
		return parquet.Open(parquet.Options{Dir: where})
	case "bigquery":
		o, err := bigQueryOptions(where)
		if err != nil {
			return nil, err
		}
		o.Backfill = true // what is recorded is complete when it ends
		return bigquery.Open(ctx, o)
	}
	return nil, usagef("want %s", sinkForms)
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
