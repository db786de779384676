// Package tail follows files that others append lines to: the exporters of Hubble
// and Tetragon, policy_action.log. It notices when a file is rotated (renamed and
// made anew, or copied and cut) and remembers how far it has read.
//
// Guarantee: a whole line is handed on at least once, also when the program dies;
// none is handed on before it has its line end. What is lost: lines of a file that
// was rotated away and removed, or cut, before they were read; and those written to
// a rotated file that had not grown for 30 s.
package tail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// Config says what to follow.
type Config struct {
	// Patterns name files, as filepath.Match does; files may come later.
	Patterns []string
	// Positions is the file in which is kept how far each was read.
	Positions string
	// Every is how often to look for more; 0 is 250 ms.
	Every time.Duration
	// Failed is told when a file cannot be read, which is tried again with every
	// look; nil for nobody.
	Failed func(path string, err error)
}

// Take gets the whole lines of a file that came since the last call, without
// their ends. It returns nil when they are safe; after an error the same lines
// come again. The lines are valid until it returns.
type Take func(ctx context.Context, path string, lines [][]byte) error

// Counts are since the start.
type Counts struct {
	Long       uint64 // lines that were longer than 16 MiB, which are passed over
	ReadErrors uint64
}

// saving is how often positions are kept.
const saving = time.Second

// Follower follows files.
type Follower struct {
	cfg   Config
	files map[fileID]*follower // open ones
	known map[fileID]position  // read before, not open
	saved time.Time
	dirty bool
	found bool // a file that is not among the positions

	long, readErrors atomic.Uint64
}

// Counts may be called at any time.
func (f *Follower) Counts() Counts {
	return Counts{Long: f.long.Load(), ReadErrors: f.readErrors.Load()}
}

// New reads the positions. A folder that is not there, or a pattern that is none,
// is an error.
func New(cfg Config) (*Follower, error) {
	if cfg.Every == 0 {
		cfg.Every = 250 * time.Millisecond
	}
	for _, p := range cfg.Patterns {
		if _, err := filepath.Match(p, ""); err != nil {
			return nil, fmt.Errorf("follow %s: %w", p, err)
		}
		if _, err := os.Stat(filepath.Dir(p)); err != nil {
			return nil, fmt.Errorf("follow %s: %w", p, err)
		}
	}
	known, err := load(cfg.Positions)
	if err != nil {
		return nil, err
	}
	return &Follower{cfg: cfg, files: map[fileID]*follower{}, known: known}, nil
}

// Run follows until ctx ends, and returns nil then. An error of take other than
// ctx's is tried again.
func (f *Follower) Run(ctx context.Context, take Take) error {
	defer f.close()
	tick := time.NewTicker(f.cfg.Every)
	defer tick.Stop()
	for {
		if err := f.Look(ctx, take); err != nil && ctx.Err() == nil {
			return err
		}
		if f.dirty && time.Since(f.saved) > saving {
			if err := f.save(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return f.save()
		case <-tick.C:
		}
	}
}

// Look hands on what has come since the last look.
func (f *Follower) Look(ctx context.Context, take Take) error {
	if err := f.find(); err != nil {
		return err
	}
	if f.found { // before it can be rotated away while nobody looks
		if err := f.save(); err != nil {
			return err
		}
	}
	for _, id := range f.inOrder() {
		file := f.files[id]
		grown, err := file.read(ctx, take, &f.long)
		f.dirty = f.dirty || grown
		var unread errRead
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &unread):
			f.readErrors.Add(1)
			if f.cfg.Failed != nil {
				f.cfg.Failed(file.Path, unread.error)
			}
		case err == nil && file.gone(grown): // else take has no room: the same lines come again
			file.file.Close()
			delete(f.files, id)
			f.dirty = true
		}
	}
	return nil
}

// inOrder lists the open files by path, and of one path those that were rotated
// away first.
func (f *Follower) inOrder() []fileID {
	ids := make([]fileID, 0, len(f.files))
	for id := range f.files {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b fileID) int {
		x, y := f.files[a], f.files[b]
		if x.Path != y.Path {
			return bytes.Compare([]byte(x.Path), []byte(y.Path))
		}
		return boolCompare(y.current(), x.current())
	})
	return ids
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// find opens the files that the patterns name, and those that were rotated away
// before all of them was read.
func (f *Follower) find() error {
	for _, pattern := range f.cfg.Patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("follow %s: %w", pattern, err)
		}
		for _, path := range paths {
			if err := f.open(path, path); err != nil {
				return err
			}
		}
	}
	for id, p := range f.known { // rotated away while nobody looked?
		entries, err := os.ReadDir(filepath.Dir(p.Path))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && idOf(info) == id {
				if err := f.open(filepath.Join(filepath.Dir(p.Path), e.Name()), p.Path); err != nil {
					return err
				}
			}
		}
		delete(f.known, id)
	}
	return nil
}

// open opens a file that is at a path and was followed under a name.
func (f *Follower) open(at, path string) error {
	info, err := os.Stat(at)
	if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	} else if err != nil {
		return fmt.Errorf("follow %s: %w", at, err)
	}
	id := idOf(info)
	if n := f.files[id]; n != nil {
		if !n.current() { // renamed to what a pattern names, too
			n.Path, f.dirty = path, true
		}
		return nil
	}
	file, err := os.Open(at)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("follow %s: %w", at, err)
	}
	if info, err = file.Stat(); err != nil || idOf(info) != id {
		return file.Close() // rotated in between: the next look finds it
	}
	n := &follower{position: f.known[id], file: file, size: -1}
	n.fileID, n.Path = id, path
	delete(f.known, id)
	f.files[id], f.found = n, true
	return nil
}

// save writes the positions down.
func (f *Follower) save() error {
	list := []position{}
	for _, file := range f.files {
		list = append(list, file.position)
	}
	if err := store(f.cfg.Positions, list); err != nil {
		return err
	}
	f.dirty, f.found, f.saved = false, false, time.Now()
	return nil
}

func (f *Follower) close() {
	for _, file := range f.files {
		file.file.Close()
	}
}
