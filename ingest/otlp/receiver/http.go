package receiver

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"

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

func (r *Receiver) httpHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", r.export(protoTraces))
	mux.HandleFunc("POST /v1/logs", r.export(protoLogs))
	return mux
}

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
		h := r.room.hold(r.cfg.Wait)
		defer h.release()
		msg, err := h.read(req.Context(), http.MaxBytesReader(w, req.Body, maxRequest), encoding == "gzip", req.ContentLength)
		if err != nil {
			answerError(w, form, r.refused(err))
			return
		}
		as := kind
		if form == typeJSON {
			as = jsonAny
		}
		out, err := r.take(req.Context(), endsOf(req), as, msg)
		if err != nil {
			answerError(w, form, err)
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

// answerError tells a sender of an error of take.
func answerError(w http.ResponseWriter, form string, err error) {
	code := http.StatusServiceUnavailable
	var bad *badRequest
	switch {
	case errors.As(err, &bad):
		code = http.StatusBadRequest
	case errors.Is(err, errTooLarge):
		code = http.StatusRequestEntityTooLarge
	case errors.Is(err, ingest.ErrBusy):
		code = http.StatusTooManyRequests
	}
	if code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	answer(w, form, code, statusOf(err))
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
