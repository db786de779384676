package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"cloud.google.com/go/pubsub/v2/pstest"

	"github.com/sennit-io/sennit/schemas/timeline"
)

// TestPullsFromPubSub: the log entries of a subscription get into timelines, in one
// process and over a bus, and a processor that was killed misses none.
func TestPullsFromPubSub(t *testing.T) {
	const topic, subscription = "projects/p/topics/logs", "projects/p/subscriptions/sennit"
	cloud := pstest.NewServer()
	defer cloud.Close()
	t.Setenv("PUBSUB_EMULATOR_HOST", cloud.Addr)
	if _, err := cloud.GServer.CreateTopic(t.Context(), &pubsubpb.Topic{Name: topic}); err != nil {
		t.Fatal(err)
	}
	if _, err := cloud.GServer.CreateSubscription(t.Context(), &pubsubpb.Subscription{Name: subscription, Topic: topic, AckDeadlineSeconds: 10}); err != nil {
		t.Fatal(err)
	}
	sent := 0
	put := func(n int) {
		for range n {
			sent++
			cloud.Publish(topic, fmt.Appendf(nil, `{"httpRequest":{"requestMethod":"GET","requestUrl":"https://agents.example.com/run","status":200,"latency":"0.01s"},`+
				`"insertId":"i%d","resource":{"type":"http_load_balancer"},"trace":"projects/p/traces/%032x","spanId":"%016x","timestamp":%q}`,
				sent, sent, sent, time.Now().UTC().Format(time.RFC3339Nano)), nil)
		}
	}
	dir := t.TempDir()
	timelines := func(of string, want int) {
		t.Helper()
		var last map[string]*timeline.Timeline
		for end := time.Now().Add(time.Minute); len(last) < want && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			_, last = readTimelines(t, filepath.Join(dir, of, "timelines.jsonl"))
		}
		if len(last) != want {
			t.Errorf("%d timelines of %d requests", len(last), want)
		}
	}
	port := freePort(t)
	b := startProgram(t, "natsd", filepath.Join(dir, "bus"), strconv.Itoa(port))
	defer b.kill(t)
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	processor := func() *service {
		return startService(t, "processor", "--data", filepath.Join(dir, "processor"), "--nats", url, "--lateness", "1s", "--http", "127.0.0.1:0", "--gcp-subscription", subscription)
	}
	put(10)
	p := processor()
	p.metric(t, `sennit_source_up{source="gcp"} 1`)
	p.metric(t, `sennit_records_total{source="gcp",what="events"} 10`)
	put(10)
	p.kill(t)
	put(10)
	p = processor()
	timelines("processor", sent)
	p.kill(t)

	s := startUp(t, filepath.Join(dir, "up"), "--gcp-subscription", subscription)
	cloud.Publish(topic, []byte("no log entry"), nil)
	put(1)
	s.metric(t, `sennit_records_total{source="gcp",what="bad"} 1`)
	timelines("up", 1)
	s.kill(t)
	if said := startRefused(t, "up", "--data", filepath.Join(dir, "up"), "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", "", "--gcp-subscription", "sennit"); !strings.Contains(said, "want projects/PROJECT/subscriptions/SUBSCRIPTION") {
		t.Errorf("no name of a subscription: %s", said)
	}
}
