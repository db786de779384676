package receiver

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sennit-io/sennit/ingest"
)

// outcome is what the sender of a taken request is told.
type outcome struct {
	rejected uint64
	why      string
}

// badRequest is an error of the sender, who must not send the same again.
type badRequest struct{ err error }

func (e *badRequest) Error() string { return e.err.Error() }
func (e *badRequest) Unwrap() error { return e.err }

// errSink stands for an error of the sink, which is none of the sender's
// business.
var errSink = errors.New("events could not be handed on; send them again")

// errSlow is a request that did not come in within Config.Read.
var errSlow = errors.New("the request did not come in in time; send it again")

// refused counts a request that could not be read, and says what its sender is told.
func (r *Receiver) refused(err error) error {
	var long *http.MaxBytesError
	switch {
	case errors.Is(err, ingest.ErrBusy):
		r.busy.Add(1)
		return ingest.ErrBusy
	case errors.Is(err, errTooLarge) || errors.As(err, &long):
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	}
	return &badRequest{errors.New("read request: not what its headers say")}
}

// statusOf is what a sender is told of an error of refused or take. Exporters send
// again after RESOURCE_EXHAUSTED only if RetryInfo is there.
func statusOf(err error) *status.Status {
	var bad *badRequest
	code := codes.Unavailable
	switch {
	case errors.As(err, &bad):
		return status.New(codes.InvalidArgument, strings.ToValidUTF8(bad.Error(), "\ufffd"))
	case errors.Is(err, errTooLarge):
		return status.New(codes.ResourceExhausted, err.Error())
	case errors.Is(err, ingest.ErrBusy):
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
