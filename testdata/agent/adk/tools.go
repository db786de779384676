package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"

	"github.com/sennit-io/sennit/testdata/agent/truth"
)

// requestName is under what a context has the name of its request, for the truth
// alone.
type requestName struct{}

func requestOf(ctx context.Context) string {
	name, _ := ctx.Value(requestName{}).(string)
	return name
}

// tools are those of the executor.
type tools struct {
	truth  *truth.File
	traced bool // fetches send a traceparent
}

type command struct {
	Command string `json:"command" jsonschema:"a line for /bin/sh"`
}

type page struct {
	URL string `json:"url" jsonschema:"of the page"`
}

type result struct {
	Output string `json:"output"`
}

func (t *tools) all() ([]tool.Tool, error) {
	run, err := functiontool.New(functiontool.Config{Name: "run_command", Description: "Runs a command and returns what it says."}, t.run)
	if err != nil {
		return nil, err
	}
	fetch, err := functiontool.New(functiontool.Config{Name: "fetch_url", Description: "Reads a page."}, t.fetch)
	if err != nil {
		return nil, err
	}
	return []tool.Tool{run, fetch}, nil
}

func (t *tools) run(ctx agent.Context, in command) (result, error) {
	var out strings.Builder
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", in.Command)
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return result{}, fmt.Errorf("run the command: %w", err)
	}
	err := cmd.Wait()
	t.truth.Write(truth.Fact{
		Request: requestOf(ctx), Kind: "process", Key: truth.Key{PID: cmd.Process.Pid},
		StartNS: start.UnixNano(), EndNS: time.Now().UnixNano(), Possible: []string{"tool_command", "tool_window"},
	})
	if err != nil {
		out.WriteString(err.Error())
	}
	return result{Output: out.String()}, nil
}

var traced = &http.Client{Transport: otelhttp.NewTransport(http.DefaultTransport)}

func (t *tools) fetch(ctx agent.Context, in page) (result, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, in.URL, nil)
	if err != nil {
		return result{}, fmt.Errorf("read the page: %w", err)
	}
	client := http.DefaultClient
	if t.traced {
		client = traced
	}
	answer, err := client.Do(q)
	if err != nil {
		return result{}, fmt.Errorf("read the page: %w", err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err != nil {
		return result{}, fmt.Errorf("read the page: %w", err)
	}
	return result{Output: string(b)}, nil
}
