package spill_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/sennit-io/sennit/cmd/internal/spill"
)

func open(t *testing.T) *spill.File {
	t.Helper()
	dir := t.TempDir()
	f, err := spill.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Fatalf("the folder has %v (%v): a killed process would leave it", list, err)
	}
	return f
}

// TestFileIsAMap holds the file to a map while chunks of any size come and go.
func TestFileIsAMap(t *testing.T) {
	f, rnd := open(t), rand.New(rand.NewPCG(1, 1))
	want := map[uint64][]byte{}
	most := uint64(0)
	for range 2000 {
		if len(want) < 20 || len(want) < 60 && rnd.IntN(2) == 0 {
			chunk := make([]byte, rnd.IntN(64<<10+1))
			for i := range chunk {
				chunk[i] = byte(rnd.Uint32())
			}
			n, err := f.Put(chunk)
			if err != nil {
				t.Fatal(err)
			}
			if want[n] != nil {
				t.Fatalf("number %d was given twice", n)
			}
			want[n], most = chunk, max(most, n)
		}
		for n, chunk := range want {
			got, err := f.Get(n, []byte("before"))
			if err != nil || !bytes.Equal(got, append([]byte("before"), chunk...)) {
				t.Fatalf("chunk %d came back as %d bytes (%v), want %d", n, len(got), err, len(chunk))
			}
			f.Drop(n)
			delete(want, n)
			break
		}
	}
	if most >= 60 {
		t.Errorf("the file has %d places for at most 60 chunks", most+1)
	}
}

func TestChunksThatHaveNoPlaceAreRefused(t *testing.T) {
	if _, err := open(t).Put(make([]byte, 64<<10+1)); err == nil {
		t.Error("a chunk that is too large was taken")
	}
}

func TestAFileThatIsGoneIsAnError(t *testing.T) {
	f := open(t)
	n, err := f.Put([]byte("chunk"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(n+1, nil); err == nil || errors.Is(err, spill.ErrDamaged) {
		t.Errorf("a chunk that was never put: %v, want an error of reading", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Put([]byte("chunk")); err == nil {
		t.Error("a closed file took a chunk")
	}
}
