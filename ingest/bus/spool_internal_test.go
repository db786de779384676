package bus

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sennit-io/sennit/ingest/bus/embed"
	"github.com/sennit-io/sennit/schemas/event"
)

// No more of a session is under way out of a spool than may overtake each other: on a
// bus that takes messages and acknowledges none, that is all that it gets.
func TestSpoolUnderWay(t *testing.T) {
	server, err := embed.Start(embed.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	nc, err := server.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	silent, err := nc.SubscribeSync("sennit.>")
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	p, err := OpenSpool(t.TempDir(), 16*MinSpool, func(d Dropped) { t.Errorf("dropped %+v", d) })
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range span {
		m := nats.NewMsg(Subject("n", event.SourceOTLP))
		m.Header.Set(nats.MsgIdHdr, fmt.Sprint(i))
		m.Data = []byte("envelope")
		if err := p.put(m); err != nil {
			t.Fatal(err)
		}
	}
	go func() { _ = p.Run(t.Context(), js) }()
	came := 0
	for wait := 20 * time.Second; ; wait = 500 * time.Millisecond {
		if _, err := silent.NextMsg(wait); err != nil {
			break
		}
		came++
	}
	if came == 0 || came > span/2 {
		t.Errorf("%d messages are under way; of a session %d may overtake each other", came, span)
	}
}
