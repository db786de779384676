package pods

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sennit-io/sennit/schemas/event"
)

// Limits of a look at the tree of cgroups.
const (
	maxCgroups = 1 << 16
	lookEvery  = time.Second
)

// Cgroups tells pods and containers by the cgroups that the kubelet and the
// container runtimes make for them. Not for concurrent use.
type Cgroups struct {
	root   string // where cgroup2 is mounted
	byID   map[event.CgroupID]found
	looked time.Time
}

// Container is whose a cgroup is. Both are empty for what is in none.
type Container struct{ PodUID, ID string }

// found is what was found of a cgroup: one that was gone before anybody looked
// is not known, and not looked for again.
type found struct {
	Container
	known bool
}

// NewCgroups looks at cgroups below the root of cgroup2.
func NewCgroups(root string) *Cgroups { return &Cgroups{root: root} }

// Of returns whose cgroup an id is, false if it cannot be told: it has gone, or
// it is new and was not looked for yet, which is done at most once a second,
// however many come.
func (c *Cgroups) Of(id event.CgroupID) (Container, bool) {
	if c == nil {
		return Container{}, false
	}
	f, seen := c.byID[id]
	if !seen && time.Since(c.looked) >= lookEvery {
		c.look()
		c.looked = time.Now() // the look itself takes time
		if f, seen = c.byID[id]; !seen && len(c.byID) < maxCgroups {
			c.byID[id] = found{} // it has gone
		}
	}
	return f.Container, f.known
}

// look reads the whole tree anew: ids of what is gone are used again.
func (c *Cgroups) look() {
	c.byID = make(map[event.CgroupID]found)
	_ = filepath.WalkDir(c.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return nil // what is gone in the meantime is not looked for
		case len(c.byID) >= maxCgroups:
			return fs.SkipAll
		}
		if s, err := os.Stat(path); err == nil {
			if stat, ok := s.Sys().(*syscall.Stat_t); ok {
				c.byID[event.CgroupID(stat.Ino)] = found{ParseCgroup(strings.TrimPrefix(path, c.root)), true}
			}
		}
		return nil
	})
}
