package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// jaegerTrace is what Jaeger's query API says of a trace.
type jaegerTrace struct {
	Spans []struct {
		SpanID     string
		References []struct{ RefType, SpanID string }
		Tags       []struct {
			Key   string
			Value any
		}
	}
	Processes map[string]struct{ ServiceName string }
}

// TestJaeger: a real Jaeger takes the recorded agents over gRPC and over HTTP, and
// gives the request that a policy denied back as one tree with the steps of every
// layer in it. `make jaegertest` builds Jaeger and runs it.
func TestJaeger(t *testing.T) {
	program := os.Getenv("SENNIT_JAEGER")
	if program == "" {
		t.Skip("SKIPPED: no Jaeger; 'make jaegertest' builds one (SENNIT_JAEGER names it)")
	}
	addr := map[string]string{}
	args := []string{"--memory.max-traces=10000"}
	for _, name := range []string{
		"admin.http.host-port", "collector.grpc-server.host-port", "collector.http-server.host-port", "collector.otlp.grpc.host-port",
		"collector.otlp.http.host-port", "query.grpc-server.host-port", "query.http-server.host-port",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr[name] = l.Addr().String()
		l.Close()
		args = append(args, "--"+name+"="+addr[name])
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stop()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	ask := func(path string, into any) error {
		res, err := http.Get("http://" + addr["query.http-server.host-port"] + path)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, res.Status)
		}
		return json.NewDecoder(res.Body).Decode(into)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var services any
		err := ask("/api/services", &services)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	const denied = "6c4619814efd08d7c17ace13e3c8571b"
	for _, sink := range []string{"grpc://" + addr["collector.otlp.grpc.host-port"], "http://" + addr["collector.otlp.http.host-port"]} {
		sennit(t, "replay", "-o", "none", "--rules", "../../deploy/rules", "--sink", "otlp:"+sink, agents)
	}
	tags := url.QueryEscape(fmt.Sprintf(`{"sennit.timeline_id":%q}`, denied))
	var found struct{ Data []jaegerTrace }
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if err := ask("/api/traces?service=gateway&limit=20&lookback=custom&start=1&end=4102444800000000&tags="+tags, &found); err != nil {
			t.Fatal(err)
		}
		if len(found.Data) >= 2 || time.Now().After(deadline) {
			break
		}
	}
	if len(found.Data) != 2 { // though each came twice
		t.Fatalf("Jaeger has %d traces of the request, want one for each of its 2 revisions", len(found.Data))
	}
	for _, trace := range found.Data {
		above, layers := map[string]string{}, map[string]int{}
		var services []string
		for _, p := range trace.Processes {
			services = append(services, p.ServiceName)
		}
		for _, s := range trace.Spans {
			if _, twice := above[s.SpanID]; twice {
				t.Errorf("span %s is there twice", s.SpanID)
			}
			above[s.SpanID] = ""
			for _, r := range s.References {
				if r.RefType == "CHILD_OF" {
					above[s.SpanID] = r.SpanID
				}
			}
			for _, tag := range s.Tags {
				if tag.Key == "sennit.layer" {
					layers[tag.Value.(string)]++
				}
			}
		}
		roots := 0
		for id, parent := range above {
			if _, there := above[parent]; parent != "" && !there {
				t.Errorf("span %s is below %s, which is not there", id, parent)
			}
			if parent == "" {
				roots++
			}
		}
		if roots != 1 {
			t.Errorf("the trace has %d roots", roots)
		}
		for _, layer := range []string{"edge", "network", "policy", "server", "agent", "model", "tool", "process", "syscall"} {
			if layers[layer] == 0 {
				t.Errorf("no step of layer %s: %v", layer, layers)
			}
		}
		slices.Sort(services)
		services = slices.Compact(services)
		for _, name := range []string{"edge", "gateway", "researcher"} {
			if !slices.Contains(services, name) {
				t.Errorf("no span of %s: %s", name, strings.Join(services, " "))
			}
		}
		t.Logf("%d spans in one tree, layers %v, services %v", len(above), layers, services)
	}
}
