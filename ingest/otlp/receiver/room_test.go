package receiver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
)

// half begins a request of so many bytes over HTTP and sends some of them.
func half(t *testing.T, r *Receiver, size, sent int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", r.HTTPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := fmt.Fprintf(c, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", typeProto, size); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(make([]byte, sent)); err != nil {
		t.Fatal(err)
	}
	return c
}

// holds waits until requests hold at least so many bytes.
func holds(t *testing.T, r *Receiver, want int64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); r.room.bytes.TryAcquire(r.cfg.Bytes - want + 1); time.Sleep(time.Millisecond) {
		r.room.bytes.Release(r.cfg.Bytes - want + 1)
		if time.Now().After(end) {
			t.Fatalf("requests never held %d bytes", want)
		}
	}
}

// Without room senders are sent away in time, with word when to come again, and
// taken when there is room.
func TestNoRoom(t *testing.T) {
	var got store
	r, _ := start(t, Config{Bytes: 17 << 20, Wait: 50 * time.Millisecond}, got.take)
	first := half(t, r, maxRequest, maxRequest-1)
	holds(t, r, maxRequest)

	big := request("agent-0", span(1))
	big.ResourceSpans[0].ScopeSpans[0].Spans[0].Name = strings.Repeat("a", 2<<20)
	client := dial(t, r)
	for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor(grpcgzip.Name)}} { // two megabytes, also if they come as two kilobytes
		_, err := client.Export(t.Context(), big, opts...)
		s := status.Convert(err)
		if s.Code() != codes.ResourceExhausted || len(s.Details()) != 1 {
			t.Fatalf("answer %v, details %v", err, s.Details())
		}
		if _, ok := s.Details()[0].(*errdetails.RetryInfo); !ok {
			t.Errorf("details %v", s.Details())
		}
	}
	if resp, body := post(t, r, typeProto, "gzip", pack(t, marshal(t, big)), ""); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("answer %s: %q", resp.Status, body)
	}
	if _, err := client.Export(t.Context(), request("agent-0", span(2))); err != nil {
		t.Errorf("a small one has room: %v", err)
	}
	if c := r.Counts(); c != (Counts{In: 1, Events: 1, Busy: 3}) {
		t.Errorf("counts %+v", c)
	}
	first.Close()
	for end := time.Now().Add(time.Minute); ; {
		_, err := client.Export(t.Context(), big)
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("room was not given back: %v", err)
		}
	}
}

// Who announces much and sends it slowly keeps nobody out, and is not waited for.
func TestSlowSenders(t *testing.T) {
	var got store
	r, _ := start(t, Config{Bytes: 17 << 20, Wait: time.Second, Read: 2 * time.Second}, got.take)
	var slow []net.Conn
	for range 100 {
		slow = append(slow, half(t, r, maxRequest, 10))
	}
	headless, err := net.Dial("tcp", r.HTTPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer headless.Close()
	if _, err := headless.Write([]byte("POST /v1/tr")); err != nil {
		t.Fatal(err)
	}
	mute, err := net.Dial("tcp", r.GRPCAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	holds(t, r, 100*firstRoom)
	if _, err := dial(t, r).Export(t.Context(), request("agent-0", span(1))); err != nil {
		t.Errorf("over gRPC: %v", err)
	}
	if resp, body := post(t, r, typeProto, "", marshal(t, request("agent-0", span(2))), ""); resp.StatusCode != http.StatusOK {
		t.Errorf("over HTTP: %s %q", resp.Status, body)
	}
	for _, c := range slow {
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Fatalf("a slow one was told %v, %v", resp, err)
		}
		resp.Body.Close()
	}
	for _, c := range []net.Conn{headless, mute} {
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("who sends no request is kept")
		}
	}
	if len(got.spans) != 2 {
		t.Errorf("%d spans", len(got.spans))
	}
}

// Bombs of many senders at once unpack into the room there is, not beyond.
func TestBombsAreBounded(t *testing.T) {
	r, _ := start(t, Config{Bytes: 17 << 20, Wait: time.Millisecond}, new(store).take)
	bomb := pack(t, make([]byte, 64<<20))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	type answer struct {
		code int
		err  error
	}
	answers := make(chan answer)
	const senders = 32
	for range senders {
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.HTTPAddr().String()+"/v1/traces", bytes.NewReader(bomb))
			if err != nil {
				answers <- answer{err: err}
				return
			}
			req.Header.Set("Content-Type", typeProto)
			req.Header.Set("Content-Encoding", "gzip")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				answers <- answer{err: err}
				return
			}
			resp.Body.Close()
			answers <- answer{code: resp.StatusCode}
		}()
	}
	refused := map[int]int{}
	for range senders {
		a := <-answers
		if a.err != nil {
			t.Fatal(a.err)
		}
		refused[a.code]++
	}
	runtime.ReadMemStats(&after)
	if refused[http.StatusTooManyRequests] == 0 || refused[http.StatusTooManyRequests]+refused[http.StatusRequestEntityTooLarge] != senders {
		t.Errorf("answers %v", refused)
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 256<<20 { // 32 at once would be over 512 MiB
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// One peer has its share of connections, and others theirs.
func TestManyConnections(t *testing.T) {
	var got store
	r, _ := start(t, Config{}, got.take)
	dialFrom := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 10 * time.Second}
	const many = 2000
	var conns []net.Conn
	for range many {
		c, err := dialFrom.DialContext(t.Context(), "tcp", r.GRPCAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	for end := time.Now().Add(time.Minute); r.Counts().Crowded < many-maxConnections/4; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("counts %+v", r.Counts())
		}
	}
	if c := r.Counts(); c.Crowded != many-maxConnections/4 {
		t.Errorf("counts %+v", c)
	}
	if _, err := dial(t, r).Export(t.Context(), request("agent-0", span(1))); err != nil {
		t.Errorf("another peer is kept out: %v", err)
	}
	for _, c := range conns {
		c.Close()
	}
	// Its share is given back.
	conn, err := grpc.NewClient(r.GRPCAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return dialFrom.DialContext(ctx, "tcp", addr)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := collector.NewTraceServiceClient(conn).Export(ctx, request("agent-0", span(2)), grpc.WaitForReady(true)); err != nil {
		t.Errorf("it is still kept out: %v", err)
	}
}
