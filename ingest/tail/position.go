package tail

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
)

// fileID is a file whatever it is called. When the file is gone another may get it.
type fileID struct {
	Device, Inode uint64
}

func idOf(info os.FileInfo) fileID {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}
	}
	return fileID{s.Dev, s.Ino}
}

// position is how far a file was read.
type position struct {
	fileID
	Path   string `json:"path"`
	Offset int64  `json:"offset"`
	Skip   bool   `json:"in_long_line,omitempty"` // the offset is in a line that is too long
	Head   head   `json:"head,omitzero"`
}

// head tells a file by how it begins, from one that has its inode or was copied
// away and cut.
type head struct {
	Bytes int64  `json:"bytes"` // at most maxHead
	Hash  string `json:"hash"`
}

const maxHead = 1 << 10

// headOf is the head of a file of which so many bytes were read.
func headOf(file io.ReaderAt, read int64) (head, error) {
	buf := make([]byte, min(read, maxHead))
	n, err := file.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return head{}, err
	}
	sum := sha256.Sum256(buf[:n])
	return head{Bytes: int64(n), Hash: hex.EncodeToString(sum[:16])}, nil
}

// load reads the positions, none if there is no file of them.
func load(name string) (map[fileID]position, error) {
	known := map[fileID]position{}
	raw, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return known, nil
	}
	var list []position
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read the positions of followed files: %w (without %s they are read from their beginnings)", err, name)
	}
	for _, p := range list {
		known[p.fileID] = p
	}
	return known, nil
}

// store writes the positions down.
func store(name string, list []position) error {
	slices.SortFunc(list, func(a, b position) int { return strings.Compare(a.Path, b.Path) })
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	tmp := name + ".new"
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the positions of followed files: %w", err)
	}
	if err := os.Rename(tmp, name); err != nil {
		return fmt.Errorf("keep the positions of followed files: %w", err)
	}
	return nil
}
