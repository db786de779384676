package tetragon

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/schemas/event"
)

// block is a process as Tetragon 1.5 writes it for a container of a pod.
func block(pid, ppid int, binary, args string) string {
	id := func(pid int) string {
		return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "gke-agents-default-pool-7041cac0-9s95:%d:%d", 2469829886142+pid*1000, pid))
	}
	return fmt.Sprintf(`{"exec_id":"%s","pid":%d,"uid":10001,"cwd":"/srv/agent","binary":"%s","arguments":"%s",`+
		`"flags":"execve clone inInitTree","start_time":"2026-11-23T06:56:00.177700327Z","auid":4294967295,`+
		`"pod":{"namespace":"agents","name":"invoice-agent-5d4f8c7b9-x2x7q","uid":"7d1a3f0e-6f0b-4a57-9c0e-3d8d1a0f5b11",`+
		`"container":{"id":"containerd://551e161c47d8ff0eb665438a7bcd5b4e3ef5a297282b40a92b7c77d6bd168eb3","name":"agent",`+
		`"image":{"id":"registry.example.com/agents/invoice@sha256:0d17b565c37bcbd895e9d92315a05c1c3c9a29f762b011a10c54a66cd53c9b31","name":"registry.example.com/agents/invoice:v12"},`+
		`"start_time":"2026-11-23T06:00:00Z","pid":49},"pod_labels":{"app":"invoice-agent","pod-template-hash":"5d4f8c7b9"},`+
		`"workload":"invoice-agent","workload_kind":"Deployment"},"docker":"551e161c47d8ff0eb665438a7bcd5b4","parent_exec_id":"%s","tid":%d,"in_init_tree":true}`,
		id(pid), pid, binary, args, id(ppid), pid)
}

const tail = `,"node_name":"gke-agents-default-pool-7041cac0-9s95","time":"2026-11-23T06:56:00.177706678Z"}`

var (
	execLine = `{"process_exec":{"process":` + block(52699, 52600, "/usr/bin/curl", `-s https://api.example.com/v1/invoices/4711`) +
		`,"parent":` + block(52600, 52001, "/usr/local/bin/python3.12", "-m invoice_agent.server --port 8080") + `}` + tail
	kprobeLine = `{"process_kprobe":{"process":` + block(52699, 52600, "/usr/bin/curl", `-s https://api.example.com/v1/invoices/4711`) +
		`,"parent":` + block(52600, 52001, "/usr/local/bin/python3.12", "-m invoice_agent.server --port 8080") +
		`,"function_name":"tcp_connect","args":[{"sock_arg":{"family":"AF_INET","type":"SOCK_STREAM","protocol":"IPPROTO_TCP","saddr":"10.244.0.30","daddr":"142.250.80.46","sport":54321,"dport":443,"cookie":"18446616041938487424","state":"TCP_SYN_SENT"}}],` +
		`"action":"KPROBE_ACTION_POST","policy_name":"connect-and-file","return_action":"KPROBE_ACTION_POST"}` + tail
)

// lines returns n lines that differ in what differs between processes, so that
// neither the interning nor the branch predictor sees one line only; with pods,
// each is of another pod and parent, more than a decoder remembers.
func lines(line string, n int, pods bool) (out [][]byte, size int64) {
	for i := range n {
		r := []string{`"pid":52699`, fmt.Sprintf(`"pid":%d`, 52699+i), "invoices/4711", fmt.Sprintf("invoices/%d", 4711+i), "54321", fmt.Sprint(20000 + i)}
		l := line
		if pods {
			r = append(r, "x2x7q", fmt.Sprintf("%05d", i))
			l = strings.Replace(line, block(52600, 52001, "/usr/local/bin/python3.12", "-m invoice_agent.server --port 8080"),
				block(60000+i, 52001, "/usr/local/bin/python3.12", "-m invoice_agent.server --port 8080"), 1)
		}
		l = strings.NewReplacer(r...).Replace(l)
		out = append(out, []byte(l))
		size += int64(len(l))
	}
	return out, size / int64(n)
}

func benchmark(b *testing.B, line string, n int, pods bool) {
	in, size := lines(line, n, pods)
	measure(b, in, size, (*Decoder).Decode)
}

// benchmarkProto is the same of the records that come over gRPC.
func benchmarkProto(b *testing.B, line string, n int, pods bool) {
	in, _ := lines(line, n, pods)
	for i := range in {
		in[i] = protoMessage(b, in[i])
	}
	measure(b, in, int64(len(in[0])), (*Decoder).DecodeProto)
}

func measure(b *testing.B, in [][]byte, size int64, decode func(*Decoder, []byte, *event.Batch) (ingest.Tally, error)) {
	var d Decoder
	var batch event.Batch
	b.SetBytes(size)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if len(batch.Events) == 512 {
			batch.Reset()
		}
		if _, err := decode(&d, in[i%len(in)], &batch); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkDecodeExec(b *testing.B)    { benchmark(b, execLine, 16, false) }
func BenchmarkDecodeKprobe(b *testing.B)  { benchmark(b, kprobeLine, 16, false) }
func BenchmarkStrangeExec(b *testing.B)   { benchmark(b, execLine, 2048, true) }
func BenchmarkStrangeKprobe(b *testing.B) { benchmark(b, kprobeLine, 2048, true) }

func BenchmarkProtoExec(b *testing.B)          { benchmarkProto(b, execLine, 16, false) }
func BenchmarkProtoKprobe(b *testing.B)        { benchmarkProto(b, kprobeLine, 16, false) }
func BenchmarkProtoStrangeExec(b *testing.B)   { benchmarkProto(b, execLine, 2048, true) }
func BenchmarkProtoStrangeKprobe(b *testing.B) { benchmarkProto(b, kprobeLine, 2048, true) }

func TestDecodeAllocatesNothing(t *testing.T) {
	exit := strings.Replace(strings.Replace(execLine, "process_exec", "process_exit", 1), `,"node_name"`, `,"x":{"y":"\n"},"node_name"`, 1)
	for _, line := range []string{
		execLine, kprobeLine, exit,
		`{"process_connect":{}}`, `{"process_throttle":{"type":"THROTTLE_START","cgroup":"a.scope"}` + tail,
		`{"rate_limit_info":{"number_of_dropped_process_events":"123"}` + tail,
	} {
		allocations := func(in []byte, decode func(*Decoder, []byte, *event.Batch) (ingest.Tally, error)) float64 {
			var d Decoder
			var b event.Batch
			return testing.AllocsPerRun(200, func() {
				b.Reset()
				decode(&d, in, &b)
			})
		}
		if n := allocations([]byte(line), (*Decoder).Decode); n != 0 {
			t.Errorf("%v allocations, want 0: %s", n, line)
		}
		if n := allocations(protoMessage(t, []byte(line)), (*Decoder).DecodeProto); n != 0 {
			t.Errorf("%v allocations of protobuf, want 0: %s", n, line)
		}
	}
}
