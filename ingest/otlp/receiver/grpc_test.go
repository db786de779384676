package receiver

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"google.golang.org/grpc/codes"
)

// What no gRPC library would send is refused with a status.
func TestBadCalls(t *testing.T) {
	var got store
	r, _ := start(t, Config{}, got.take)
	plain := &http.Transport{Protocols: new(http.Protocols)}
	plain.Protocols.SetUnencryptedHTTP2(true)
	defer plain.CloseIdleConnections()
	f := func(what, path, form, encoding string, body []byte, want codes.Code) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.GRPCAddr().String()+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", form)
		if encoding != "" {
			req.Header.Set("Grpc-Encoding", encoding)
		}
		resp, err := plain.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if s := resp.Trailer.Get("Grpc-Status"); s != strconv.Itoa(int(want)) {
			t.Errorf("%s: %s, status %q %q, want %v", what, resp.Status, s, resp.Trailer.Get("Grpc-Message"), want)
		}
	}
	const form = "application/grpc"
	frame := func(flag byte, size int, msg []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(size)), msg...)
	}
	msg := marshal(t, request("agent-0", span(1)))
	good := frame(0, len(msg), msg)
	packed := pack(t, msg)
	f("a good call", grpcTraces, form, "", good, codes.OK)
	f("a good call, packed", grpcTraces, form+"+proto", "gzip", frame(1, len(packed), packed), codes.OK)
	f("nothing", grpcTraces, form, "", nil, codes.InvalidArgument)
	f("half a prefix", grpcTraces, form, "", good[:3], codes.InvalidArgument)
	f("cut off", grpcTraces, form, "", good[:len(good)-1], codes.InvalidArgument)
	f("cut off, packed", grpcTraces, form, "gzip", frame(1, len(packed), packed[:len(packed)-9]), codes.InvalidArgument)
	f("two messages", grpcTraces, form, "", slices.Concat(good, good), codes.InvalidArgument)
	f("another flag", grpcTraces, form, "gzip", frame(2, len(msg), msg), codes.InvalidArgument)
	f("packed unsaid", grpcTraces, form, "", frame(1, len(packed), packed), codes.InvalidArgument)
	f("too large", grpcTraces, form, "", frame(0, 1<<32-1, nil), codes.ResourceExhausted)
	f("of another packing", grpcTraces, form, "zstd", good, codes.Unimplemented)
	f("metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", form, "", good, codes.Unimplemented)
	f("logs that are traces", grpcLogs, form, "", frame(0, 3, []byte("\xff\xff\xff")), codes.InvalidArgument)
	if c := r.Counts(); c.Events != 2 || len(got.spans) != 1 {
		t.Errorf("counts %+v, %d spans", c, len(got.spans))
	}
	if !r.room.bytes.TryAcquire(r.cfg.Bytes) {
		t.Error("room was not given back")
	}
}
