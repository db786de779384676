package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Record is one message as it came. Whoever received it calls Free when it is
// read, and keeps none of its bytes.
type Record = mem.Buffer

// Stream calls a method that answers with a stream ("/package.Service/Method") and
// returns what waits for its next record. The request is a message of protobuf.
func Stream(ctx context.Context, conn grpc.ClientConnInterface, method string, request any) (Receive, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method, grpc.ForceCodecV2(raw))
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(request); err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var r Record // here, since what RecvMsg is given escapes
	return func() (Record, error) {
		err := stream.RecvMsg(&r)
		return r, err
	}, nil
}

// raw is gRPC's own codec, but for answers: those it hands on unread.
var raw = rawCodec{encoding.GetCodecV2(proto.Name)}

type rawCodec struct{ encoding.CodecV2 }

// Unmarshal makes a *Record of data, without a copy where data is in one piece.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*Record) = data.MaterializeToBuffer(mem.DefaultBufferPool()) //nolint:errcheck,forcetypeassert // Stream alone calls this
	return nil
}
