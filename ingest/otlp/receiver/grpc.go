package receiver

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	grpcTraces = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	grpcLogs   = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
)

// grpcHandler serves the two unary calls as gRPC over HTTP/2 frames them
// (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). grpc-go's server is
// not used since it reads a whole message, and unpacks it, before anybody is
// asked whether there is room for it.
func (r *Receiver) grpcHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+grpcTraces, r.call(protoTraces))
	mux.HandleFunc("POST "+grpcLogs, r.call(protoLogs))
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		answerCall(w, nil, status.New(codes.Unimplemented, "only OTLP traces and logs are taken here"))
	})
	return mux
}

func (r *Receiver) call(kind body) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		encoding := req.Header.Get("Grpc-Encoding")
		switch form, _, _ := strings.Cut(req.Header.Get("Content-Type"), ";"); {
		case form != "application/grpc" && form != "application/grpc+proto":
			http.Error(w, "Content-Type must be application/grpc", http.StatusUnsupportedMediaType)
			return
		case !r.authorized(req.Header.Get("Authorization")):
			answerCall(w, nil, status.New(codes.Unauthenticated, "a token is needed: authorization: Bearer TOKEN"))
			return
		case encoding != "" && encoding != "identity" && encoding != "gzip":
			answerCall(w, nil, status.New(codes.Unimplemented, "grpc-encoding must be gzip or none"))
			return
		}
		h := r.room.hold(r.cfg.Wait)
		defer h.release()
		msg, err := readMessage(req, encoding, h)
		if err != nil {
			answerCall(w, nil, statusOf(r.refused(err)))
			return
		}
		out, err := r.take(req.Context(), endsOf(req), kind, msg)
		if err != nil {
			answerCall(w, nil, statusOf(err))
			return
		}
		answerCall(w, out.appendProto(make([]byte, prefix)), status.New(codes.OK, ""))
	}
}

// prefix is what stands before a message: whether it is packed, and its size.
const prefix = 5

// readMessage reads the one message of a call.
func readMessage(req *http.Request, encoding string, h *hold) ([]byte, error) {
	var head [prefix]byte
	if _, err := io.ReadFull(req.Body, head[:]); err != nil {
		return nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[1:]))
	packed := head[0] == 1 && encoding == "gzip"
	switch {
	case size > maxRequest:
		return nil, errTooLarge
	case head[0] != 0 && !packed:
		return nil, errors.New("a message that is packed unsaid")
	}
	msg, err := h.read(req.Context(), io.LimitReader(req.Body, size), packed, size)
	switch {
	case err != nil:
		return nil, err
	case !packed && int64(len(msg)) < size:
		return nil, io.ErrUnexpectedEOF
	}
	if n, err := req.Body.Read(head[:1]); n > 0 || !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("more than one message: %w", err)
	}
	return msg, nil
}

// answerCall ends a call, with a message that has room for its prefix, or none.
func answerCall(w http.ResponseWriter, msg []byte, s *status.Status) {
	header := w.Header()
	header.Set("Content-Type", "application/grpc")
	header.Set("Grpc-Accept-Encoding", "gzip")
	if msg != nil {
		binary.BigEndian.PutUint32(msg[1:], uint32(len(msg)-prefix))
		_, _ = w.Write(msg) // a sender that has gone sends again
	} else {
		w.WriteHeader(http.StatusOK)
	}
	header.Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(int(s.Code())))
	if s.Code() == codes.OK {
		return
	}
	header.Set(http.TrailerPrefix+"Grpc-Message", url.PathEscape(s.Message()))
	if details, err := proto.Marshal(s.Proto()); err == nil {
		header.Set(http.TrailerPrefix+"Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(details))
	}
}
