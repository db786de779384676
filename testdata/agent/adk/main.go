// Adk is an agent as people write them with Google's ADK for Go: a coordinator
// that hands over to an executor with tools, behind an HTTP server, with spans by
// the OpenTelemetry SDK (in batches, over OTLP). Nothing in it knows of Sennit;
// what its tools ran is written to a file of truth.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"cloud.google.com/go/auth"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/model/gemini"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/sennit-io/sennit/testdata/agent/truth"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of the agent")
	base := flag.String("model", "", "URL of the model's API")
	vertex := flag.Bool("vertex", false, "use the back end with credentials, whose client sends a traceparent, not the one with an API key")
	stream := flag.Bool("stream", false, "let the model stream its answers")
	node := flag.String("node", "", "name of this node in the truth")
	facts := flag.String("truth", "", "file to append facts to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *base, *vertex, *stream, *node, *facts); err != nil {
		log.Fatal("adk: ", err)
	}
}

func run(ctx context.Context, listen, base string, vertex, stream bool, node, facts string) error {
	t, err := truth.Open(facts, node)
	if err != nil {
		return err
	}
	exporter, err := otlptracehttp.New(ctx) // OTEL_EXPORTER_OTLP_ENDPOINT says where to
	if err != nil {
		return err
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	llm, err := newModel(ctx, base, vertex)
	if err != nil {
		return err
	}
	root, err := newAgents(llm, &tools{truth: t, traced: vertex})
	if err != nil {
		return err
	}
	r, err := runner.New(runner.Config{AppName: "adk", Agent: root, SessionService: session.InMemoryService(), AutoCreateSession: true})
	if err != nil {
		return err
	}
	config := agent.RunConfig{StreamingMode: agent.StreamingModeNone}
	if stream {
		config.StreamingMode = agent.StreamingModeSSE
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /run", func(w http.ResponseWriter, q *http.Request) { serve(w, q, r, config) })
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr()) // who started it waits for this
	server := http.Server{Handler: otelhttp.NewHandler(mux, "run", otelhttp.WithSpanNameFormatter(func(_ string, q *http.Request) string { return q.Method + " " + q.URL.Path }))}
	go func() {
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(late)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	late, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return provider.Shutdown(late)
}

// newModel is the client of the model's API. With an API key it is the plain one
// of net/http; with credentials it is Google's, which sends a traceparent.
func newModel(ctx context.Context, base string, vertex bool) (model.LLM, error) {
	config := &genai.ClientConfig{Backend: genai.BackendGeminiAPI, APIKey: "a-key", HTTPOptions: genai.HTTPOptions{BaseURL: base}}
	if vertex {
		config.Backend, config.APIKey, config.Project, config.Location = genai.BackendVertexAI, "", "a-project", "europe-west1"
		config.Credentials = auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: token{}})
	}
	return gemini.NewModel(ctx, "gemini-2.5-flash", config)
}

type token struct{}

func (token) Token(context.Context) (*auth.Token, error) {
	return &auth.Token{Value: "a-token", Type: "Bearer", Expiry: time.Now().Add(time.Hour)}, nil
}

func newAgents(llm model.LLM, t *tools) (agent.Agent, error) {
	list, err := t.all()
	if err != nil {
		return nil, err
	}
	executor, err := llmagent.New(llmagent.Config{
		Name: "executor", Description: "Runs commands and reads pages.", Model: llm, Tools: list,
		Instruction: "Find out what the user wants to know with your tools: run commands, read pages. Then answer briefly.",
	})
	if err != nil {
		return nil, err
	}
	return llmagent.New(llmagent.Config{
		Name: "coordinator", Description: "Decides who works.", Model: llm, SubAgents: []agent.Agent{executor},
		Instruction: "Answer simple questions yourself. Hand what needs a look at the machine or the web over to the executor.",
	})
}

type question struct {
	Prompt string `json:"prompt"`
}

func serve(w http.ResponseWriter, q *http.Request, r *runner.Runner, config agent.RunConfig) {
	var in question
	if err := json.NewDecoder(q.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := truth.Request(in.Prompt)
	ctx := context.WithValue(q.Context(), requestName{}, name)
	var answer strings.Builder
	for e, err := range r.Run(ctx, "user", "s-"+name, genai.NewContentFromText(in.Prompt, genai.RoleUser), config) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if e.Content == nil || e.Partial {
			continue
		}
		for _, p := range e.Content.Parts {
			answer.WriteString(p.Text)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"answer": answer.String()})
}
