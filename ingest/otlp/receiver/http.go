package receiver

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/ingest"
)

const (
	typeProto = "application/x-protobuf"
	typeJSON  = "application/json"
)

func (r *Receiver) httpServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.export(protoTraces))
	mux.HandleFunc("POST /v1/logs", r.export(protoLogs))
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // what strangers send is no news
	}
}

var errTooLarge = fmt.Errorf("request over the limit of %d MiB, unpacked", maxRequest>>20)

func (r *Receiver) export(kind body) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		form, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
		encoding := req.Header.Get("Content-Encoding")
		switch {
		case !r.authorized(req.Header.Get("Authorization")):
			w.Header().Set("WWW-Authenticate", "Bearer")
			answer(w, typeJSON, http.StatusUnauthorized, status.New(codes.Unauthenticated, "a token is needed: Authorization: Bearer TOKEN"))
			return
		case form != typeProto && form != typeJSON:
			answer(w, typeJSON, http.StatusUnsupportedMediaType, status.New(codes.InvalidArgument, "Content-Type must be "+typeProto+" or "+typeJSON))
			return
		case encoding != "" && encoding != "identity" && encoding != "gzip":
			answer(w, form, http.StatusUnsupportedMediaType, status.New(codes.InvalidArgument, "Content-Encoding must be gzip or none"))
			return
		}
		msg, err := readBody(http.MaxBytesReader(w, req.Body, maxRequest), encoding == "gzip")
		var long *http.MaxBytesError
		switch {
		case errors.Is(err, errTooLarge) || errors.As(err, &long):
			answer(w, form, http.StatusRequestEntityTooLarge, status.New(codes.InvalidArgument, errTooLarge.Error()))
			return
		case err != nil:
			answer(w, form, http.StatusBadRequest, status.New(codes.InvalidArgument, "read request: not what its headers say"))
			return
		}
		from, _ := netip.ParseAddrPort(req.RemoteAddr)
		as := kind
		if form == typeJSON {
			as = jsonAny
		}
		out, err := r.take(req.Context(), unmap(from), as, msg)
		if err != nil {
			s := statusOf(err)
			code := http.StatusBadRequest
			if s.Code() != codes.InvalidArgument {
				code = http.StatusServiceUnavailable
				if errors.Is(err, ingest.ErrBusy) {
					code = http.StatusTooManyRequests
				}
				w.Header().Set("Retry-After", "1")
			}
			answer(w, form, code, s)
			return
		}
		w.Header().Set("Content-Type", form)
		if form == typeJSON {
			_, _ = w.Write(out.json(kind)) // a sender that has gone sends again
			return
		}
		_, _ = w.Write(out.appendProto(nil))
	}
}

// readBody reads a request, at most maxRequest bytes once it is unpacked.
func readBody(from io.Reader, packed bool) ([]byte, error) {
	if packed {
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, err
		}
		from = z
	}
	msg, err := io.ReadAll(io.LimitReader(from, maxRequest+1))
	if err == nil && len(msg) > maxRequest {
		err = errTooLarge
	}
	return msg, err
}

// answer writes an error as OTLP wants it: a google.rpc.Status in the form of
// the request.
func answer(w http.ResponseWriter, form string, code int, s *status.Status) {
	var b []byte
	if form == typeJSON {
		b, _ = protojson.Marshal(s.Proto()) // strings and known types only, no error
	} else {
		b, _ = proto.Marshal(s.Proto())
	}
	w.Header().Set("Content-Type", form)
	w.WriteHeader(code)
	_, _ = w.Write(b)
}

// json renders the response as protobuf's JSON mapping has it.
func (o outcome) json(kind body) []byte {
	if o.rejected == 0 && o.why == "" {
		return []byte("{}")
	}
	name := "rejectedSpans"
	if kind == protoLogs {
		name = "rejectedLogRecords"
	}
	b, _ := json.Marshal(map[string]map[string]string{ // strings only, no error
		"partialSuccess": {name: strconv.FormatUint(o.rejected, 10), "errorMessage": o.why},
	})
	return b
}
