package receiver

import (
	"context"
	"crypto/subtle"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // registers what exporters compress with
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sennit-io/sennit/ingest"
)

// grpcServer serves the trace and log services without their generated types:
// requests go to the decoder as the bytes that came. A message that unpacks to
// more than maxRequest is refused by gRPC itself.
func (r *Receiver) grpcServer() *grpc.Server {
	s := grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(64<<10),
		grpc.ConnectionTimeout(10*time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 10 * time.Minute, Time: time.Minute}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
			// Before anything of the request is read.
			if !r.authorized(strings.Join(info.Header.Get("authorization"), "")) {
				return nil, status.Error(codes.Unauthenticated, "a token is needed: authorization: Bearer TOKEN")
			}
			return ctx, nil
		}),
	)
	s.RegisterService(r.service("opentelemetry.proto.collector.trace.v1.TraceService", protoTraces), nil)
	s.RegisterService(r.service("opentelemetry.proto.collector.logs.v1.LogsService", protoLogs), nil)
	return s
}

func (r *Receiver) service(name string, kind body) *grpc.ServiceDesc {
	export := func(_ any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		var msg []byte
		if err := read(&msg); err != nil {
			return nil, err
		}
		var from netip.AddrPort
		if p, ok := peer.FromContext(ctx); ok {
			from, _ = netip.ParseAddrPort(p.Addr.String())
		}
		out, err := r.take(ctx, unmap(from), kind, msg)
		if err != nil {
			return nil, statusOf(err).Err()
		}
		return out.appendProto(nil), nil
	}
	return &grpc.ServiceDesc{ServiceName: name, Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: export}}}
}

// unmap writes an IPv4 address as one, however the socket names it.
func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func (r *Receiver) authorized(header string) bool {
	return r.cfg.Token == "" || subtle.ConstantTimeCompare([]byte(header), []byte("Bearer "+r.cfg.Token)) == 1
}

// statusOf is what a sender is told of an error of take. Exporters send again
// after RESOURCE_EXHAUSTED only if RetryInfo is there.
func statusOf(err error) *status.Status {
	var bad *badRequest
	if errors.As(err, &bad) {
		return status.New(codes.InvalidArgument, strings.ToValidUTF8(bad.Error(), "\ufffd"))
	}
	code := codes.Unavailable
	if errors.Is(err, ingest.ErrBusy) {
		code = codes.ResourceExhausted
	}
	s := status.New(code, err.Error())
	// Spread out, lest all who were sent away come back at once.
	delay := time.Second/2 + rand.N(time.Second)
	if with, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)}); err == nil {
		s = with
	}
	return s
}

// appendProto appends ExportTraceServiceResponse, or ExportLogsServiceResponse,
// which is the same on the wire.
func (o outcome) appendProto(b []byte) []byte {
	if o.rejected == 0 && o.why == "" {
		return b
	}
	var partial []byte
	partial = protowire.AppendTag(partial, 1, protowire.VarintType)
	partial = protowire.AppendVarint(partial, o.rejected)
	partial = protowire.AppendTag(partial, 2, protowire.BytesType)
	partial = protowire.AppendString(partial, strings.ToValidUTF8(o.why, "\ufffd"))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	return protowire.AppendBytes(b, partial)
}

// rawCodec hands messages over as bytes.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
