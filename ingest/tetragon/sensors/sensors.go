// Package sensors asks Tetragon's agent for events.
package sensors

import (
	"context"
	"fmt"
	"time"

	"github.com/cilium/tetragon/api/v1/tetragon"
	"google.golang.org/grpc"

	"github.com/sennit-io/sennit/ingest/rpc"
	tetragondecode "github.com/sennit-io/sennit/ingest/tetragon"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Feed follows Tetragon's GetEvents. The agent keeps nothing: what it saw while
// nobody listened is lost here (its export file may have it: follow that instead
// where no gap is allowed).
func Feed(policy redact.Policy) rpc.Feed {
	d := &tetragondecode.Decoder{Redact: policy}
	return rpc.Feed{Source: event.SourceTetragon, Open: open, Decode: d.DecodeProto}
}

func open(ctx context.Context, conn grpc.ClientConnInterface, _ event.Time) (rpc.Receive, event.Time, error) {
	receive, err := rpc.Stream(ctx, conn, tetragon.FineGuidanceSensors_GetEvents_FullMethodName, &tetragon.GetEventsRequest{})
	if err != nil {
		return nil, 0, fmt.Errorf("get events: %w", err)
	}
	return receive, event.At(time.Now()), nil
}
