// Package bigquery writes results to tables of BigQuery through its Storage Write
// API. Timelines replace what was there by their id (change data capture), steps and
// alerts are added with the revision they are of, and views show the current ones.
package bigquery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"cloud.google.com/go/bigquery/storage/managedwriter"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sennit-io/sennit/schemas/tables"
	"github.com/sennit-io/sennit/sinks"
)

// Options say where tables are and how to get there.
type Options struct {
	Project, Dataset string
	KeyFile          string // of a service account; empty for the default credentials
	// Endpoint is another server than Google's, without TLS and credentials: HOST:PORT
	// for Open, a URL for Init and Check.
	Endpoint string
	// Epoch is the second part of the sequence of a change, behind the revision. A
	// processor that took over has a higher one than that whose last writes may still be
	// on their way.
	Epoch uint64
	// Events says that events come too, for the table events.
	Events bool
	// Backfill writes steps, alerts and events to streams of their own whose rows become
	// visible together, on Close.
	Backfill bool
	Log      *slog.Logger // is told of columns that a table lacks; nil for nobody
}

func (o *Options) dataset() string { return o.Project + "." + o.Dataset }

func (o *Options) credentials() []option.ClientOption {
	if o.KeyFile != "" {
		return []option.ClientOption{option.WithAuthCredentialsFile(option.ServiceAccount, o.KeyFile)}
	}
	return nil
}

// Sink writes to the tables of a dataset.
//
// Guarantee: what Write returned nil for is in the tables; with Backfill, steps and
// alerts are after Close. A timeline that comes again, or late, changes nothing.
// A timeline that is still open (revision 0) has a row in timelines, and no steps.
// Steps and alerts that come again are there twice: the views take one of a kind.
// Steps are written before the timeline whose revision the views look them up by.
type Sink struct {
	opts    Options
	ctx     context.Context // of the connections, until Close
	client  *managedwriter.Client
	stop    context.CancelFunc
	writers []*writer // in the order in which they are written
}

// Open connects. The tables have to be there; columns that they lack are left out
// until they are added, which may happen while rows are written.
func Open(ctx context.Context, o Options) (*Sink, error) {
	clientOptions := o.credentials()
	if o.Endpoint != "" {
		clientOptions = []option.ClientOption{
			option.WithEndpoint(o.Endpoint), option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, stop)()
	client, err := managedwriter.NewClient(own, o.Project, clientOptions...)
	if err != nil {
		stop()
		return nil, fmt.Errorf("open BigQuery: %w", err)
	}
	s := &Sink{opts: o, ctx: own, client: client, stop: stop}
	list := []*tables.Table{&tables.Steps, &tables.Alerts, &tables.Timelines}
	if o.Events {
		list = append(list, &tables.Events)
	}
	for _, t := range list {
		w := &writer{sink: s, table: t, pending: o.Backfill && len(t.Key) == 0}
		if err := w.open(); err != nil {
			return nil, errors.Join(fmt.Errorf("open BigQuery: %w", s.explain(err)), s.release())
		}
		s.writers = append(s.writers, w)
	}
	return s, nil
}

// explain adds what to do about an error.
func (s *Sink) explain(err error) error {
	switch status.Code(err) {
	case codes.NotFound, codes.InvalidArgument:
		return fmt.Errorf("%w; do the tables fit? 'sennit bigquery check %s' tells", err, s.opts.dataset())
	case codes.Unauthenticated, codes.PermissionDenied:
		return fmt.Errorf("%w; the account needs the role roles/bigquery.dataEditor on %s", err, s.opts.dataset())
	}
	return err
}

// Write adds a batch to the tables.
func (s *Sink) Write(ctx context.Context, batch []sinks.Record) error {
	refused := map[int]error{}
	for _, w := range s.writers {
		w.reset()
	}
	for i, r := range batch {
		rows, err := rowsOf(r)
		if err != nil {
			refused[i] = err
			continue
		}
		for table, row := range rows {
			if table == &tables.Steps && r.Revision == 0 { // it is open: these are not final
				continue
			}
			for _, w := range s.writers {
				if w.table == table {
					w.add(i, row)
				}
			}
		}
	}
	for _, w := range s.writers {
		if err := w.send(ctx, refused); err != nil {
			return fmt.Errorf("write %s: %w", w.table.Name, s.explain(err))
		}
	}
	var failed sinks.Failures
	for i := range batch {
		if err := refused[i]; err != nil {
			failed = append(failed, sinks.Failure{Index: i, Err: err, Permanent: true})
		}
	}
	if len(failed) > 0 {
		return failed
	}
	return nil
}

func rowsOf(r sinks.Record) (tables.Rows, error) {
	switch r.Kind {
	case sinks.Timeline:
		return tables.OfTimeline(r.Data)
	case sinks.Alert:
		return tables.OfAlert(r.Data)
	case sinks.Event:
		return tables.OfEvent(r.Data)
	}
	return nil, fmt.Errorf("a record of kind %q has no table", r.Kind)
}

// Close makes the rows of a backfill visible and disconnects.
func (s *Sink) Close() error {
	var err error
	for _, w := range s.writers {
		if commitErr := w.commit(context.Background()); commitErr != nil {
			err = errors.Join(err, fmt.Errorf("commit %s: %w", w.table.Name, s.explain(commitErr)))
		}
	}
	return errors.Join(err, s.release())
}

func (s *Sink) release() error {
	err := s.client.Close()
	s.stop()
	return err
}
