package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/sennit-io/sennit/schemas/event"
)

// plainText is what a socket of the same machine, or a mesh, is spoken to in.
var plainText = insecure.NewCredentials()

// position is how far a stream was read.
type position struct {
	Newest event.Time `json:"newest"`
	Nodes  []string   `json:"nodes"` // heard of, at most maxNodes

	saved time.Time
	dirty bool
}

const (
	maxNodes = 4096
	saving   = time.Second
	// ahead bounds what a clock that is wrong can do to the position.
	ahead = time.Minute
)

func (p *position) load(path string) error {
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, p)
	}
	if err != nil {
		return fmt.Errorf("read how far a stream was read (delete %s to begin with what comes): %w", path, err)
	}
	return nil
}

// begun says that a stream was followed since a time, for one that had nothing.
func (p *position) begun(at event.Time) {
	if p.Newest == 0 {
		p.Newest, p.dirty = at, true
	}
}

// note takes events over that are safe.
func (p *position) note(list []event.Event) {
	now := event.At(time.Now().Add(ahead))
	for i := range list {
		e := &list[i]
		if e.Time > p.Newest && e.Time < now {
			p.Newest, p.dirty = e.Time, true
		}
		if len(p.Nodes) < maxNodes && !slices.Contains(p.Nodes, e.Node) {
			p.Nodes, p.dirty = append(p.Nodes, e.Node), true
		}
	}
}

func (p *position) saveNowAndThen(path string) error {
	if time.Since(p.saved) < saving {
		return nil
	}
	return p.save(path)
}

func (p *position) save(path string) error {
	if path == "" || !p.dirty {
		return nil
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("save how far a stream was read: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("save how far a stream was read: %w", err)
	}
	p.saved, p.dirty = time.Now(), false
	return nil
}
