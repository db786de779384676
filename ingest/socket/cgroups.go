package socket

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
	byID   map[event.CgroupID]container
	looked time.Time
}

// container is whose cgroup it is. Both are empty for what is in none.
type container struct{ podUID, id string }

// NewCgroups looks at cgroups below the root of cgroup2.
func NewCgroups(root string) *Cgroups { return &Cgroups{root: root} }

// of returns whose cgroup an id is. One that is not known yet is looked for, but
// not more than once a second, however many come.
func (c *Cgroups) of(id event.CgroupID) container {
	if c == nil {
		return container{}
	}
	found, known := c.byID[id]
	if known || time.Since(c.looked) < lookEvery {
		return found
	}
	c.look()
	c.looked = time.Now() // the look itself takes time
	if _, known := c.byID[id]; !known && len(c.byID) < maxCgroups {
		c.byID[id] = container{} // it has gone
	}
	return c.byID[id]
}

// look reads the whole tree anew: ids of what is gone are used again.
func (c *Cgroups) look() {
	c.byID = make(map[event.CgroupID]container)
	_ = filepath.WalkDir(c.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return nil // what is gone in the meantime is not looked for
		case len(c.byID) >= maxCgroups:
			return fs.SkipAll
		}
		if s, err := os.Stat(path); err == nil {
			if stat, ok := s.Sys().(*syscall.Stat_t); ok {
				c.byID[event.CgroupID(stat.Ino)] = parseCgroup(strings.TrimPrefix(path, c.root))
			}
		}
		return nil
	})
}

// parseCgroup reads the pod's uid and the container's id from a path, in the forms
// of both drivers of the kubelet (cgroupfs: /kubepods/burstable/pod<uid>/<id>;
// systemd: /kubepods.slice/…-pod<uid with _>.slice/<runtime>-<id>.scope) and of
// Docker. What is below a container is the container's.
//
// Below its own cgroup a container may make others and call them as it likes: the
// first name counts, and a pod's only below the kubelet's root.
func parseCgroup(path string) (c container) {
	path = strings.TrimPrefix(path, "/")
	kubelet := strings.HasPrefix(path, "kubepods") || strings.HasPrefix(path, "kubelet")
	for part := range strings.SplitSeq(path, "/") {
		name, slice := strings.CutSuffix(part, ".slice")
		switch {
		case c.id != "":
			return c
		case slice:
			if i := strings.LastIndex(name, "-pod"); i >= 0 && kubelet && c.podUID == "" {
				c.podUID = uid(strings.ReplaceAll(name[i+len("-pod"):], "_", "-"))
			}
		case strings.HasPrefix(name, "pod") && kubelet && c.podUID == "":
			c.podUID = uid(name[len("pod"):])
		default:
			name = strings.TrimSuffix(name, ".scope")
			if name = name[strings.LastIndexByte(name, '-')+1:]; len(name) == 64 && isHex(name) {
				c.id = name
			}
		}
	}
	return c
}

// uid returns what can be a pod's uid: of static pods it has no dashes.
func uid(s string) string {
	if plain := strings.ReplaceAll(s, "-", ""); len(plain) != 32 || !isHex(plain) {
		return ""
	}
	return s
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
