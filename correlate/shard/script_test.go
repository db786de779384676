package shard_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/sennit-io/sennit/correlate/enginetest"
	"github.com/sennit-io/sennit/correlate/shard"
	"github.com/sennit-io/sennit/schemas/event"
)

// TestScripts runs the scripts under testdata, the engine's executable
// specification: `go test ./correlate/shard -run TestScripts -rewrite` writes
// what comes out into them.
//
//	run [retention=DUR] …  events → what they become once nothing more comes;
//	                       the same events the other way round, unsorted, on
//	                       three shards must become the same
//	new [arrival] [live] [shards=N] [retention=DUR] …   an engine for:
//	push [now=DUR]         events → what comes out at once
//	close                  what is left
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "run":
				return s.run(t, d)
			case "new":
				s.begin(t, configOf(t, d))
				return ""
			case "push":
				return s.push(t, d)
			case "close":
				return s.close(t)
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

// script is an engine and what a script has given to it.
type script struct {
	engine *shard.Engine
	out    *recorder
	events []event.Event
}

func configOf(t *testing.T, d *datadriven.TestData) shard.Config {
	cfg := shard.DefaultConfig()
	cfg.Shards, cfg.Window.InOrder = 1, true
	duration := func(a datadriven.CmdArg) time.Duration {
		v, err := time.ParseDuration(a.Vals[0])
		if err != nil {
			d.Fatalf(t, "%s: %v", a.Key, err)
		}
		return v
	}
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "arrival":
			cfg.Window.InOrder = false
		case "live":
			cfg.Live = true
		case "every":
			cfg.LiveEvery = duration(a)
		case "shards":
			a.Scan(t, 0, &cfg.Shards)
		case "retention":
			cfg.Window.Retention = duration(a)
		case "now":
		default:
			d.Fatalf(t, "unknown argument %s", a.Key)
		}
	}
	return cfg
}

func (s *script) begin(t testing.TB, cfg shard.Config) {
	s.out, s.events = newRecorder(t), nil
	s.engine = shard.New(cfg, s.out)
}

func parse(t *testing.T, d *datadriven.TestData) []event.Event {
	events, err := enginetest.Parse(d.Input)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return events
}

func (s *script) push(t *testing.T, d *datadriven.TestData) string {
	s.out.t = t
	events, now := parse(t, d), event.Time(0)
	for _, a := range d.CmdArgs {
		if a.Key == "now" {
			v, err := time.ParseDuration(a.Vals[0])
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			now = enginetest.Duration(v)
		}
	}
	s.events = append(s.events, events...)
	s.engine.Push(&event.Batch{Events: slices.Clone(events)}, now)
	conserved(t, s.engine, uint64(len(s.events)), false)
	return s.look(false)
}

func (s *script) close(t *testing.T) string {
	s.out.t = t
	s.engine.Close()
	conserved(t, s.engine, uint64(len(s.events)), true)
	return s.look(false) + counters(s.engine.Stats())
}

// look draws what has come out since the last look.
func (s *script) look(final bool) string {
	names := enginetest.NewNames(s.events)
	var b strings.Builder
	list := s.out.recent
	if final {
		list = s.out.canonical()
		for _, t := range s.out.recent {
			if t.SupersededBy != "" {
				b.WriteString(names.Timeline(t))
			}
		}
	}
	for _, t := range list {
		b.WriteString(names.Timeline(t))
	}
	for _, u := range s.out.unmatched {
		fmt.Fprintf(&b, "%s: %s\n", u.Fate, enginetest.Title(u.Event))
	}
	s.out.recent, s.out.unmatched = nil, nil
	return b.String()
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	cfg := configOf(t, d)
	events := parse(t, d)
	inOrder := slices.Clone(events)
	slices.SortStableFunc(inOrder, func(a, b event.Event) int { return event.Compare(&a, &b) })
	s.begin(t, cfg)
	s.events = inOrder
	s.engine.Push(&event.Batch{Events: slices.Clone(inOrder)}, 0)
	conserved(t, s.engine, uint64(len(events)), false)
	s.engine.Close()
	conserved(t, s.engine, uint64(len(events)), true)
	s.out.settled(t)

	other := &script{}
	cfg.Shards, cfg.Window.InOrder = 3, false
	other.begin(t, cfg)
	backwards := slices.Clone(events)
	slices.Reverse(backwards)
	other.engine.Push(&event.Batch{Events: backwards}, 0)
	other.engine.Close()
	conserved(t, other.engine, uint64(len(events)), true)
	if a, b := s.out.json(), other.out.json(); !bytes.Equal(a, b) {
		t.Errorf("backwards on three shards it is\n%s\nand not\n%s", b, a)
	}
	if a, b := counters(s.engine.Stats()), counters(other.engine.Stats()); a != b {
		t.Errorf("backwards on three shards the counters are\n%s\nand not\n%s", b, a)
	}
	return s.look(true) + counters(s.engine.Stats())
}
