package ndjson

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Rotation says when a file is renamed, with the time in its name (NAME-TIME.EXT), and
// another begun. The zero value is never.
type Rotation struct {
	Bytes int64         // when it is so large
	Age   time.Duration // when its first line is so old, with the next lines
	Keep  int           // so many renamed files are kept, the newest; 0 for all
}

// due reports whether the file is to be renamed now.
func (w *Writer) due() bool {
	if w.file == nil || w.at.Bytes == 0 {
		return false
	}
	old := w.rotate.Age > 0 && w.at.Began > 0 && time.Since(time.Unix(w.at.Began, 0)) >= w.rotate.Age
	return old || w.rotate.Bytes > 0 && w.at.Bytes >= w.rotate.Bytes
}

// rotateNow renames the file, all of which is safe, and begins another. The position
// says first what is about to happen, so that it can be finished after a kill.
func (w *Writer) rotateNow() error {
	ext := filepath.Ext(w.path)
	name := strings.TrimSuffix(w.path, ext) + "-" + time.Now().UTC().Format("20060102T150405.000000000") + ext
	w.at.Rotated = filepath.Base(name)
	if err := w.note(); err != nil {
		return err
	}
	if err := errors.Join(w.renamed(), w.file.Close()); err != nil {
		return err
	}
	if err := w.openFile(); err != nil {
		return err
	}
	return w.drop()
}

// renamed gives the file the name that its position says, unless it has it, and notes
// that another begins.
func (w *Writer) renamed() error {
	to := filepath.Join(filepath.Dir(w.path), w.at.Rotated)
	if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
		if err := os.Rename(w.path, to); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if d, err := os.Open(filepath.Dir(w.path)); err == nil { // so that the name is safe
		_ = errors.Join(d.Sync(), d.Close())
	}
	w.at.Bytes, w.at.Began, w.at.Rotated = 0, 0, ""
	return w.note()
}

// drop deletes the oldest files beyond those that are kept.
func (w *Writer) drop() error {
	if w.rotate.Keep <= 0 {
		return nil
	}
	ext := filepath.Ext(w.path)
	base := strings.TrimSuffix(filepath.Base(w.path), ext) + "-"
	entries, err := os.ReadDir(filepath.Dir(w.path))
	if err != nil {
		return err
	}
	var list []string
	for _, e := range entries {
		if at, ok := strings.CutPrefix(e.Name(), base); ok {
			if _, err := time.Parse("20060102T150405.000000000", strings.TrimSuffix(at, ext)); err == nil && strings.HasSuffix(at, ext) {
				list = append(list, e.Name())
			}
		}
	}
	slices.Sort(list)
	for _, name := range list[:max(len(list)-w.rotate.Keep, 0)] {
		if err := os.Remove(filepath.Join(filepath.Dir(w.path), name)); err != nil {
			return fmt.Errorf("delete an old file: %w", err)
		}
	}
	return nil
}
