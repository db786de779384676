package disk_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sennit-io/sennit/correlate/state"
	"github.com/sennit-io/sennit/correlate/state/disk"
	"github.com/sennit-io/sennit/schemas/alert"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
	"github.com/sennit-io/sennit/schemas/timeline"
)

var (
	_    state.Store = (*disk.Store)(nil)
	opts             = disk.Options{Retention: time.Hour, Keep: time.Hour}
)

type copied struct{}

func (copied) String(b []byte) string { return string(b) }

func open(t *testing.T, dir string) *disk.Store {
	t.Helper()
	s, err := disk.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func events(n, seed int) []event.Event {
	var out []event.Event
	for i := range n {
		out = append(out, *eventtest.Fill(event.KindExchange, uint64(seed+i)+2))
	}
	return out
}

func at(minutes int) event.Time {
	return event.At(time.Date(2026, 11, 23, 9, minutes, 0, 0, time.UTC))
}

func turn(t *testing.T, s *disk.Store, v disk.Turn) {
	t.Helper()
	if err := s.Turn(v); err != nil {
		t.Fatal(err)
	}
}

type recovered struct {
	Now    event.Time
	Events []event.Event
}

func recover(t *testing.T, s *disk.Store) (out []recovered) {
	t.Helper()
	if err := s.Recover(copied{}, func(now event.Time, b *event.Batch) error {
		out = append(out, recovered{now, b.Events})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func outbox(t *testing.T, s *disk.Store) (keys [][]byte, ids []string) {
	t.Helper()
	if err := s.Outbox(nil, 1000, func(k []byte, m disk.Message) error {
		keys, ids = append(keys, k), append(ids, fmt.Sprintf("%c %s %s", m.Kind, m.ID, m.Data))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return keys, ids
}

func TestTurnsComeBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	first := disk.Turn{Events: events(3000, 1), Pushes: []disk.Push{{Now: at(0)}, {at(0) + 5, 1000}, {at(1), 2000}}, At: disk.Position{Sequence: 7, Created: 9, Epoch: 1, Now: at(1)}}
	first.Session = func(put func(k, v []byte)) { put([]byte("a"), []byte("1")); put([]byte("b"), []byte("2")) }
	turn(t, s, first)
	tl := &timeline.Timeline{ID: "x", Revision: 1, Start: at(0), End: at(1)}
	second := disk.Turn{Pushes: []disk.Push{{Now: at(2)}}, At: disk.Position{Sequence: 8, Created: 9, Epoch: 2, Now: at(2)}, Timelines: []*timeline.Timeline{tl}, Outbox: []disk.Message{{'t', "x/1", []byte("one")}, {'t', "y/1", []byte("\x00two")}}}
	second.Session = func(put func(k, v []byte)) { put([]byte("a"), nil) }
	turn(t, s, second)
	turn(t, s, disk.Turn{At: disk.Position{Sequence: 9, Created: 9, Epoch: 2, Now: at(2)}}) // nothing but the position
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir)
	defer func() { s.Close() }()
	if got, want := s.Position(), (disk.Position{Turn: 3, Sequence: 9, Created: 9, Epoch: 2, Now: at(2)}); got != want {
		t.Errorf("position %+v, want %+v", got, want)
	}
	want := []recovered{{at(0), nil}, {at(0) + 5, first.Events[:1000]}, {at(1), first.Events[1000:]}, {at(2), nil}}
	if d := cmp.Diff(want, recover(t, s), eventtest.Equal); d != "" {
		t.Errorf("turns (-want +got):\n%s", d)
	}
	var sessions []string
	if err := s.Sessions(func(k, v []byte) error { sessions = append(sessions, string(k)+string(v)); return nil }); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"b2"}, sessions); d != "" {
		t.Error(d)
	}
	keys, ids := outbox(t, s)
	if d := cmp.Diff([]string{"t x/1 one", "t y/1 \x00two"}, ids); d != "" {
		t.Error(d)
	}
	if err := s.Sent(keys[:1]); err != nil {
		t.Fatal(err)
	}
	if _, ids = outbox(t, s); len(ids) != 1 {
		t.Errorf("%q still wait", ids)
	}
	if got, err := s.Timeline("x"); err != nil || got.Revision != 1 || got.End != tl.End {
		t.Errorf("timeline %+v, %v", got, err)
	}
	told := alert.Alert{ID: "a", Revision: 2, State: alert.Withdrawn, Severity: alert.High, StepIDs: []string{"s"}}
	turn(t, s, disk.Turn{At: s.Position(), Alerts: []alert.Alert{told}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if got, err := s.Alert("a"); err != nil || cmp.Diff(&told, got, cmpopts.EquateEmpty()) != "" {
		t.Errorf("alert %+v, %v, want %+v", got, err, told)
	}
	if got, err := s.Alert("b"); err != nil || got != nil {
		t.Errorf("alert %+v, %v of which nothing was told", got, err)
	}
	if _, err := s.Timeline("z"); !errors.Is(err, state.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}

// A turn larger than a transaction is still all or nothing: what a crash leaves
// of it is removed.
func TestHugeTurn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	big := make([]byte, 100<<10)
	huge := disk.Turn{At: disk.Position{Sequence: 1, Now: at(1)}, Events: events(1, 1), Pushes: []disk.Push{{at(1), 1}}}
	for i := range 300 {
		huge.Outbox = append(huge.Outbox, disk.Message{Kind: 't', ID: fmt.Sprint(i), Data: big})
	}
	turn(t, s, huge)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if _, ids := outbox(t, s); len(ids) != 300 {
		t.Errorf("%d of 300 messages came back", len(ids))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// As if the program had died before the last transaction.
	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *badger.Txn) error { return tx.Set([]byte{'p'}, make([]byte, 40)) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	if _, ids := outbox(t, s); len(ids) != 0 || len(recover(t, s)) != 0 {
		t.Errorf("%d messages of a turn that never was", len(ids))
	}
}

func TestRetention(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	for m := range 200 {
		tl := &timeline.Timeline{ID: fmt.Sprint("t", m%150), Revision: 1, End: at(m)}
		told := []alert.Alert{{ID: fmt.Sprint("a", m%150), Revision: uint32(m)}}
		turn(t, s, disk.Turn{Events: events(2, m), Pushes: []disk.Push{{at(m), 2}}, At: disk.Position{Now: at(m)}, Timelines: []*timeline.Timeline{tl}, Alerts: told})
	}
	got := recover(t, s)
	if n := len(got); n < 60 || n > 63 || got[0].Now < at(199-62) {
		t.Errorf("%d turns are kept, the oldest of %s", n, got[0].Now)
	}
	for m := range 150 { // t0 to t49 have a second revision, an hour after the first has expired
		_, err := s.Timeline(fmt.Sprint("t", m))
		if kept := err == nil; kept != (m < 50 || m > 135) && m != 136 && m != 137 && m != 138 {
			t.Errorf("timeline of minute %d is kept: %v", m, kept)
		}
		a, err := s.Alert(fmt.Sprint("a", m))
		if err != nil || (a != nil) != (m < 50 || m > 135) && (m < 136 || m > 138) {
			t.Errorf("alert of minute %d is kept: %v, %v", m, a != nil, err)
		}
		if a != nil && m < 50 && a.Revision != uint32(m+150) {
			t.Errorf("alert of minute %d has revision %d, want the later one", m, a.Revision)
		}
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := disk.Open(dir, opts); !errors.Is(err, disk.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	turn(t, s, disk.Turn{Events: events(10, 1), Pushes: []disk.Push{{at(1), 10}}, At: disk.Position{Now: at(1)}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	full := opts
	full.MinFree = 1 << 62
	if _, err := disk.Open(dir, full); !errors.Is(err, disk.ErrFull) {
		t.Errorf("no space: %v", err)
	}

	db, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *badger.Txn) error {
		return tx.Set([]byte{'v'}, binary.BigEndian.AppendUint32(nil, disk.Version+1))
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(dir, opts); !errors.Is(err, disk.ErrNewer) {
		t.Errorf("a newer version: %v", err)
	}

	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal("no table to damage", err)
	}
	table, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := len(table) - 60; i < len(table)-30; i++ { // in its index
		table[i] ^= 0xff
	}
	if err := os.WriteFile(tables[0], table, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(dir, opts); !errors.Is(err, disk.ErrDamaged) {
		t.Errorf("a damaged table: %v", err)
	}
}

func BenchmarkTurn(b *testing.B) {
	s, err := disk.Open(b.TempDir(), opts)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	list := events(4096, 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := s.Turn(disk.Turn{Events: list, Pushes: []disk.Push{{at(i / 100), len(list)}}, At: disk.Position{Now: at(i / 100)}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(list)), "ns/event")
}

// What was seen of the results of others is there in the next life, with how far
// their stream was followed, and is gone when it was decided or forgotten.
func TestDelivered(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	turn(t, s, disk.Turn{At: disk.Position{Now: at(1)}, Outbox: []disk.Message{{'t', "x/1", nil}, {'t', "y/1", nil}}})
	keys, _ := outbox(t, s)
	place := disk.Place{Sequence: 3, Created: 8}
	if err := s.Delivered(disk.Delivery{Stream: "OUT", Place: place, Sent: keys[:1], Heard: []string{"t/a/1", "t/b/1", "t/c/1"}}); err != nil {
		t.Fatal(err)
	}
	turn(t, s, disk.Turn{At: disk.Position{Now: at(1)}, Heard: []string{"t/b/1"}})
	place.Sequence = 4
	if err := s.Delivered(disk.Delivery{Stream: "OUT", Place: place, Forget: []string{"t/c/1"}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	var heard []string
	if err := s.Heard(func(id string) { heard = append(heard, id) }); err != nil || !slices.Equal(heard, []string{"t/a/1"}) {
		t.Errorf("heard %q, %v", heard, err)
	}
	if got, err := s.Place("OUT"); err != nil || got != place {
		t.Errorf("place %+v, %v, want %+v", got, err, place)
	}
	if got, err := s.Place("DEAD"); err != nil || got != (disk.Place{}) {
		t.Errorf("place %+v, %v of a stream that was not followed", got, err)
	}
	if _, ids := outbox(t, s); len(ids) != 1 || ids[0] != "t y/1 " {
		t.Errorf("%q wait", ids)
	}
}
