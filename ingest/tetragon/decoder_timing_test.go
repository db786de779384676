package tetragon

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

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

// Sixteen lines of each kind that differ in what differs between processes, so
// that neither the interning nor the branch predictor sees one line only.
func lines(line string) (out [][]byte, size int64) {
	for i := range 16 {
		l := strings.ReplaceAll(line, "52699", fmt.Sprint(52699+i))
		l = strings.ReplaceAll(l, "invoices/4711", fmt.Sprintf("invoices/%d", 4711+i))
		out = append(out, []byte(strings.ReplaceAll(l, "54321", fmt.Sprint(54321+i))))
		size += int64(len(l))
	}
	return out, size / 16
}

func benchmark(b *testing.B, line string) {
	in, size := lines(line)
	var d Decoder
	var batch event.Batch
	b.SetBytes(size)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if len(batch.Events) == 512 {
			batch.Reset()
		}
		if _, err := d.Decode(in[i%16], &batch); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkDecodeExec(b *testing.B)   { benchmark(b, execLine) }
func BenchmarkDecodeKprobe(b *testing.B) { benchmark(b, kprobeLine) }

func TestDecodeAllocatesNothing(t *testing.T) {
	exit := strings.Replace(strings.Replace(execLine, "process_exec", "process_exit", 1), `,"node_name"`, `,"x":{"y":"\n"},"node_name"`, 1)
	for _, line := range []string{execLine, kprobeLine, exit,
		`{"process_connect":{}}`, `{"process_throttle":{"type":"THROTTLE_START","cgroup":"a.scope"}` + tail,
		`{"rate_limit_info":{"number_of_dropped_process_events":"123"}` + tail} {
		var d Decoder
		var b event.Batch
		if n := testing.AllocsPerRun(200, func() {
			b.Reset()
			d.Decode([]byte(line)[:len(line)], &b)
		}); n > 1 { // the conversion of the line is one
			t.Errorf("%v allocations, want 0 beside the line itself: %s", n, line)
		}
		in := []byte(line)
		if n := testing.AllocsPerRun(200, func() {
			b.Reset()
			d.Decode(in, &b)
		}); n != 0 {
			t.Errorf("%v allocations, want 0: %s", n, line)
		}
	}
}
