package extsort

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

type rec struct{ key, payload string }

func sorted(t *testing.T, o Options, in []rec) []rec {
	t.Helper()
	s := New(o)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, r := range in {
		if err := s.Add(t.Context(), []byte(r.key), []byte(r.payload)); err != nil {
			t.Fatal(err)
		}
	}
	var out []rec
	err := s.Each(t.Context(), func(key, payload []byte) error {
		out = append(out, rec{string(key), string(payload)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func random(n int, rng *rand.Rand) []rec {
	out := make([]rec, n)
	for i := range out {
		key := make([]byte, rng.IntN(12))
		for j := range key {
			key[j] = byte(rng.IntN(3))
		}
		out[i] = rec{string(key), fmt.Sprintf("%d:%s", i, bytes.Repeat([]byte{'x'}, rng.IntN(200)))}
	}
	return out
}

func TestSorterKeepsOrderOfAdding(t *testing.T) {
	in := random(1000, rand.New(rand.NewPCG(1, 2)))
	want := slices.Clone(in)
	slices.SortStableFunc(want, func(a, b rec) int { return bytes.Compare([]byte(a.key), []byte(b.key)) })
	// 1 byte of memory makes a run of every record, and two levels of merging.
	for _, memory := range []int64{0, 1 << 20, 64 << 10, 2000, 1} {
		if got := sorted(t, Options{Memory: memory, TempDir: t.TempDir()}, in); !slices.Equal(got, want) {
			t.Errorf("memory %d: wrong order", memory)
		}
	}
}

func TestSorterByPayloadIgnoresOrderOfAdding(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	in := random(2000, rng)
	want := slices.Clone(in)
	slices.SortFunc(want, func(a, b rec) int {
		if c := bytes.Compare([]byte(a.key), []byte(b.key)); c != 0 {
			return c
		}
		return bytes.Compare([]byte(a.payload), []byte(b.payload))
	})
	for _, memory := range []int64{0, 10_000, 500} {
		rng.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		if got := sorted(t, Options{Memory: memory, TempDir: t.TempDir(), ByPayload: true}, in); !slices.Equal(got, want) {
			t.Errorf("memory %d: wrong order", memory)
		}
	}
}

func TestSorterLargeRecords(t *testing.T) {
	big := string(bytes.Repeat([]byte{'b'}, 3*chunkSize))
	in := []rec{{"b", big}, {"a", ""}, {"", "x"}, {"c", big}}
	want := []rec{{"", "x"}, {"a", ""}, {"b", big}, {"c", big}}
	for _, memory := range []int64{0, 100} {
		if got := sorted(t, Options{Memory: memory, TempDir: t.TempDir()}, in); !slices.Equal(got, want) {
			t.Errorf("memory %d: wrong order", memory)
		}
	}
}

func TestSorterEmpty(t *testing.T) {
	if got := sorted(t, Options{}, nil); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestSorterLeavesNoFiles(t *testing.T) {
	dir := t.TempDir()
	f := func(stop func(ctx context.Context, cancel func(), s *Sorter) error, want error) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := New(Options{Memory: 10_000, TempDir: dir})
		for _, r := range random(1000, rand.New(rand.NewPCG(5, 6))) {
			if err := s.Add(ctx, []byte(r.key), []byte(r.payload)); err != nil {
				t.Fatal(err)
			}
		}
		if s.Spilled() == 0 {
			t.Fatal("nothing was spilled")
		}
		if err := stop(ctx, cancel, s); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	f(func(context.Context, func(), *Sorter) error { return nil }, nil)
	enough := errors.New("enough")
	f(func(ctx context.Context, _ func(), s *Sorter) error {
		return s.Each(ctx, func(_, _ []byte) error { return enough })
	}, enough)
	f(func(ctx context.Context, cancel func(), s *Sorter) error {
		cancel()
		return s.Each(ctx, func(_, _ []byte) error { return nil })
	}, context.Canceled)
	f(func(ctx context.Context, cancel func(), s *Sorter) error {
		cancel()
		for {
			if err := s.Add(ctx, []byte("k"), make([]byte, 10)); err != nil {
				return err
			}
		}
	}, context.Canceled)
}

func TestSorterNoTempDir(t *testing.T) {
	s := New(Options{Memory: 1, TempDir: t.TempDir() + "/none"})
	defer s.Close()
	if err := s.Add(t.Context(), []byte("a"), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(t.Context(), []byte("b"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
