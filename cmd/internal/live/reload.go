package live

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/sennit-io/sennit/correlate/detect"
)

// RulesFolder is a folder of rules that may change while a processor runs.
type RulesFolder struct {
	Dir string
	// Again says that the folder is to be read whether it looks changed or not; nil for
	// never.
	Again <-chan os.Signal

	seen   string
	looked time.Time
}

// lookEvery is how often a folder of rules is looked at.
const lookEvery = 2 * time.Second

// changed reports whether the folder is to be read: a name, a size or a time in it is
// another, or somebody asks for it. A link that leads elsewhere now, as Kubernetes
// updates a ConfigMap, is a change.
func (r *RulesFolder) changed(now time.Time) bool {
	select {
	case <-r.Again:
		r.seen = r.look()
		return true
	default:
	}
	if now.Sub(r.looked) < lookEvery {
		return false
	}
	first := r.looked.IsZero() // it was read a moment ago
	r.looked = now
	is := r.look()
	if is == r.seen {
		return false
	}
	r.seen = is
	return !first
}

func (r *RulesFolder) look() string {
	var b strings.Builder
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		names, _ := fs.Glob(os.DirFS(r.Dir), pattern) // the pattern is none to fail
		for _, name := range names {
			if info, err := fs.Stat(os.DirFS(r.Dir), name); err == nil {
				fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
			}
		}
	}
	return b.String()
}

// reload judges by other rules once the folder has them. Rules that are wrong change
// nothing: the set before stays, and the log says what is wrong with file, line and
// column.
func (d *decider) reload(now time.Time) {
	if d.opts.Reload == nil || !d.opts.Reload.changed(now) {
		return
	}
	set, err := detect.Load(os.DirFS(d.opts.Reload.Dir))
	if err != nil {
		d.metrics.rulesFailed()
		d.opts.Log.Error("the changed rules are wrong, those before stay", "dir", d.opts.Reload.Dir, "error", err)
		return
	}
	if old := d.watch.Set(); old == nil || old.Hash != set.Hash {
		d.use(set)
		d.opts.Log.Info("rules reloaded", "dir", d.opts.Reload.Dir, "rules", len(set.Rules), "hash", set.Hash)
	}
}

// use judges by a set from now on.
func (d *decider) use(set *detect.Set) {
	d.watch.Use(set)
	if set.Early() {
		d.engine.ShowOpen()
	}
	d.metrics.rules(set)
}
