package redact

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sennit-io/sennit/schemas/event"
)

func TestPath(t *testing.T) {
	f := func(in, redacted, open string) {
		t.Helper()
		closed := Policy{}
		if got := string(closed.Path([]byte(in))); got != redacted {
			t.Errorf("Path(%q) = %q, want %q", in, got, redacted)
		}
		queries := Policy{URLQueries: true}
		if got := string(queries.Path([]byte(in))); got != open {
			t.Errorf("Path(%q) with queries = %q, want %q", in, got, open)
		}
	}
	f("", "", "")
	f("/run", "/run", "/run")
	f("/run?key=secret#part", "/run", "/run?key=secret#part")
	f("/run#part", "/run", "/run#part")
	f("/mail/me@example.com", "/mail/me@example.com", "/mail/me@example.com")
	f("https://h/p?q", "https://h/p", "https://h/p?q")
	f("https://user:pw@h/p?q", "h/p", "h/p?q")
	f("https://user:p@w@h/p@x", "h/p@x", "h/p@x")
	f("//user:pw@h/p", "h/p", "h/p")
	f("?q", "", "?q")
}

func TestSplitURL(t *testing.T) {
	f := func(in, host, path string) {
		t.Helper()
		var p Policy
		h, q := p.SplitURL([]byte(in))
		if string(h) != host || string(q) != path {
			t.Errorf("SplitURL(%q) = %q, %q, want %q, %q", in, h, q, host, path)
		}
	}
	f("/run?x", "", "/run")
	f("http://a.b:8080/run?x=1", "a.b:8080", "/run")
	f("https://user:pw@a.b/run", "a.b", "/run")
	f("https://a.b", "a.b", "/")
	f("https://a.b?x", "a.b", "/")
	f("https://a.b#x", "a.b", "/")
	f("grpc://[::1]:80/p", "[::1]:80", "/p")
	f("", "", "")
	f("*", "", "*")
	f("a:443", "", "a:443")
}

// A tool that was told to run a command must meet the process that ran it,
// however the shell and the kernel spelled it.
func TestCommandMeetsText(t *testing.T) {
	var h Hasher
	f := func(text, binary, args string, want bool) {
		t.Helper()
		if got := agree(h.Text(text), h.Command(binary, args)); got != want {
			t.Errorf("tool %q and process %s %s: agree %v, want %v", text, binary, args, got, want)
		}
	}
	f("cat /etc/hosts", "/usr/bin/cat", "/etc/hosts", true)
	f("cat /etc/hosts", "/bin/sh", `-c "cat /etc/hosts"`, true)
	f("cat   '/etc/hosts'", "/bin/bash", `-lc "cat /etc/hosts"`, true)
	f("cat /etc/hosts | wc -l", "/bin/sh", `-c "cat /etc/hosts | wc -l"`, true)
	f("https://example.com/x", "/usr/bin/curl", "-s https://example.com/x", true)
	f("/usr/local/bin/report --out /tmp/r.pdf", "/usr/local/bin/report", "--out /tmp/r.pdf", true)
	f("ls", "/bin/ls", "", true)
	f("cat /etc/hosts", "/usr/bin/cat", "/etc/passwd", false)
	f("cat /etc/hosts", "/usr/bin/head", "/etc/hosts", false)
	f("", "/bin/ls", "", false)
	f("cat a b", "/usr/bin/cat", "ab", false)
}

// agree reports whether any two places hold one hash.
func agree(a, b event.Hashes) bool {
	for _, x := range a {
		for _, y := range b {
			if x != 0 && x == y {
				return true
			}
		}
	}
	return false
}

func TestHashesAreKeyed(t *testing.T) {
	one, two := Hasher{Key: [32]byte{1}}, Hasher{Key: [32]byte{2}}
	a, b := one.Command("/bin/sh", `-c "curl https://h/p"`), two.Command("/bin/sh", `-c "curl https://h/p"`)
	if agree(a, b) {
		t.Errorf("two keys agree: %v and %v", a, b)
	}
	for i, v := range a {
		if v == 0 {
			t.Errorf("form %d is missing", i)
		}
	}
	if again := one.Command("/bin/sh", `-c "curl https://h/p"`); again != a {
		t.Errorf("the same command gave %v and %v", a, again)
	}
}

func TestCut(t *testing.T) {
	f := func(in string, n int, want string) {
		t.Helper()
		if got := Cut(in, n); got != want {
			t.Errorf("Cut(%q, %d) = %q, want %q", in, n, got, want)
		}
	}
	f("abc", 3, "abc")
	f("abc", 2, "ab")
	f("a\u00e9", 2, "a")
	f("\u00e9", 1, "")
	f("", 0, "")
}

// Nothing between a scheme and its host may come out, nor any query.
func FuzzRedact(f *testing.F) {
	f.Add([]byte("https://user:pw@host/p?q#f"))
	f.Add([]byte("//a@b@c?d"))
	f.Add([]byte("sh -c \"curl 'https://x/\" -lc"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var p Policy
		host, path := p.SplitURL(in)
		if bytes.ContainsAny(path, "?#") || bytes.ContainsAny(p.Path(in), "?#") || bytes.IndexByte(host, '@') >= 0 {
			t.Fatalf("SplitURL(%q) = %q, %q; Path %q", in, host, path, p.Path(in))
		}
		var h Hasher
		name, args, _ := strings.Cut(string(in), " ")
		h.Command(name, args)
		h.Text(string(in))
		if c := Cut(string(in), 5); utf8.Valid(in) && !utf8.ValidString(c) || len(c) > 5 {
			t.Fatalf("Cut(%q) = %q", in, c)
		}
	})
}

func TestHasherAllocatesNothing(t *testing.T) {
	var h Hasher
	args := `-c "curl -s https://example.com/invoices/2026/11 | head -c 100 > /tmp/answer-of-the-tool.json"`
	if n := testing.AllocsPerRun(100, func() { h.Command("/bin/bash", args); h.Text(args) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
