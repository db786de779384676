// Package observer asks Hubble for flows: the agent of a node, or Relay.
package observer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sennit-io/sennit/ingest/hubble"
	"github.com/sennit-io/sennit/ingest/rpc"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/redact"
)

// Feed follows Hubble's GetFlows. An agent keeps the last flows (4,095 by
// default): after a disconnect they are read from there, and only what is older
// than the oldest of them is lost. Behind Relay the oldest flow of any node counts,
// so what a single node lost meanwhile is not noticed.
func Feed(policy redact.Policy) rpc.Feed {
	d := &hubble.Decoder{Redact: policy}
	return rpc.Feed{Source: event.SourceHubble, Open: open, Decode: d.DecodeProto}
}

func open(ctx context.Context, conn grpc.ClientConnInterface, since event.Time) (rpc.Receive, event.Time, error) {
	client := observer.NewObserverClient(conn)
	req := &observer.GetFlowsRequest{Follow: true}
	var whole event.Time
	if since != 0 {
		req.Since = timestamppb.New(since.Std())
		var err error
		if whole, err = oldest(ctx, client); err != nil {
			return nil, 0, err
		}
	}
	receive, err := rpc.Stream(ctx, conn, observer.Observer_GetFlows_FullMethodName, req)
	if err != nil {
		return nil, 0, fmt.Errorf("get flows: %w", err)
	}
	return receive, whole, nil
}

// few records from the oldest on: some may be losses.
const few = 16

// oldest is the time of the oldest flow that is kept. With none it is now: there
// were some, and the agent has begun anew.
func oldest(ctx context.Context, client observer.ObserverClient) (event.Time, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the stream
	stream, err := client.GetFlows(ctx, &observer.GetFlowsRequest{First: true, Number: few})
	if err != nil {
		return 0, fmt.Errorf("get the oldest flow: %w", err)
	}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return event.At(time.Now()), nil
		case err != nil:
			return 0, fmt.Errorf("get the oldest flow: %w", err)
		case m.GetFlow() != nil && m.GetTime().IsValid():
			return event.At(m.GetTime().AsTime()), nil
		}
	}
}
