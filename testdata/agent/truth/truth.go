// Package truth writes what really belonged together, in the form that
// sennit score reads: one fact a line, by those who took part.
package truth

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sync"
)

// Fact is one thing that happened (see score.Fact).
type Fact struct {
	Request  string   `json:"request"`
	Kind     string   `json:"kind"`
	Entry    bool     `json:"entry"`
	Node     string   `json:"node"`
	Key      Key      `json:"key"`
	StartNS  int64    `json:"start_ns"`
	EndNS    int64    `json:"end_ns"`
	Possible []string `json:"possible"`
}

// Key is by what a step is known to report a fact.
type Key struct {
	SocketCookie string `json:"socket_cookie,omitempty"`
	StreamID     uint32 `json:"stream_id,omitempty"`
	PID          int    `json:"pid,omitempty"`
}

// File takes facts. A nil one drops them.
type File struct {
	node string
	lock sync.Mutex
	f    *os.File
}

// Open opens a file of facts of a node; they are appended. An empty name gives a
// nil File.
func Open(name, node string) (*File, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the truth: %w", err)
	}
	return &File{node: node, f: f}, nil
}

// Write writes a fact. It panics where that fails: what goes on would be measured
// against half a truth.
func (t *File) Write(f Fact) {
	if t == nil {
		return
	}
	if f.Node = t.node; f.Possible == nil {
		f.Possible = []string{}
	}
	b, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	t.lock.Lock()
	defer t.lock.Unlock()
	if _, err := t.f.Write(append(b, '\n')); err != nil {
		panic(err)
	}
}

var name = regexp.MustCompile(`\[r-[0-9]+\]`)

// Request finds the name of a request in its prompt, which begins with it:
// "[r-17] What is …". Agents hand it on without looking at it.
func Request[T string | []byte](prompt T) string {
	s := name.FindString(string(prompt))
	if s == "" {
		return ""
	}
	return s[1 : len(s)-1]
}

// Name is the n-th request's.
func Name(n int) string { return fmt.Sprintf("r-%06d", n) }
