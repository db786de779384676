package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf/link"
)

// Auto is given to Open in place of a file and stands for the files that running
// processes turn out to use: a Follower finds them.
const Auto = "auto"

const (
	// linger is how long probes stay on a file that nobody uses: a program that is
	// started again and again is seen from its second start.
	linger = time.Minute
	// maxKnown bounds the files of which it is known that they have no TLS.
	maxKnown = 1 << 12
)

// Follower keeps probes on the libraries of OpenSSL, and the programs with OpenSSL or
// Go's TLS inside, that processes use. Not for concurrent use.
type Follower struct {
	shim  *Shim
	files map[inode]*followed
	users map[uint32][]inode // by process
}

// inode is a file, whatever its path is in whoever's container.
type inode struct{ dev, ino uint64 }

// followed is a file that was looked at; links is empty where it has no TLS.
type followed struct {
	links []link.Link
	users int
	since time.Time // when the last user ended
}

// Follower returns what follows processes, nil if Open was not told Auto.
func (s *Shim) Follower() *Follower {
	if !s.auto {
		return nil
	}
	return &Follower{shim: s, files: make(map[inode]*followed), users: make(map[uint32][]inode)}
}

// Look puts probes on what a process uses now. One that has ended meanwhile is no
// error.
func (f *Follower) Look(pid uint32) error {
	if int(pid) == os.Getpid() {
		return nil // an observer does not observe itself
	}
	root := fmt.Sprintf("/proc/%d", pid)
	errs := f.use(pid, root+"/exe", f.shim.attachProgram)
	maps, err := os.Open(root + "/maps")
	if err != nil {
		return ended(errors.Join(errs, err))
	}
	defer maps.Close()
	last := ""
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 6 || fields[5] == last {
			continue
		}
		last = fields[5]
		switch name := path.Base(last); {
		case strings.HasPrefix(name, "libssl"), strings.HasPrefix(name, "libnode"):
			errs = errors.Join(errs, f.use(pid, root+"/root"+last, f.shim.attachOpenSSL))
		case strings.HasPrefix(name, "libcrypto"):
			errs = errors.Join(errs, f.use(pid, root+"/root"+last, f.shim.attachCrypto))
		}
	}
	return ended(errs)
}

// ended takes away what is only said because a process has ended, or because
// what it maps was deleted.
func ended(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// use notes that a process uses a file.
func (f *Follower) use(pid uint32, file string, attach func(string) ([]link.Link, error)) error {
	// Held open, it can be read and probed also when the process has ended meanwhile.
	held, err := os.Open(file)
	if err != nil {
		return err
	}
	defer held.Close()
	var st syscall.Stat_t
	if err := syscall.Fstat(int(held.Fd()), &st); err != nil {
		return err
	}
	id := inode{st.Dev, st.Ino}
	for _, other := range f.users[pid] {
		if other == id {
			return nil
		}
	}
	x := f.files[id]
	if x == nil {
		links, err := attach(fmt.Sprintf("/proc/self/fd/%d", held.Fd()))
		if err != nil && !errors.Is(err, errNotGo) && !errors.Is(err, errNotOpenSSL) {
			return err
		}
		for old, y := range f.files {
			if len(f.files) < maxKnown {
				break
			}
			if len(y.links) == 0 {
				delete(f.files, old)
			}
		}
		x = &followed{links: links}
		f.files[id] = x
	}
	if len(x.links) > 0 {
		x.users++
		f.users[pid] = append(f.users[pid], id)
	}
	return nil
}

// Ended lets go what a process used.
func (f *Follower) Ended(pid uint32) {
	for _, id := range f.users[pid] {
		x := f.files[id]
		if x.users--; x.users == 0 {
			x.since = time.Now()
		}
	}
	delete(f.users, pid)
}

// Release takes the probes off files that nobody has used for a while.
func (f *Follower) Release() (err error) {
	for id, x := range f.files {
		if len(x.links) > 0 && x.users == 0 && time.Since(x.since) >= linger {
			err = errors.Join(err, closeAll(x.links))
			delete(f.files, id)
		}
	}
	return err
}

// Files is how many files have probes.
func (f *Follower) Files() (n int) {
	for _, x := range f.files {
		if len(x.links) > 0 {
			n++
		}
	}
	return n
}

// Close takes all probes off.
func (f *Follower) Close() (err error) {
	for _, x := range f.files {
		err = errors.Join(err, closeAll(x.links))
	}
	clear(f.files)
	clear(f.users)
	return err
}
