// Package natsauth makes the users of a NATS server that is Sennit's bus: a key for
// each, and the part of the server's configuration that says what each may do.
package natsauth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/sennit-io/sennit/ingest/bus"
)

// Config is the name of the configuration in its folder.
const Config = "auth.conf"

// Files of seeds end in suffix; those of nodes begin with prefix.
const (
	prefix = "node-"
	suffix = ".nk"
)

// User is one user of the bus.
type User struct {
	Name string // for people
	File string // of the seed, in the folder
	New  bool
	node string // its token, "" for another user
	key  string
	perm bus.Permissions
}

// Write makes keys for nodes, the processor, the sinks, a recorder and a listener in a folder,
// and the configuration of them all. Keys that are there are kept, and so are nodes
// that have one: to take a node's right away, its file is deleted.
func Write(dir string, nodes []string) ([]User, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of keys: %w", err)
	}
	had, err := nodesIn(dir)
	if err != nil {
		return nil, err
	}
	nodes = append(had, nodes...)
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	users := []User{{Name: "processor", File: "processor" + suffix}, {Name: "sinks", File: "sinks" + suffix}, {Name: "recorder", File: "recorder" + suffix}, {Name: "listener", File: "listener" + suffix}}
	fixed := len(users)
	for _, n := range nodes {
		users = append(users, User{Name: "node " + strconv.Quote(n), File: prefix + bus.NodeToken(n) + suffix, node: bus.NodeToken(n)})
	}
	for i := range users {
		u := &users[i]
		if u.key, u.New, err = keep(filepath.Join(dir, u.File)); err != nil {
			return nil, err
		}
		switch u.Name {
		case "processor":
			u.perm = bus.ProcessorPermissions(u.key)
		case "sinks":
			u.perm = bus.SinkPermissions(u.key)
		case "recorder":
			u.perm = bus.RecorderPermissions(u.key)
		case "listener":
			u.perm = bus.ListenerPermissions(u.key)
		default:
			u.perm = bus.NodePermissions(nodes[i-fixed], u.key)
		}
	}
	return users, replace(filepath.Join(dir, Config), text(users))
}

// nodesIn are the nodes that have a key in a folder.
func nodesIn(dir string) (nodes []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the folder of keys: %w", err)
	}
	for _, e := range entries {
		token, isNode := strings.CutPrefix(e.Name(), prefix)
		token, isSeed := strings.CutSuffix(token, suffix)
		if !isNode || !isSeed {
			continue
		}
		n, err := bus.NodeOf(token)
		if err != nil {
			return nil, fmt.Errorf("read the folder of keys: %s is no name that nats-config gives: move it away", e.Name())
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// keep returns the public key of the seed in a file, which it makes if there is none.
func keep(path string) (public string, made bool, err error) {
	seed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		made = true
		seed, err = newSeed(path)
	}
	if err != nil {
		return "", false, fmt.Errorf("keep a key: %w", err)
	}
	public, err = PublicKey(seed)
	if err != nil {
		return "", false, fmt.Errorf("read %s: %w", path, err)
	}
	return public, made, nil
}

func newSeed(path string) ([]byte, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	seed = append(seed, '\n')
	_, err = f.Write(seed)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return seed, nil
}

// PublicKey is the public key of a user whose seed, or whose credentials, a file
// holds.
func PublicKey(file []byte) (string, error) {
	pair, err := nkeys.ParseDecoratedNKey(file)
	if err != nil {
		return "", err
	}
	defer pair.Wipe()
	key, err := pair.PublicKey()
	if err == nil && !nkeys.IsValidPublicUserKey(key) {
		err = errors.New("it is not the seed of a user")
	}
	return key, err
}

// text is the configuration. Each node has an account of its own that imports the
// one subject it publishes to. Permissions alone would not do: a sender chooses where
// the acknowledgement goes, and in one account that could be a subject of another
// node, or of the results.
func text(users []User) []byte {
	var b bytes.Buffer
	b.WriteString(`# Who may do what on Sennit's bus. Written by 'sennit nats-config'; run it again
# rather than editing this file. The configuration of nats-server includes it:
#
#   jetstream { store_dir: /data, sync_interval: always }
#   include ` + Config + `
accounts {
  SENNIT {
    jetstream: enabled
    exports: [ { service: "sennit.events.>" } ]
    users: [
`)
	for _, u := range users {
		if u.node == "" {
			u.write(&b)
		}
	}
	b.WriteString("    ]\n  }\n")
	for _, u := range users {
		if u.node != "" {
			fmt.Fprintf(&b, "  %q {\n    imports: [ { service: { account: SENNIT, subject: %q } } ]\n    users: [\n", "NODE_"+u.node, u.perm.Publish[0])
			u.write(&b)
			b.WriteString("    ]\n  }\n")
		}
	}
	b.WriteString("}\n")
	return b.Bytes()
}

func (u *User) write(b *bytes.Buffer) {
	fmt.Fprintf(b, "      { # %s\n        nkey: %s\n        permissions: {\n", u.Name, u.key)
	for _, side := range []struct {
		verb string
		list []string
	}{{"publish", u.perm.Publish}, {"subscribe", u.perm.Subscribe}} {
		if len(side.list) == 0 { // to the server, nothing allowed would be everything
			fmt.Fprintf(b, "          %s: { deny: [ \">\" ] }\n", side.verb)
			continue
		}
		fmt.Fprintf(b, "          %s: { allow: [\n", side.verb)
		for _, s := range side.list {
			fmt.Fprintf(b, "            %q\n", s)
		}
		b.WriteString("          ] }\n")
	}
	b.WriteString("        }\n      }\n")
}

// replace writes a file at once or not at all.
func replace(path string, data []byte) error {
	tmp := path + ".tmp"
	err := os.WriteFile(tmp, data, 0o644) // public keys only
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}
