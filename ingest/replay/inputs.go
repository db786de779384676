package replay

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// input is one file to read.
type input struct {
	path string
	size int64 // -1 when unknown
}

// stdinPath stands for Options.Stdin.
const stdinPath = "-"

// endings are what files in folders are read by, alone or with one of packed
// behind it.
var (
	endings = []string{".json", ".jsonl", ".ndjson", ".log"}
	packed  = []string{".gz", ".zst"}
)

// find lists the inputs in the order they are read.
func find(paths []string) ([]input, []Skipped, error) {
	var in []input
	var skipped []Skipped
	for _, path := range paths {
		if path == stdinPath {
			in = append(in, input{path, -1})
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, nil, &PathError{path, reason(err)}
		}
		if !info.IsDir() {
			f, err := os.Open(path)
			if err != nil {
				return nil, nil, &PathError{path, reason(err)}
			}
			f.Close()
			in = append(in, input{path, size(info)})
			continue
		}
		found, not, err := walk(path)
		if err != nil {
			return nil, nil, &PathError{path, reason(err)}
		}
		in = append(in, found...)
		skipped = append(skipped, not...)
	}
	return in, skipped, nil
}

// size is -1 for pipes and devices, which do not know theirs.
func size(info fs.FileInfo) int64 {
	if info.Mode().IsRegular() {
		return info.Size()
	}
	return -1
}

// reason takes the path, which PathError has, out of an error of os.
func reason(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// walk finds the files of a folder, sorted by path. Symbolic links to files are
// followed (a node's folder of container logs is nothing else), links to
// folders are not.
func walk(dir string) (in []input, skipped []Skipped, err error) {
	root := dir
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		root = real
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		shown := filepath.Join(dir, strings.TrimPrefix(path, root))
		if err != nil {
			if path == root {
				return err
			}
			skipped = append(skipped, Skipped{shown, reason(err).Error()})
			return nil
		}
		if d.IsDir() {
			return nil
		}
		if why := unwanted(d.Name()); why != "" {
			skipped = append(skipped, Skipped{shown, why})
			return nil
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			skipped = append(skipped, Skipped{shown, reason(err).Error()})
		case !info.Mode().IsRegular():
			skipped = append(skipped, Skipped{shown, "not a regular file"})
		default:
			in = append(in, input{shown, info.Size()})
		}
		return nil
	})
	return in, skipped, err
}

// unwanted says why a file of a folder is not read, or nothing.
func unwanted(name string) string {
	base := name
	for _, p := range packed {
		if cut, ok := strings.CutSuffix(base, p); ok {
			base = cut
			break
		}
	}
	for _, e := range endings {
		stem, ok := strings.CutSuffix(base, e)
		if !ok {
			continue
		}
		if e == ".jsonl" && (strings.HasPrefix(stem, "truth") || strings.Contains(stem, ".truth-")) {
			return "ground truth, not events"
		}
		return ""
	}
	return "not .json, .jsonl, .ndjson or .log"
}
