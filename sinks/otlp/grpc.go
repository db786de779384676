package otlp

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

type overGRPC struct {
	conn *grpc.ClientConn
	head metadata.MD
}

func newGRPC(u *url.URL, o *Options) (*overGRPC, error) {
	secured := insecure.NewCredentials()
	if u.Scheme == "grpcs" {
		secured = credentials.NewTLS(o.TLS)
	} else if o.TLS != nil {
		return nil, fmt.Errorf("%q speaks no TLS: want grpcs://", o.URL)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "4317")
	}
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(secured), grpc.WithUserAgent("sennit"),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.UseCompressor(gzip.Name)))
	if err != nil {
		return nil, err
	}
	t := &overGRPC{conn: conn, head: metadata.MD{}}
	for name, values := range o.Header {
		t.head.Set(name, values...) // in lower case
	}
	return t, nil
}

// raw passes messages on as they are: they were made before.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), b...)
	return nil
}

func (raw) Name() string { return "proto" }

func (t *overGRPC) export(ctx context.Context, body []byte) error {
	var answer []byte
	err := t.conn.Invoke(metadata.NewOutgoingContext(ctx, t.head), exportMethod, &body, &answer)
	if err == nil {
		return partial(answer)
	}
	st := status.Convert(err)
	r := &refusal{text: fmt.Sprintf("the receiver said %s: %s", st.Code(), st.Message())}
	switch st.Code() {
	case codes.Unavailable:
		r.text = "the receiver is away: " + st.Message()
	case codes.InvalidArgument, codes.Internal, codes.DataLoss:
		r.data = true
	case codes.Unauthenticated, codes.PermissionDenied:
		r.text += "; does it want another header?"
	case codes.Unimplemented, codes.NotFound:
		r.text += "; is it one of OTLP over gRPC?"
	case codes.ResourceExhausted:
		r.data = strings.Contains(st.Message(), "larger than max") // grpc-go's word for a message that it does not take
	}
	for _, d := range st.Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok {
			r.after, r.data = min(max(retry.GetRetryDelay().AsDuration(), 0), longestWait), false
		}
	}
	return r
}

// longestWait bounds what a receiver may ask for.
const longestWait = time.Hour

func (t *overGRPC) close() error { return t.conn.Close() }
