package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// lookEvery is how often a file is looked at.
const lookEvery = 2 * time.Second

type file struct {
	path string
	seen os.FileInfo // when it was read last
}

// File follows the pods of a file that holds a list, as kubectl get pods -A -o json
// prints, and reads it again when it is another. A file that cannot be read now is
// an error; later what was known stays known.
func File(cfg Config, path string) (*Source, error) {
	f := &file{path: path}
	s := newSource(cfg, f)
	if err := f.read(s); err != nil {
		return nil, err
	}
	return s, nil
}

func (f *file) follow(ctx context.Context, s *Source) {
	poll(ctx, lookEvery, nil, func() { s.connected(f.read(s)) })
}

// read takes in the file if it changed.
func (f *file) read(s *Source) error {
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("read the file of pods: %w", err)
	}
	if f.seen != nil && os.SameFile(f.seen, info) && f.seen.Size() == info.Size() && f.seen.ModTime().Equal(info.ModTime()) {
		return nil
	}
	text, err := os.ReadFile(f.path)
	if err == nil {
		err = podList(text)
	}
	if err != nil {
		return fmt.Errorf("read the file of pods %s: %w", f.path, err)
	}
	s.replace(text)
	f.seen = info
	return nil
}

// podList refuses what is no list of objects: a list of none ends all pods that are
// known.
func podList(text []byte) error {
	var list struct {
		Kind  string             `json:"kind"`
		Items *[]json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	if list.Items == nil && list.Kind != podKind+"List" {
		return errors.New("it is no list of pods, as kubectl get pods -A -o json prints")
	}
	return nil
}
