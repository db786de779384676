package live

import (
	"context"

	"github.com/sennit-io/sennit/ingest/gcp/pubsub"
	"github.com/sennit-io/sennit/schemas/event"
)

// openCloud prepares the log entries of Google Cloud; they are asked for later.
func (i *intake) openCloud(ctx context.Context) (err error) {
	report := i.report(event.SourceGCP, "subscription", i.options.Subscription)
	i.cloud, err = pubsub.New(ctx, pubsub.Config{
		Subscription: i.options.Subscription, Redact: i.options.OTLP.Redact,
		Connected: report.connected, Records: report.records,
	})
	return err
}
