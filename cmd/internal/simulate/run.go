package simulate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// settling is how long the cluster idles after its last request, so that every
// window of a reader closes on heartbeats and not on the end of the files.
const settling = 45 * s1

// Run writes a simulated cluster's files into dir, which is made when it does
// not exist: DIR/<node>.<source>.jsonl, DIR/cloud.gcp.jsonl,
// DIR/cluster.k8s.jsonl, DIR/truth.jsonl and, with rogue acts, DIR/truth-acts.jsonl. Files of these names are
// overwritten. Equal options give equal bytes. When ctx ends, Run stops and
// returns its error; the files then hold a part of the run.
func Run(ctx context.Context, o Options, dir string) (Summary, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Summary{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Summary{}, fmt.Errorf("make output folder: %w", err)
	}
	w := &world{o: o, rng: newRNG(o.Seed, 1), outRNG: newRNG(o.Seed, 2)}
	w.s.now = o.Start.UnixNano()
	w.sum.Sources = map[string]int{}
	w.outs = &outputs{dir: dir, s: &w.s, rng: newRNG(o.Seed, 3), o: &w.o, sum: &w.sum}
	w.sum.First = o.Start.UTC()
	if w.truth, err = createTruth(filepath.Join(dir, "truth.jsonl")); err != nil {
		return Summary{}, err
	}
	if o.Rogue > 0 {
		if w.actsFile, err = createTruth(filepath.Join(dir, "truth-acts.jsonl")); err != nil {
			return Summary{}, errors.Join(err, w.truth.close())
		}
		w.sum.Files++
	}
	defer w.s.close()
	w.build()
	w.start()
	for i := 0; w.s.step(); i++ {
		if w.outs.err != nil {
			break
		}
		if i&1023 == 0 && ctx.Err() != nil {
			w.outs.err = ctx.Err()
			break
		}
	}
	w.sum.Last = time.Unix(0, w.s.now).UTC()
	err = w.outs.finish()
	if terr := errors.Join(w.truth.close(), w.actsFile.close()); err == nil {
		err = terr
	}
	w.sum.Files++ // the truth
	return w.sum, err
}

// start sets the clients, the clocks, the noise and the rollouts in motion.
func (w *world) start() {
	warm := w.s.now + 2*s1 // objects and heartbeats come before the first request
	active := w.o.Concurrency
	for i := range w.o.Concurrency {
		c := w.newClient(i)
		w.s.spawn(warm+w.rng.exp(int64(w.o.ThinkTime)+1), func(t *task) {
			w.runClient(t, c)
			if active--; active == 0 {
				w.finished()
			}
		})
	}
	w.beat()
	w.rollouts(warm)
	if w.o.Noise > 0 {
		for range 8 {
			w.s.spawn(warm, w.makeNoise)
		}
	}
}

// finished lets the cluster idle a little and then ends it.
func (w *world) finished() {
	w.s.at(w.s.now+settling, func() { w.done = true })
}

// beat sends the nodes' heartbeats every second.
func (w *world) beat() {
	before := w.sum.Background
	for _, n := range w.nodes {
		n.heartbeat()
	}
	w.control += w.sum.Background - before
	if !w.done {
		w.s.at(w.s.now+s1, w.beat)
	}
}

// rollouts replaces a pod now and then, so that pod addresses change hands.
func (w *world) rollouts(from int64) {
	w.s.at(from+3*s1+w.rng.exp(9*s1), func() {
		if w.done {
			return
		}
		services := append(append([]*service{w.gateway, w.vectors}, w.agents...), w.noise...)
		svc := services[w.rng.intn(len(services))]
		w.replace(svc.pick())
		w.rollouts(w.s.now)
	})
}

// truthFile is the one file that no source writes.
type truthFile struct {
	f   *os.File
	w   *bufio.Writer
	err error
}

func createTruth(path string) (*truthFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create truth: %w", err)
	}
	return &truthFile{f: f, w: bufio.NewWriterSize(f, 256<<10)}, nil
}

func (t *truthFile) write(line []byte) {
	if _, err := t.w.Write(line); err != nil && t.err == nil {
		t.err = fmt.Errorf("write truth: %w", err)
	}
}

func (t *truthFile) close() error {
	if t == nil {
		return nil
	}
	if err := t.w.Flush(); err != nil && t.err == nil {
		t.err = fmt.Errorf("write truth: %w", err)
	}
	if err := t.f.Close(); err != nil && t.err == nil {
		t.err = fmt.Errorf("close truth: %w", err)
	}
	return t.err
}
