package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// word is a flag of a type of its own.
type word struct{ string }

func (w *word) String() string { return w.string }
func (w *word) Type() string   { return "text|json" }
func (w *word) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New("must be one of text, json")
	}
	w.string = s
	return nil
}

func schema() Schema {
	one, two := pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	one.SortFlags, two.SortFlags = false, false
	one.String("data", "one", "keep it under `DIR`")
	one.StringArray("follow", nil, "follow `PATTERN`")
	one.StringSlice("names", []string{"x"}, "these")
	one.Duration("lateness", 30*time.Second, "how late")
	one.Int("shards", 0, "work on `N`")
	one.Bool("sockets", false, "watch")
	one.Var(&word{"text"}, "log", "how to log")
	two.String("data", "two", "keep it under `DIR`")
	two.String("nats", "nats://127.0.0.1", "`URL` of the bus")
	return Schema{{"up", []Group{{"All", one}}}, {"node", []Group{{"All", two}}}}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadRefuses(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := Read(write(t, text), schema())
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%q gives %v, want %q", text, err, w)
			}
		}
	}
	f("data: d\nlatenes: 5s\n", `[2:1] unknown key "latenes", did you mean "lateness"?`, ">  2 | latenes: 5s\n       ^")
	f("something-else: 1\n", `[1:1] unknown key "something-else"; 'sennit config init -'`)
	f("data: 7\n", "[1:7] data: want text (put it in quotes)", ">  1 | data: 7")
	f("data:\n", `data: want a value ("" for none)`)
	f("data: [a]\n", "data: want text")
	f("sockets: 'yes'\n", "[1:10] sockets: want true or false")
	f("shards: 1.5\n", "[1:9] shards: want a whole number")
	f("lateness: 30\n", "[1:11] lateness: want a duration, as 30s or 5m")
	f("\nlateness: soon\n", "[2:11] lateness: time: invalid duration")
	f("log: xml\n", "[1:6] log: must be one of text, json")
	f("follow: a\n", "[1:9] follow: want a list, as [a, b]")
	f("follow:\n- a\n- 7\n", "[3:3] follow: want text")
	f("data: a\ndata: b\n", "[2:1]", "data")
	f("data: {\n", "[1:7]")
	f("- data\n", "[1:1] want lines of the form 'key: value'")
	f("data: a\n---\nnats: b\n", "[3:", "this is the second")
}

func TestApply(t *testing.T) {
	f := func(file, environ, args, key, want, origin string) {
		t.Helper()
		path := write(t, file)
		read, err := Read(path, schema())
		if err != nil {
			t.Fatal(err)
		}
		v := schema()[0]
		flags := v.Groups[0].Flags
		if err := flags.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if err := Apply(v, read, strings.Fields(environ)); err != nil {
			t.Fatal(err)
		}
		flag := flags.Lookup(key)
		if got := value(flag); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
		if got := strings.Replace(Origin(flag), path, "FILE", 1); got != origin {
			t.Errorf("%s comes from %q, want %q", key, got, origin)
		}
	}
	f("", "", "", "lateness", "30s", "default")
	f("# nothing\n", "", "", "data", "one", "default")
	f("nats: x\nlateness: 5s\n", "", "", "lateness", "5s", "FILE:2")
	f("lateness: 5s\n", "SENNIT_LATENESS=6s", "", "lateness", "6s", "SENNIT_LATENESS")
	f("lateness: 5s\n", "SENNIT_LATENESS=6s", "--lateness 7s", "lateness", "7s", "flag")
	f("sockets: true\n", "", "", "sockets", "true", "FILE:1")
	f("shards: 3\n", "", "", "shards", "3", "FILE:1")
	f("data: 'a b'\n", "SENNIT_DATA=", "", "data", `""`, "SENNIT_DATA")
	f("data: |-\n  a: b\n", "", "", "data", `"a: b"`, "FILE:1")
	f("follow: [a, 'b,c']\n", "", "", "follow", `[a, "b,c"]`, "FILE:1")
	f("follow: []\nnames: []\n", "", "", "names", "[]", "FILE:2")
	f("follow: [a]\n", `SENNIT_FOLLOW=b,"c,d"`, "", "follow", `[b, "c,d"]`, "SENNIT_FOLLOW")
	f("follow: [a]\n", "", "--follow b --follow c", "follow", "[b, c]", "flag")
	f("names: [a]\n", "SENNIT_NAMES=", "", "names", "[]", "SENNIT_NAMES")
	err := Apply(schema()[0], nil, []string{"SENNIT_SHARDS=many"})
	if err == nil || !strings.HasPrefix(err.Error(), "read the environment: SENNIT_SHARDS: ") {
		t.Errorf("a bad number in the environment gives %v", err)
	}
}

func TestUnknown(t *testing.T) {
	got := Unknown(schema(), []string{
		"HOME=/", "SENNIT_DATA=a", "SENNIT_NATS=a", "SENNIT_CONFIG=a", "SENNIT_LATENES=1s", "SENNIT_WHATEVER_IT_IS=1",
		"SENNIT_SERVICE_HOST=1", "SENNIT_NODE_SERVICE_PORT_OTLP=1", "SENNIT_PORT=tcp://1:2", "SENNIT_PORT_4317_TCP_ADDR=1",
	})
	want := []string{
		"SENNIT_LATENES in the environment is not a setting, did you mean SENNIT_LATENESS?",
		"SENNIT_WHATEVER_IT_IS in the environment is not a setting",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestShow(t *testing.T) {
	s := schema()
	if err := Apply(s[1], nil, []string{"SENNIT_NATS=nats://me:secret@host"}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Show(&b, s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"data: one                               # default; for 'sennit node' two\n",
		"nats: \"nats://xxxxx@host\"               # SENNIT_NATS\n",
		"names: [x]                              # default\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, &b)
		}
	}
}

// TestInit: with every key taken out of its comment, the file says what the
// defaults are.
func TestInit(t *testing.T) {
	var b bytes.Buffer
	if err := Init(&b, schema()); err != nil {
		t.Fatal(err)
	}
	var bare strings.Builder
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
			bare.WriteString(line[1:])
		}
	}
	read, err := Read(write(t, bare.String()), schema())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(schema().keys(), keysOf(read)); d != "" {
		t.Error(d)
	}
	s := schema()
	if err := Apply(s[0], read, nil); err != nil {
		t.Fatal(err)
	}
	for _, key := range s.keys() {
		if f := s[0].find(key); f != nil && value(f) != value(schema()[0].find(key)) {
			t.Errorf("%s is %s", key, value(f))
		}
	}
	if want := "# How to log (text|json). For 'sennit up'.\n#log: text\n"; !strings.Contains(b.String(), want) {
		t.Errorf("%q is not in\n%s", want, &b)
	}
	if want := "# Keep it under DIR. For 'sennit up'.\n# For 'sennit node' the default is two.\n#data: one\n"; !strings.Contains(b.String(), want) {
		t.Errorf("%q is not in\n%s", want, &b)
	}
}

func keysOf(f *File) (out []string) {
	for _, s := range f.settings {
		out = append(out, s.key)
	}
	return out
}
