package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	sennit, programs          string // programs is where build put them
	agent, dir                string
	requests, inFlight        int
	vertex, stream, gzip, tls bool
}

// node is what this machine is called.
const node = "here"

// build builds what is run into a folder: programs of their own, so that the
// client's end of the model's connections is looked into and the server's is not,
// as with a model far away.
func build(ctx context.Context, programs string) error {
	out, err := command(ctx, "go", "build", "-o", programs+string(filepath.Separator), "./adk", "./model").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the agent and the model: %w: %s", err, out)
	}
	return nil
}

func run(ctx context.Context, o options) (report string, err error) {
	dir := o.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "watch-"); err != nil {
			return "", err
		}
		defer os.RemoveAll(dir)
	} else if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := certificate(in("ca.pem"), in("cert.pem"), in("key.pem")); err != nil {
		return "", err
	}
	a, err := agentOf(o)
	if err != nil {
		return "", err
	}
	var started []*program
	defer func() {
		for _, p := range started {
			err = errors.Join(err, p.stop())
		}
	}()
	start := func(cmd *exec.Cmd, logTo string) (string, error) {
		p, line, err := begin(cmd, in(logTo))
		if p != nil {
			started = append(started, p)
		}
		return line, err
	}
	args := []string{"--cert", in("cert.pem"), "--key", in("key.pem"), "--node", node, "--truth", in("truth-model.jsonl"), "--gzip=" + strconv.FormatBool(o.gzip)}
	for _, m := range a.possible {
		args = append(args, "--possible", m)
	}
	line, err := start(command(ctx, filepath.Join(o.programs, "model"), args...), "model.log")
	if err != nil {
		return "", err
	}
	api, _, _ := strings.Cut(line, " ")

	otlp, err := free()
	if err != nil {
		return "", err
	}
	args = []string{"up", "--sockets", "--node", node, "--data", in("sennit"), "--record", in("events"), "--otlp-grpc", "", "--otlp-http", otlp, "--http", ""}
	if o.tls {
		for _, file := range a.tls {
			args = append(args, "--tls", file)
		}
	}
	watcher := command(ctx, o.sennit, args...)
	p, _, err := begin(watcher, in("sennit.log"))
	if err != nil {
		return "", err
	}
	started = append(started, p)
	if err := says(ctx, in("sennit.log"), "sennit takes OTLP"); err != nil {
		return "", fmt.Errorf("start sennit: %w", err)
	}

	cmd := command(ctx, a.program, append(a.args, "--model", "https://"+api, "--node", node, "--truth", in("truth-agent.jsonl"))...)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+in("ca.pem"), "NODE_EXTRA_CA_CERTS="+in("ca.pem"), "OTEL_SERVICE_NAME="+o.agent,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://"+otlp, "OTEL_EXPORTER_OTLP_INSECURE=true", "OTEL_BSP_MAX_QUEUE_SIZE=100000")
	if line, err = start(cmd, "agent.log"); err != nil {
		return "", err
	}
	if err := load(ctx, line, o, in("truth-load.jsonl")); err != nil {
		return "", err
	}
	// The agent first: its last spans are to arrive. Then who watched it.
	for len(started) > 0 {
		p := started[len(started)-1]
		started = started[:len(started)-1]
		if err := p.stop(); err != nil {
			return "", err
		}
	}
	return score(ctx, o.sennit, dir)
}

// score replays what was recorded and compares it with the truth.
func score(ctx context.Context, sennit, dir string) (string, error) {
	in := func(name string) string { return filepath.Join(dir, name) }
	all, err := os.Create(in("truth.jsonl"))
	if err != nil {
		return "", err
	}
	defer all.Close()
	for _, name := range []string{"load", "model", "agent"} {
		b, err := os.ReadFile(in("truth-" + name + ".jsonl"))
		if err != nil {
			return "", err
		}
		if _, err := all.Write(b); err != nil {
			return "", err
		}
	}
	timelines, err := os.Create(in("timelines.jsonl"))
	if err != nil {
		return "", err
	}
	defer timelines.Close()
	var said bytes.Buffer
	replay := command(ctx, sennit, "replay", "-o", "json", in("events"))
	replay.Stdout, replay.Stderr = timelines, &said
	if err := replay.Run(); err != nil {
		return "", fmt.Errorf("replay: %w: %s", err, &said)
	}
	out, err := command(ctx, sennit, "score", "-o", "json", in("truth.jsonl"), in("timelines.jsonl")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("score: %w: %s", err, out)
	}
	return string(out), nil
}

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// program is one that runs.
type program struct {
	cmd *exec.Cmd
	log string
}

// begin starts a program whose messages go to a file, and returns its first line,
// which says where it listens. Sennit says so in its messages.
func begin(cmd *exec.Cmd, logTo string) (*program, string, error) {
	messages, err := os.Create(logTo)
	if err != nil {
		return nil, "", err
	}
	defer messages.Close()
	cmd.Stderr = messages
	if cmd.Args[1] == "up" {
		return &program{cmd, logTo}, "", cmd.Start()
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	cmd.Stdout = w
	err = cmd.Start()
	w.Close()
	if err != nil {
		return nil, "", fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &program{cmd, logTo}
	out := bufio.NewReader(r)
	line, err := out.ReadString('\n')
	if err != nil {
		b, _ := os.ReadFile(logTo)
		return p, "", fmt.Errorf("start %s: it ended: %s", cmd.Path, b)
	}
	go func() { _, _ = io.Copy(io.Discard, out); r.Close() }()
	return p, strings.TrimSpace(line), nil
}

// stop ends a program as an operator would.
func (p *program) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		b, _ := os.ReadFile(p.log)
		return fmt.Errorf("stop %s: %w: %s", p.cmd.Path, err, b)
	}
	return nil
}

func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// says waits until a program says something.
func says(ctx context.Context, file, what string) error {
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		b, err := os.ReadFile(file)
		if err == nil && bytes.Contains(b, []byte(what)) {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("it does not say %q: %s", what, b)
		}
	}
}
