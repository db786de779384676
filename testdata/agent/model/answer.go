package main

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/sennit-io/sennit/testdata/agent/truth"
)

// The parts of Gemini's messages that are used (ai.google.dev/api/generate-content).
type (
	ask struct {
		Contents          []content `json:"contents"`
		SystemInstruction *content  `json:"systemInstruction,omitempty"`
		Tools             []struct {
			FunctionDeclarations []struct {
				Name string `json:"name"`
			} `json:"functionDeclarations"`
		} `json:"tools"`
	}
	content struct {
		Parts []part `json:"parts"`
		Role  string `json:"role,omitempty"`
	}
	part struct {
		Text             string    `json:"text,omitempty"`
		FunctionCall     *call     `json:"functionCall,omitempty"`
		FunctionResponse *response `json:"functionResponse,omitempty"`
	}
	call struct {
		Name string            `json:"name"`
		Args map[string]string `json:"args"`
	}
	response struct {
		Name string `json:"name"`
	}
	answer struct {
		Candidates   []candidate `json:"candidates"`
		Usage        usage       `json:"usageMetadata"`
		ModelVersion string      `json:"modelVersion"`
		ResponseID   string      `json:"responseId"`
	}
	candidate struct {
		Content      content `json:"content"`
		FinishReason string  `json:"finishReason,omitempty"`
		Index        int     `json:"index"`
	}
	usage struct {
		Prompt     int      `json:"promptTokenCount"`
		Candidates int      `json:"candidatesTokenCount"`
		Total      int      `json:"totalTokenCount"`
		Details    []detail `json:"promptTokensDetails"`
		Thoughts   int      `json:"thoughtsTokenCount,omitempty"`
	}
	detail struct {
		Modality string `json:"modality"`
		Count    int    `json:"tokenCount"`
	}
)

// ServeHTTP answers a call of the model.
func (s *standIn) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var in ask
	if err := json.Unmarshal(body, &in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	request := truth.Request(body)
	turn := len(in.Contents)
	h := fnv.New64a()
	fmt.Fprint(h, request, turn)
	rng := rand.New(rand.NewPCG(h.Sum64(), 0))
	parts := s.think(request, &in, rng)
	text := 0
	for _, p := range parts {
		text += len(p.Text)
		if p.FunctionCall != nil {
			text += 20 + len(p.FunctionCall.Args["command"]) + len(p.FunctionCall.Args["url"])
		}
	}
	_, model, _ := strings.Cut(q.URL.Path, "/models/")
	model, verb, _ := strings.Cut(model, ":")
	a := answer{ModelVersion: model, ResponseID: word(rng, 22)}
	// A token is about four bytes.
	a.Usage = usage{Prompt: len(body) / 4, Candidates: 1 + text/4, Thoughts: 20 + rng.IntN(200)}
	a.Usage.Details = []detail{{"TEXT", a.Usage.Prompt}}
	a.Usage.Total = a.Usage.Prompt + a.Usage.Candidates + a.Usage.Thoughts
	wait := s.pace + time.Duration(rng.ExpFloat64()*2*float64(s.pace))
	out := w
	if s.gzip && strings.Contains(q.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		out = zipped{w, z}
	}
	defer s.done(q, request)
	if verb != "streamGenerateContent" {
		time.Sleep(wait)
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		a.Candidates = []candidate{{Content: content{Parts: parts, Role: "model"}, FinishReason: "STOP"}}
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		_ = e.Encode(a)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	pieces := inPieces(parts)
	for i, p := range pieces {
		time.Sleep(wait / time.Duration(len(pieces)))
		a.Candidates = []candidate{{Content: content{Parts: p, Role: "model"}}}
		if i == len(pieces)-1 {
			a.Candidates[0].FinishReason = "STOP"
		}
		b, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(out, "data: %s\r\n\r\n", b)
		if z, ok := out.(zipped); ok {
			_ = z.z.Flush()
		}
		w.(http.Flusher).Flush()
	}
}

type zipped struct {
	http.ResponseWriter
	z *gzip.Writer
}

func (z zipped) Write(b []byte) (int, error) { return z.z.Write(b) }

// inPieces cuts a text into what a stream sends at a time.
func inPieces(parts []part) (pieces [][]part) {
	if parts[0].Text == "" {
		return [][]part{parts}
	}
	words := strings.SplitAfter(parts[0].Text, " ")
	for len(words) > 0 {
		n := min(8, len(words))
		pieces = append(pieces, []part{{Text: strings.Join(words[:n], "")}})
		words = words[n:]
	}
	return pieces
}

// think decides what to do next: hand over, use tools, or answer.
func (s *standIn) think(request string, in *ask, rng *rand.Rand) []part {
	tools := map[string]bool{}
	for _, t := range in.Tools {
		for _, f := range t.FunctionDeclarations {
			tools[f.Name] = true
		}
	}
	used, subject := 0, "nothing"
	for _, c := range in.Contents {
		for _, p := range c.Parts {
			if p.FunctionResponse != nil && p.FunctionResponse.Name != "transfer_to_agent" {
				used++
			}
			if _, after, ok := strings.Cut(p.Text, "about "); ok && subject == "nothing" {
				subject, _, _ = strings.Cut(after, ".")
			}
		}
	}
	switch {
	case tools["run_command"] && used == 0 && rng.IntN(4) == 0: // both at once
		return []part{s.command(subject, rng), s.fetch(request, subject)}
	case tools["run_command"] && (used == 0 || used == 1 && rng.IntN(2) == 0):
		if rng.IntN(3) == 0 {
			return []part{s.fetch(request, subject)}
		}
		return []part{s.command(subject, rng)}
	case tools["transfer_to_agent"] && !tools["run_command"] && used == 0:
		return []part{{FunctionCall: &call{Name: "transfer_to_agent", Args: map[string]string{"agent_name": "executor"}}}}
	}
	words := make([]string, 10+rng.IntN(90))
	for i := range words {
		words[i] = word(rng, 2+rng.IntN(9))
	}
	return []part{{Text: strings.Join(words, " ") + "."}}
}

func (s *standIn) command(subject string, rng *rand.Rand) part {
	lines := []string{"grep -c %s /etc/services; sleep 0.02", "id -un; echo %s | wc -c", "date -u; expr length %s", "echo %s | tr a-z A-Z"}
	return part{FunctionCall: &call{Name: "run_command", Args: map[string]string{"command": fmt.Sprintf(lines[rng.IntN(len(lines))], subject)}}}
}

// fetch names the request in the query, which nobody who watches keeps.
func (s *standIn) fetch(request, subject string) part {
	return part{FunctionCall: &call{Name: "fetch_url", Args: map[string]string{"url": s.pages + "/pages/" + subject + "?for=" + request}}}
}

// page is what a tool reads.
func (s *standIn) page(w http.ResponseWriter, q *http.Request) {
	time.Sleep(s.pace / 4)
	fmt.Fprintf(w, "<p>All about %s.</p>\n", q.URL.Path)
	s.done(q, q.URL.Query().Get("for"))
}

func word(rng *rand.Rand, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[rng.IntN(len(letters))]
	}
	return string(b)
}
