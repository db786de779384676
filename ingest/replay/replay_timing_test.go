package replay

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-io/sennit/ingest/replay/frame"
	"github.com/sennit-io/sennit/schemas/event"
)

// Templates of realistic size: %[1]d is a running number, %[2]s a time, %[3]d
// the same in nanoseconds.
const (
	hubbleTemplate = `{"flow":{"time":"%[2]s","uuid":"c938628b-4f2e-4c8a-9a51-%012[1]x","emitter":{"name":"Hubble","version":"1.19.1+gd0d0c879"},"verdict":"FORWARDED","ethernet":{"source":"46:e5:ea:1f:95:ff","destination":"d6:ec:b0:4a:ff:46"},"IP":{"source":"10.20.0.17","destination":"10.20.0.4","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":%[4]d,"destination_port":8080,"flags":{"PSH":true,"ACK":true}}},"source":{"ID":1206,"identity":16781,"cluster_name":"default","namespace":"shop","labels":["k8s:app=gateway","k8s:io.kubernetes.pod.namespace=shop"],"pod_name":"gateway-7788964bc-lsfw5","workloads":[{"name":"gateway","kind":"Deployment"}]},"destination":{"ID":3106,"identity":20252,"cluster_name":"default","namespace":"shop","labels":["k8s:app=agent","k8s:io.kubernetes.pod.namespace=shop"],"pod_name":"agent-66c9f5d8b4-x2x7p","workloads":[{"name":"agent","kind":"Deployment"}]},"Type":"L3_L4","node_name":"gke-node-1","event_type":{"type":4},"traffic_direction":"EGRESS","trace_observation_point":"TO_ENDPOINT","trace_reason":"ESTABLISHED","is_reply":false,"interface":{"index":6,"name":"eni07eaad73233"},"Summary":"TCP Flags: ACK, PSH"},"node_name":"gke-node-1","time":"%[2]s"}`

	tetragonTemplate = `{"process_kprobe":{"process":{"exec_id":"Z2tlLW5vZGUtMTo4MDA0MzUwMzU5NjY6%08[1]x","pid":12700,"uid":1000,"cwd":"/app","binary":"/usr/bin/agent","arguments":"--serve :8080 --model gemini","flags":"execve clone","start_time":"2026-11-23T07:00:00.000000000Z","auid":4294967295,"pod":{"namespace":"shop","name":"agent-66c9f5d8b4-x2x7p","container":{"id":"containerd://551e161c47d8ff0eb665438a7bcd5b4e3ef5a297282b40a92b7c77d6bd168eb3","name":"agent","image":{"id":"eu.gcr.io/shop/agent@sha256:551e161c47d8ff0eb665438a7bcd5b4e","name":"eu.gcr.io/shop/agent:1.2"},"start_time":"2026-11-23T07:00:00Z","pid":1},"pod_labels":{"app":"agent"},"workload":"agent","workload_kind":"Deployment"},"docker":"551e161c47d8ff0eb665438a7bcd5b4","parent_exec_id":"Z2tlLW5vZGUtMTo4MDA0MzUwMzU5NjY6MTI3MDA=","refcnt":1,"tid":12705},"parent":{"exec_id":"Z2tlLW5vZGUtMTo4MDA0MzUwMzU5NjY6MTI3MDA=","pid":12600,"uid":0,"cwd":"/","binary":"/usr/bin/containerd-shim-runc-v2","flags":"execve","start_time":"2026-11-23T06:59:59.000000000Z","auid":4294967295},"function_name":"tcp_connect","args":[{"sock_arg":{"family":"AF_INET","type":"SOCK_STREAM","protocol":"IPPROTO_TCP","saddr":"10.20.0.4","daddr":"142.250.80.46","sport":%[4]d,"dport":443,"cookie":"18446628000000000000","state":"TCP_SYN_SENT"}}],"action":"KPROBE_ACTION_POST","policy_name":"network-monitor","return_action":"KPROBE_ACTION_POST"},"node_name":"gke-node-1","time":"%[2]s"}`

	exchangeTemplate = `{"id":"%032[1]x","kind":"exchange","source":"socket","node":"gke-node-1","boot":"0f1e2d3c4b5a69788796a5b4c3d2e1f0","time":"%[2]s","payload":{"socket_cookie":"%[1]d","tuple":{"proto":"tcp","src":"10.20.0.4:%[4]d","dst":"10.20.0.9:8080"},"role":"client","ordinal":3,"protocol":"http/1.1","start":"%[2]s","first_byte":"%[2]s","bytes_out":"812","bytes_in":"4096","http":{"method":"POST","host":"agent.shop","path":"/run","status":200},"process":{"pid":12700,"start_ns":"800435035966"},"tid":12705,"workload":{"namespace":"shop","pod":"agent-66c9f5d8b4-x2x7p","container":"agent"}}}`

	spanTemplate = `{"traceId":"%032[1]x","spanId":"%016[1]x","parentSpanId":"c48de3f242e4f8af","flags":257,"name":"generate_content gemini-3.5-flash","kind":1,"startTimeUnixNano":"%[3]d","endTimeUnixNano":"%[3]d","attributes":[{"key":"gcp.vertex.agent.invocation_id","value":{"stringValue":"e-10ef6a4b-1c6e-4d8e-9a51-3f6c5d1f2a3b"}},{"key":"gen_ai.operation.name","value":{"stringValue":"generate_content"}},{"key":"gen_ai.request.model","value":{"stringValue":"gemini-3.5-flash"}},{"key":"gcp.vertex.agent.event_id","value":{"stringValue":"6a4b1c6e"}},{"key":"gen_ai.response.finish_reasons","value":{"arrayValue":{"values":[{"stringValue":"STOP"}]}}},{"key":"gen_ai.usage.input_tokens","value":{"intValue":"348"}},{"key":"gen_ai.usage.output_tokens","value":{"intValue":"17"}}],"status":{}}`
)

// writeMixed writes n events of four writers to one file each, in order of
// time as writers do, and returns the folder and its size.
func writeMixed(b testing.TB, n int, shuffle bool) (dir string, size int64) {
	dir = b.TempDir()
	rng := rand.New(rand.NewPCG(1, 1))
	base := event.At(time.Date(2026, 11, 23, 7, 16, 0, 0, time.UTC))
	for i, template := range []string{hubbleTemplate, tetragonTemplate, exchangeTemplate, spanTemplate} {
		var lines []string
		var spans []string
		for k := range n / 4 {
			at := base.Add(time.Duration(k)*40*time.Microsecond + time.Duration(rng.IntN(1e6)))
			text := fmt.Sprintf(template, k*4+i+1, at, at, 1024+k%60000)
			if i == 3 {
				if spans = append(spans, text); len(spans) < 50 && k < n/4-1 {
					continue
				}
				text = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"agent"}},{"key":"k8s.pod.name","value":{"stringValue":"agent-66c9f5d8b4-x2x7p"}}]},"scopeSpans":[{"scope":{"name":"gcp.vertex.agent","version":"2.0.0"},"spans":[` + strings.Join(spans, ",") + `]}]}]}`
				spans = nil
			}
			lines = append(lines, text)
		}
		if shuffle {
			rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		}
		data := strings.Join(lines, "\n") + "\n"
		size += int64(len(data))
		write(b, dir, fmt.Sprintf("%d.jsonl", i), []byte(data))
	}
	return dir, size
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRun reads, decodes, sorts and hands on 400,000 events of four
// writers; one operation is one event.
func BenchmarkRun(b *testing.B) {
	const n = 400_000
	f := func(name string, shuffle bool, memory int64) {
		b.Run(name, func(b *testing.B) {
			dir, size := writeMixed(b, n, shuffle)
			b.SetBytes(size / n)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			events := 0
			for events < b.N {
				_, err := Run(b.Context(), Options{Paths: []string{dir}, SortMemory: memory, TempDir: b.TempDir()}, func(batch *event.Batch, _ event.Time) error {
					events += len(batch.Events)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu()-before)/float64(events), "cpu-ns/event")
			b.ReportMetric(float64(b.Elapsed())/float64(events), "wall-ns/event")
		})
	}
	f("ordered", false, 0)
	f("shuffled", true, 0)
	f("spilled", false, 64<<20)
}

// BenchmarkFrame cuts and sniffs lines; one operation is one line.
func BenchmarkFrame(b *testing.B) {
	dir, _ := writeMixed(b, 40_000, false)
	data, err := os.ReadFile(filepath.Join(dir, "0.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	lines := strings.Count(string(data), "\n")
	b.SetBytes(int64(len(data) / lines))
	b.ReportAllocs()
	var block frame.Block
	var s sniffer
	b.ResetTimer()
	for n := 0; n < b.N; {
		r := frame.NewReader(bytes.NewReader(data))
		for {
			if err := r.Next(&block); err == io.EOF {
				break
			}
			for i := range block.Records {
				if f, _ := s.sniff(block.Bytes(&block.Records[i])); f != formatHubble {
					b.Fatal(f)
				}
			}
			n += len(block.Records)
		}
	}
}
