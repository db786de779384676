// Package tail follows files that others append lines to: the exporters of Hubble
// and Tetragon, policy_action.log. It notices when a file is rotated (renamed and
// made anew, or copied and cut) and remembers how far it has read.
//
// Guarantee: a whole line is handed on at least once, also when the program dies;
// none is handed on before it has its line end. What is lost: lines of a file that
// was rotated away and removed, or cut, before they were read.
package tail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
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
}

// Take gets the whole lines of a file that came since the last call, without
// their ends. It returns nil when they are safe; after an error the same lines
// come again. The lines are valid until it returns.
type Take func(ctx context.Context, path string, lines [][]byte) error

const (
	chunk   = 1 << 20
	maxLine = 16 << 20 // longer ones are passed over, and counted
	saving  = time.Second
)

// Follower follows files.
type Follower struct {
	cfg   Config
	files map[fileID]*follower // open ones
	known map[fileID]position  // read before, not open
	saved time.Time
	dirty bool
	found bool // a file that is not among the positions
	// Long counts lines that were longer than 16 MiB.
	Long uint64
}

// fileID is a file whatever it is called.
type fileID struct {
	Device, Inode uint64
}

// position is how far a file was read.
type position struct {
	fileID
	Path   string `json:"path"`
	Offset int64  `json:"offset"`
}

// follower is an open file.
type follower struct {
	position
	file *os.File
	rest []byte // of a line without its end
	skip bool   // in a line that is too long
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
	f := &Follower{cfg: cfg, files: map[fileID]*follower{}, known: map[fileID]position{}}
	raw, err := os.ReadFile(cfg.Positions)
	if errors.Is(err, os.ErrNotExist) {
		return f, nil
	}
	var list []position
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read the positions of followed files: %w (without %s they are read from their beginnings)", err, cfg.Positions)
	}
	for _, p := range list {
		f.known[p.fileID] = p
	}
	return f, nil
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
		if err := f.read(ctx, file, take); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue // take has no room: the same lines come again
		}
		if gone := f.gone(file); gone {
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
		return boolCompare(current(y), current(x))
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

// current reports whether the file still has its path.
func current(f *follower) bool {
	info, err := os.Stat(f.Path)
	return err == nil && idOf(info) == f.fileID
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
	if f.files[id] != nil {
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
	n := &follower{position: position{fileID: id, Path: path}, file: file}
	if p, ok := f.known[id]; ok && p.Offset <= info.Size() {
		n.Offset = p.Offset
	}
	delete(f.known, id)
	f.files[id], f.found = n, true
	return nil
}

func idOf(info os.FileInfo) fileID {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{s.Dev, s.Ino}
}

// read hands on the whole lines of a file up to its end.
func (f *Follower) read(ctx context.Context, file *follower, take Take) error {
	info, err := file.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < file.Offset+int64(len(file.rest)) { // cut
		file.Offset, file.rest, file.skip = 0, nil, false
	}
	buf := make([]byte, chunk)
	for {
		n, err := file.file.ReadAt(buf, file.Offset+int64(len(file.rest)))
		if n == 0 {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		data := append(file.rest, buf[:n]...)
		end := bytes.LastIndexByte(data, '\n') + 1
		if end == 0 {
			if len(data) > maxLine { // its end is passed over when it comes
				f.Long++
				file.Offset, file.rest, file.skip = file.Offset+int64(len(data)), nil, true
				continue
			}
			file.rest = data
			continue
		}
		lines := bytes.Split(data[:end-1], []byte{'\n'})
		if file.skip {
			lines = lines[1:]
		}
		lines = slices.DeleteFunc(lines, func(l []byte) bool { return len(bytes.TrimSpace(l)) == 0 })
		if len(lines) > 0 {
			if err := take(ctx, file.Path, lines); err != nil {
				file.rest = nil
				return err
			}
		}
		file.Offset += int64(end)
		file.rest, file.skip, f.dirty = slices.Clone(data[end:]), false, true
	}
}

// gone reports whether a file has been read to its end, and is no longer what its
// path names: nobody writes to it any more.
func (f *Follower) gone(file *follower) bool {
	info, err := os.Stat(file.Path)
	if err == nil && idOf(info) == file.fileID || err != nil && !errors.Is(err, os.ErrNotExist) {
		return false
	}
	if err != nil { // between rename and the new file, or removed: wait
		own, err := file.file.Stat()
		return err != nil || own.Sys().(*syscall.Stat_t).Nlink == 0
	}
	return true
}

// save writes the positions down.
func (f *Follower) save() error {
	list := []position{}
	for _, file := range f.files {
		list = append(list, file.position)
	}
	slices.SortFunc(list, func(a, b position) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	tmp := f.cfg.Positions + ".new"
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the positions of followed files: %w", err)
	}
	if err := os.Rename(tmp, f.cfg.Positions); err != nil {
		return fmt.Errorf("keep the positions of followed files: %w", err)
	}
	f.dirty, f.found, f.saved = false, false, time.Now()
	return nil
}

func (f *Follower) close() {
	for _, file := range f.files {
		file.file.Close()
	}
}
