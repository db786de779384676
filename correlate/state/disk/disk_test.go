package disk_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/s2"

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
	v.Done = v.At.Now
	if _, err := s.Turn(v); err != nil {
		t.Fatal(err)
	}
}

type recovered struct {
	Now      event.Time
	Envelope string
	Events   []event.Event
}

func recover(t *testing.T, s *disk.Store) (out []recovered) {
	t.Helper()
	if err := s.Recover(copied{}, func(_ uint64, now event.Time, envelope []byte, b *event.Batch) error {
		if b == nil {
			b = new(event.Batch)
		}
		out = append(out, recovered{now, string(envelope), b.Events})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// outbox are the bundles that wait, and what is to be sent of them.
func outbox(t *testing.T, s *disk.Store) (list []*disk.Bundle, ids []string) {
	t.Helper()
	if err := s.Outbox(func(b *disk.Bundle) error {
		body, err := s.Body(b)
		if err != nil {
			return err
		}
		lines := []string{string(body)}
		if b.Kind == disk.KindTimeline {
			plain, err := s2.Decode(nil, body)
			if err != nil {
				return err
			}
			lines = strings.Split(strings.TrimSuffix(string(plain), "\n"), "\n")
		}
		list = append(list, b)
		for i, id := range b.IDs {
			if !b.Out[i] {
				ids = append(ids, fmt.Sprintf("%c %s %s", b.Kind, id, lines[i]))
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list, ids
}

func line(id string, revision uint32) disk.Result {
	tl := timeline.Timeline{ID: id, Revision: revision, Start: at(0), End: at(1)}
	return disk.Result{Kind: disk.KindTimeline, ID: fmt.Sprint(id, "/", revision), Of: id, Data: tl.AppendJSON(nil)}
}

func TestTurnsComeBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	list := events(3000, 1)
	first := disk.Turn{Pushes: []disk.Push{{Now: at(0)}, {Now: at(0) + 5, Events: list[:1000]}, {Now: at(1), Events: list[1000:]}, {Now: at(1) + 1, Events: list[:1], Envelope: []byte("as it came")}}, At: disk.Position{Sequence: 7, Created: 9, Now: at(1)}}
	first.Session = func(put func(k, v []byte)) { put([]byte("a"), []byte("1")); put([]byte("b"), []byte("2")) }
	turn(t, s, first)
	x := line("x", 1)
	x.Note = "what it says"
	told := alert.Alert{ID: "a", Revision: 2, State: alert.Withdrawn, Severity: alert.High, StepIDs: []string{"s"}}
	second := disk.Turn{Pushes: []disk.Push{{Now: at(2)}}, At: disk.Position{Sequence: 8, Created: 9, Now: at(2)}, Results: []disk.Result{
		x, line("y", 1), line("x2", 1),
		{Kind: disk.KindAlert, ID: "high/a/2/withdrawn", Of: "a", Data: told.AppendJSON(nil)},
		{Kind: 'd', ID: "8", Data: []byte("\x00two\nlines")},
	}}
	second.Session = func(put func(k, v []byte)) { put([]byte("a"), nil) }
	turn(t, s, second)
	turn(t, s, disk.Turn{At: disk.Position{Sequence: 9, Created: 9, Now: at(2)}}) // nothing but the position

	waits := []string{"t x/1 " + string(x.Data), "t y/1 " + string(line("y", 1).Data), "t x2/1 " + string(line("x2", 1).Data), "a high/a/2/withdrawn " + string(told.AppendJSON(nil)), "d 8 \x00two\nlines"}
	check := func() {
		t.Helper()
		if got, want := s.Position(), (disk.Position{Turn: 3, Sequence: 9, Created: 9, Now: at(2)}); got != want {
			t.Errorf("position %+v, want %+v", got, want)
		}
		want := []recovered{{at(0), "", nil}, {at(0) + 5, "", list[:1000]}, {at(1), "", list[1000:]}, {at(1) + 1, "as it came", nil}, {at(2), "", nil}}
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
		if _, ids := outbox(t, s); cmp.Diff(waits, ids) != "" {
			t.Error(cmp.Diff(waits, ids))
		}
		if got, err := s.Timeline("x"); err != nil || string(got.AppendJSON(nil)) != string(x.Data) {
			t.Errorf("timeline %+v, %v", got, err)
		}
		if got, err := s.Note(disk.KindTimeline, "x"); err != nil || got != "what it says" {
			t.Errorf("note %q, %v", got, err)
		}
		if got, err := s.Note(disk.KindTimeline, "z"); err != nil || got != "" {
			t.Errorf("note %q, %v of nothing", got, err)
		}
		var found []string
		if err := s.Timelines("x", func(text []byte) error { found = append(found, string(text)); return nil }); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{string(x.Data), string(line("x2", 1).Data)}, found); d != "" {
			t.Error(d)
		}
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
	check() // before Badger has any of it
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer func() { s.Close() }()
	check()

	bundles, _ := outbox(t, s)
	if len(bundles) != 3 || len(bundles[0].IDs) != 3 {
		t.Fatalf("%d bundles, the first of %q, want three timelines in one", len(bundles), bundles[0].IDs)
	}
	bundles[0].Out[1], bundles[2].Out[0] = true, true
	s.Delivered(disk.Delivery{Stream: "OUT", Seen: []*disk.Bundle{bundles[0], bundles[2]}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	waits = []string{waits[0], waits[2], waits[3]}
	check()
}

// copyOf is the folder as a killed program would leave it, while the store is open.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// Whatever of the last turns did not get to the disk, whole turns come back, with what
// was decided in them, and none behind one that is not whole.
func TestTornTurns(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	const turns = 4
	one := func(n int) disk.Turn {
		return disk.Turn{
			Pushes: []disk.Push{{Now: at(n), Envelope: fmt.Append(nil, "envelope ", n)}}, At: disk.Position{Sequence: uint64(n), Now: at(n)},
			Results: []disk.Result{line(fmt.Sprint("t", n), 1)},
			Session: func(put func(k, v []byte)) { put([]byte("s"), fmt.Append(nil, n)) },
		}
	}
	for n := 1; n <= turns; n++ {
		turn(t, s, one(n))
		if n == 1 { // what is safe is never given up
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	whole := copyOf(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, journal := range []string{"turns", "results"} {
		name := filepath.Join(journal, "0000000000000000.log")
		info, err := os.Stat(filepath.Join(whole, name))
		if err != nil {
			t.Fatal(err)
		}
		came := map[int]int{}
		for size := info.Size(); ; size -= 67 {
			dir := copyOf(t, whole)
			if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
				t.Fatal(err)
			}
			s, err := disk.Open(dir, opts)
			if errors.Is(err, disk.ErrDamaged) { // the first turn was cut
				if came[1] == 0 || len(came) != turns {
					t.Errorf("%s of %d bytes: %v, and before that turns came back %v", journal, size, err, came)
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			n := int(s.Position().Turn)
			came[n]++
			got := recover(t, s)
			_, ids := outbox(t, s)
			session := ""
			if err := s.Sessions(func(_, v []byte) error { session += string(v); return nil }); err != nil {
				t.Fatal(err)
			}
			if s.Position().Sequence != uint64(n) || len(got) != n || len(ids) != n || session != fmt.Sprint(n) {
				t.Errorf("%s of %d bytes: turn %d, %d pushes, %d results, session %s", journal, size, n, len(got), len(ids), session)
			}
			for m := 1; m <= turns; m++ {
				if _, err := s.Timeline(fmt.Sprint("t", m)); (err == nil) != (m <= n) {
					t.Errorf("%s of %d bytes: turn %d, and of timeline %d: %v", journal, size, n, m, err)
				}
			}
			turn(t, s, one(n+1)) // and it goes on
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir)
			if _, ids := outbox(t, s); len(ids) != n+1 || len(recover(t, s)) != n+1 {
				t.Errorf("%s of %d bytes: after one turn more %q wait", journal, size, ids)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What was noted of the streams and is not safe yet is asked for again: the place is
// never ahead of what was struck.
func TestDeliveredIsNotedTogether(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	turn(t, s, disk.Turn{At: disk.Position{Now: at(1)}, Results: []disk.Result{line("x", 1), line("y", 1)}})
	bundles, _ := outbox(t, s)
	bundles[0].Out[0], bundles[0].Out[1] = true, true
	s.Delivered(disk.Delivery{Stream: "OUT", Place: disk.Place{Sequence: 1, Created: 8}, Seen: bundles})
	killed := copyOf(t, dir)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]struct {
		place disk.Place
		waits int
	}{killed: {disk.Place{}, 2}, dir: {disk.Place{Sequence: 1, Created: 8}, 0}} {
		s := open(t, dir)
		place, err := s.Place("OUT")
		if _, ids := outbox(t, s); err != nil || place != want.place || len(ids) != want.waits {
			t.Errorf("place %+v, %q wait, %v; want %+v", place, ids, err, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A turn may be of any size.
func TestHugeTurn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	big := make([]byte, 100<<10)
	huge := disk.Turn{At: disk.Position{Sequence: 1, Now: at(1)}, Pushes: []disk.Push{{Now: at(1), Events: events(1, 1)}}}
	for i := range 300 {
		huge.Results = append(huge.Results, disk.Result{Kind: disk.KindTimeline, ID: fmt.Sprint(i), Of: fmt.Sprint(i), Data: big})
	}
	huge.Session = func(put func(key, value []byte)) {
		for i := range 100_000 {
			put(fmt.Append(nil, "a sender whose name is rather long/", i), []byte{1})
		}
	}
	turn(t, s, huge)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	if bundles, ids := outbox(t, s); len(ids) != 300 || len(bundles) < 100 {
		t.Errorf("%d of 300 results came back, in %d bundles", len(ids), len(bundles))
	}
}

// What is older than its retention goes, from the files as well, but nothing that waits
// to be sent.
func TestRetention(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	files := func(journal string) int {
		list, err := filepath.Glob(filepath.Join(dir, journal, "*.log"))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	minute := func(m int) {
		t.Helper()
		results := []disk.Result{line(fmt.Sprint("t", m%150), uint32(m)), {Kind: disk.KindAlert, Of: fmt.Sprint("a", m%150), Data: (&alert.Alert{ID: "a", Revision: uint32(m)}).AppendJSON(nil)}}
		for i := range results {
			results[i].Known = m > 0 // but the first waits
		}
		turn(t, s, disk.Turn{Pushes: []disk.Push{{Now: at(m), Events: events(2, m)}}, At: disk.Position{Now: at(m)}, Results: results})
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	for m := range 200 {
		minute(m)
	}
	got := recover(t, s)
	if n := len(got); n < 60 || n > 68 || got[0].Now < at(199-68) || files("turns") > 18 {
		t.Errorf("%d turns are kept, the oldest of %s, in %d files", n, got[0].Now, files("turns"))
	}
	if _, err := s.Timeline("t60"); err != nil || files("results") < 45 {
		t.Errorf("%v, though the first results still wait; %d files", err, files("results"))
	}
	bundles, _ := outbox(t, s)
	for _, b := range bundles {
		b.Out[0] = true
	}
	s.Delivered(disk.Delivery{Stream: "OUT", Seen: bundles})
	for m := 200; m < 320; m++ {
		minute(m)
	}
	if n := files("results"); n > 18 {
		t.Errorf("%d files of results are left", n)
	}
	for m := range 150 {
		last := m
		for last+150 < 320 {
			last += 150
		}
		tl, err := s.Timeline(fmt.Sprint("t", m))
		if kept := err == nil; kept != (last > 319-60) && (last < 319-70 || last > 319-60) {
			t.Errorf("timeline of minute %d is kept: %v", last, kept)
		}
		if err == nil && tl.Revision != uint32(last) {
			t.Errorf("timeline of minute %d has revision %d, want the later one", last, tl.Revision)
		}
		a, err := s.Alert(fmt.Sprint("a", m))
		if kept := a != nil; err != nil || kept != (last > 319-60) && (last < 319-70 || last > 319-60) {
			t.Errorf("alert of minute %d is kept: %v, %v", last, kept, err)
		}
	}
}

func TestErrors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := disk.Open(dir, opts); !errors.Is(err, disk.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	turn(t, s, disk.Turn{Pushes: []disk.Push{{Now: at(1), Events: events(10, 1)}}, At: disk.Position{Now: at(1)}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for what, harm := range map[string]func(path string) error{
		"removed": os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, 50) },
		"changed": func(path string) error {
			b, err := os.ReadFile(path)
			if err == nil {
				b[len(b)-1] ^= 1
				err = os.WriteFile(path, b, 0o600)
			}
			return err
		},
	} {
		harmed := copyOf(t, dir)
		if err := harm(filepath.Join(harmed, "turns", "0000000000000000.log")); err != nil {
			t.Fatal(err)
		}
		s, err := disk.Open(harmed, opts)
		if err == nil {
			err = errors.Join(s.Recover(copied{}, func(uint64, event.Time, []byte, *event.Batch) error { return nil }), s.Close())
		}
		if !errors.Is(err, disk.ErrDamaged) {
			t.Errorf("a file that was %s: %v", what, err)
		}
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
	for version, want := range map[uint32]error{disk.Version - 1: disk.ErrOlder, disk.Version + 1: disk.ErrNewer} {
		if err := db.Update(func(tx *badger.Txn) error {
			return tx.Set([]byte{'v'}, binary.BigEndian.AppendUint32(nil, version))
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := disk.Open(dir, opts); !errors.Is(err, want) {
			t.Errorf("version %d: %v, want %v", version, err, want)
		}
		if db, err = badger.Open(badger.DefaultOptions(dir).WithLogger(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
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
		if _, err := s.Turn(disk.Turn{Pushes: []disk.Push{{Now: at(i / 100), Events: list}}, At: disk.Position{Now: at(i / 100)}}); err != nil {
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
	known := line("z", 1)
	known.Known = true
	turn(t, s, disk.Turn{At: disk.Position{Now: at(1)}, Results: []disk.Result{known, line("x", 1), line("y", 1)}})
	turn(t, s, disk.Turn{At: disk.Position{Now: at(1)}, Results: []disk.Result{known}})
	bundles, ids := outbox(t, s)
	if len(bundles) != 1 || len(ids) != 2 {
		t.Fatalf("%d bundles, %q wait", len(bundles), ids)
	}
	if _, err := s.Timeline("z"); err != nil {
		t.Errorf("what others have sent cannot be looked up: %v", err)
	}
	bundles[0].Out[1] = true
	place := disk.Place{Sequence: 3, Created: 8}
	s.Delivered(disk.Delivery{Stream: "OUT", Place: place, Seen: bundles, Heard: []string{"t/a/1", "t/b/1", "t/c/1"}})
	turn(t, s, disk.Turn{At: disk.Position{Now: at(1)}})
	place.Sequence = 4
	s.Delivered(disk.Delivery{Stream: "OUT", Place: place, Forget: []string{"t/b/1", "t/c/1"}})
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
	if _, ids := outbox(t, s); len(ids) != 1 || ids[0] != "t y/1 "+string(line("y", 1).Data) {
		t.Errorf("%q wait", ids)
	}
}
