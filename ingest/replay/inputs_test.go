package replay

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"a.json", "b.jsonl", "c.ndjson", "d.log", "e.json.gz", "f.log.zst", "sub/deep/g.jsonl",
		"truth.jsonl", "truth-2.jsonl", "n.truth-app.jsonl", "truth.jsonl.gz", "README.md", "h.pcap", "i.gz", "untruth.jsonl",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{}\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "a.json"), filepath.Join(dir, "j.log")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "k.log")); err != nil {
		t.Fatal(err)
	}
	in, skipped, err := find([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range in {
		rel, _ := filepath.Rel(dir, f.path)
		got = append(got, rel)
	}
	want := []string{"a.json", "b.jsonl", "c.ndjson", "d.log", "e.json.gz", "f.log.zst", "j.log", "sub/deep/g.jsonl", "untruth.jsonl"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	not := map[string]string{}
	for _, s := range skipped {
		rel, _ := filepath.Rel(dir, s.Path)
		not[rel] = s.Why
	}
	const truth, other = "ground truth, not events", "not .json, .jsonl, .ndjson or .log"
	wantNot := map[string]string{
		"truth.jsonl": truth, "truth-2.jsonl": truth, "n.truth-app.jsonl": truth, "truth.jsonl.gz": truth,
		"README.md": other, "h.pcap": other, "i.gz": other, "k.log": "no such file or directory",
	}
	if diff := cmp.Diff(wantNot, not); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}

	// Whatever is named itself is read, in the order given.
	named := []string{filepath.Join(dir, "truth.jsonl"), "-", filepath.Join(dir, "README.md")}
	in, skipped, err = find(named)
	if err != nil || len(skipped) > 0 {
		t.Fatal(err, skipped)
	}
	got = nil
	for _, f := range in {
		got = append(got, f.path)
	}
	if diff := cmp.Diff(named, got); diff != "" {
		t.Error(diff)
	}

	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if in, _, err = find([]string{link}); err != nil || len(in) != len(want) || in[0].path != filepath.Join(link, "a.json") {
		t.Errorf("folder behind a link: %v, %v", in, err)
	}

	_, _, err = find([]string{dir, filepath.Join(dir, "none")})
	var path *PathError
	if !errors.As(err, &path) || !errors.Is(err, os.ErrNotExist) || path.Path != filepath.Join(dir, "none") {
		t.Errorf("got %v", err)
	}
}
