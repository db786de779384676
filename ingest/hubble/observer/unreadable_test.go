package observer

import (
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/rpc"
)

// bytesCodec sends bytes as they are.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (bytesCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

// serve answers every call with what play sends, and keeps the stream open. It
// returns its address and how many streams were begun.
func serve(t testing.TB, play func(send func([]byte) error) error) (target string, streams *atomic.Int64) {
	t.Helper()
	streams = new(atomic.Int64)
	server := grpc.NewServer(grpc.ForceServerCodecV2(bytesCodec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		streams.Add(1)
		if err := play(func(r []byte) error { return s.SendMsg(r) }); err != nil {
			return err
		}
		<-s.Context().Done()
		return nil
	}))
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l) //nolint:errcheck // ends with Stop
	t.Cleanup(server.Stop)
	return l.Addr().String(), streams
}

// Records that cannot be read are counted and told, one by one; the stream goes on
// with the next.
func TestUnreadable(t *testing.T) {
	list, want := recorded(t)
	list, want = list[:2], want[:2]
	var records [][]byte
	for i, m := range list {
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, raw)
		if i == 0 {
			records = append(records, raw[:len(raw)-1], []byte{0x0a, 0x7f}, []byte{0xc2, 0x3e, 1, 0xff}, nil)
		}
	}
	target, streams := serve(t, func(send func([]byte) error) error {
		for _, r := range records {
			if err := send(r); err != nil {
				return err
			}
		}
		return nil
	})

	var mu sync.Mutex
	k := &taken{}
	var tally ingest.Tally
	var told []error
	run(t, rpc.Config{Target: target, Records: func(r ingest.Tally, err error) {
		mu.Lock()
		defer mu.Unlock()
		tally.Add(r)
		if err != nil {
			told = append(told, err)
		}
	}}, k.sink)
	eventually(t, "both flows", func() bool { return len(k.distinct()) == 2 })
	got := k.distinct()
	for _, line := range want {
		if got[line] != 1 {
			t.Errorf("%d times: %s", got[line], line)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if tally != (ingest.Tally{In: 6, Bad: 3, UnknownType: 1}) || streams.Load() != 1 {
		t.Errorf("tally %+v in %d streams", tally, streams.Load())
	}
	if len(told) != 4 || !strings.Contains(told[0].Error(), "not a valid protobuf message") ||
		!strings.Contains(told[2].Error(), "UTF-8") || !errors.Is(told[3], ingest.ErrUnknownType) {
		t.Errorf("told %v", told)
	}
}
