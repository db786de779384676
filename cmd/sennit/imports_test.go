package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sennit-io/sennit"

// mayImport is the table of CONTRIBUTING.md: which rooms a room may know, and
// which other modules. The longest prefix decides. A room knows itself.
var mayImport = map[string][]string{
	"schemas":                       {"google.golang.org/protobuf"},
	"schemas/event/eventtest":       {"schemas", "github.com/google/go-cmp"},
	"schemas/timeline/timelinetest": {"schemas", "github.com/santhosh-tekuri/jsonschema/v6"},
	"bpf":                           {"schemas", "github.com/cilium/ebpf", "golang.org/x/arch/x86/x86asm", "golang.org/x/sys"},
	"ingest":                        {"schemas"},
	"ingest/scan":                   {"schemas"},
	"ingest/scan/wiretest":          {"google.golang.org/protobuf/encoding/protowire"},
	"ingest/hubble":                 {"schemas", "ingest", "ingest/scan"},
	"ingest/hubble/observer":        {"schemas", "ingest/hubble", "ingest/rpc", "github.com/cilium/cilium/api", "google.golang.org/grpc", "google.golang.org/protobuf"},
	"ingest/tetragon":               {"schemas", "ingest", "ingest/scan"},
	"ingest/tetragon/sensors":       {"schemas", "ingest/tetragon", "ingest/rpc", "github.com/cilium/tetragon/api", "google.golang.org/grpc"},
	"ingest/rpc":                    {"schemas", "ingest", "google.golang.org/grpc"},
	"ingest/rpc/rpctest":            {"github.com/cilium/cilium/api", "github.com/cilium/tetragon/api", "google.golang.org/grpc"},
	"ingest/otlp":                   {"schemas", "ingest", "ingest/scan", "google.golang.org/protobuf/encoding/protowire"},
	"ingest/otlp/receiver": {
		"schemas", "ingest", "ingest/otlp", "golang.org/x/net/netutil", "golang.org/x/sync",
		"google.golang.org/grpc", "google.golang.org/genproto/googleapis/rpc", "google.golang.org/protobuf",
	},
	"ingest/gcp":        {"schemas", "ingest", "ingest/scan"},
	"ingest/gcp/pubsub": {"schemas", "ingest", "ingest/gcp", "cloud.google.com/go/pubsub/v2", "google.golang.org/api/option", "golang.org/x/sync"},
	"ingest/k8s":        {"schemas", "ingest", "ingest/scan"},
	"ingest/k8s/pods":   {"schemas", "golang.org/x/sys"},
	"ingest/k8s/watch": {
		"schemas", "ingest", "ingest/k8s", "k8s.io/api/core", "k8s.io/apimachinery", "k8s.io/client-go/rest", "k8s.io/client-go/tools/cache",
		"k8s.io/klog/v2", "github.com/go-logr/logr", "golang.org/x/sync",
	},
	"ingest/k8s/apitest":   {"k8s.io/api/core", "k8s.io/apimachinery"},
	"ingest/recording":     {"schemas", "ingest", "ingest/scan"},
	"ingest/socket":        {"schemas", "ingest", "ingest/scan", "ingest/k8s/pods", "bpf", "golang.org/x/sys", "golang.org/x/net/http2/hpack"},
	"ingest/bus":           {"schemas", "ingest/scan", "github.com/klauspost/compress", "github.com/nats-io/nats.go", "google.golang.org/protobuf/encoding/protowire"},
	"ingest/bus/embed":     {"github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go"},
	"ingest/bus/spool":     {},
	"ingest/tail":          {"schemas"},
	"ingest/replay":        {"schemas", "ingest/...", "github.com/klauspost/compress", "golang.org/x/sync"},
	"correlate":            {"schemas"},
	"correlate/state/disk": {"schemas", "correlate/state", "github.com/dgraph-io/badger/v4", "github.com/klauspost/compress"},
	"correlate/detect":     {"schemas", "cel.dev/cel-go", "github.com/goccy/go-yaml"},
	"correlate/shard":      {"schemas", "correlate/...", "golang.org/x/sync"},
	"sinks":                {"schemas"},
	"sinks/bigquery": {
		"schemas", "sinks", "cloud.google.com/go/bigquery", "google.golang.org/api", "google.golang.org/grpc", "google.golang.org/protobuf",
	},
	"sinks/fanout": {"schemas", "sinks"},
	"sinks/otlp": {
		"schemas", "sinks", "go.opentelemetry.io/proto/otlp/common", "go.opentelemetry.io/proto/otlp/resource", "go.opentelemetry.io/proto/otlp/trace",
		"google.golang.org/grpc", "google.golang.org/genproto/googleapis/rpc", "google.golang.org/protobuf",
	},
	"sinks/webhook": {"schemas", "sinks", "code.dny.dev/ssrf", "golang.org/x/net/http/httpguts"},
	"sinks/parquet": {"schemas", "sinks", "github.com/parquet-go/parquet-go"},
	"cmd":           {"..."},
	"testdata":      {"schemas", "ingest/...", "correlate/..."},
}

// mayStartGoroutines are the rooms in which a goroutine may begin.
var mayStartGoroutines = []string{"correlate/shard", "ingest/replay", "ingest/otlp/receiver", "ingest/rpc", "sinks/fanout", "sinks/bigquery/bigquerytest", "cmd"}

// topLevel are the folders of the design, and where `make build` puts its result.
var topLevel = []string{"bin", "bpf", "cmd", "correlate", "deploy", "docs", "ingest", "schemas", "sinks", "testdata"}

// pkg is what `go list` says about a package of the module, without its tests.
type pkg struct {
	ImportPath, Dir, Name, Doc string
	GoFiles, Imports           []string
	Standard                   bool
}

func (p *pkg) room() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Name,Doc,GoFiles,Imports,Standard", "./...")
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	var list []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("read the list of packages: %v", err)
		}
		list = append(list, p)
	}
	if len(list) < 5 {
		t.Fatalf("go list found %d packages; is this the root of the module?", len(list))
	}
	return list
}

// inside reports whether path is dir or below it.
func inside(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// rule finds the row of the table for a room.
func rule(room string) (name string, allowed []string, ok bool) {
	for prefix, list := range mayImport {
		if inside(room, prefix) && len(prefix) >= len(name) {
			name, allowed, ok = prefix, list, true
		}
	}
	return name, allowed, ok
}

func allowedImport(from, imported string) bool {
	name, allowed, ok := rule(from)
	if !ok {
		return false
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	if to, ours := strings.CutPrefix(imported, module+"/"); ours {
		if inside(to, "cmd") && !inside(from, "cmd") {
			return false
		}
		imported = to
	}
	if inside(imported, name) && name != "ingest" { // sources do not know each other
		return true
	}
	return slices.ContainsFunc(allowed, func(a string) bool {
		switch {
		case a == "...":
			return true
		case a == "ingest" || a == "ingest/scan" || a == "sinks": // these packages, not what lies below
			return imported == a
		}
		return inside(imported, strings.TrimSuffix(a, "/..."))
	})
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if !allowedImport(p.room(), imported) {
				t.Errorf("%s imports %s, which the table in this file does not allow", p.room(), imported)
			}
		}
		if p.Doc == "" && !inside(p.room(), "schemas/proto/sennit") { // generated
			t.Errorf("%s has no package comment", p.room())
		}
	}
}

// The table itself is worth something: what it must forbid, it forbids.
func TestImportTableForbids(t *testing.T) {
	f := func(from, imported string, want bool) {
		t.Helper()
		if got := allowedImport(from, imported); got != want {
			t.Errorf("%s imports %s: allowed %v, want %v", from, imported, got, want)
		}
	}
	f("schemas/event", "net/netip", true)
	f("schemas/event", module+"/ingest/scan", false)
	f("ingest/hubble", module+"/ingest/scan", true)
	f("ingest/hubble", module+"/ingest/tetragon", false)
	f("ingest/hubble", "github.com/cilium/cilium/api/v1/flow", false)
	f("ingest/hubble/observer", "github.com/cilium/cilium/api/v1/observer", true)
	f("ingest/gcp", "cloud.google.com/go/pubsub/v2", false)
	f("ingest/k8s/watch", "k8s.io/client-go/rest", true)
	f("ingest/k8s/watch", "k8s.io/client-go/kubernetes", false)
	f("ingest/k8s/pods", "k8s.io/api/core/v1", false)
	f("ingest/gcp/pubsub", "cloud.google.com/go/pubsub/v2", true)
	f("ingest/replay", module+"/ingest/tetragon", true)
	f("ingest/socket", module+"/bpf", true)
	f("ingest/hubble", module+"/bpf", false)
	f("bpf", module+"/ingest", false)
	f("ingest/scan", module+"/ingest/hubble", false)
	f("correlate/bind", module+"/ingest", false)
	f("correlate/bind", module+"/correlate/window", true)
	f("sinks/webhook", module+"/correlate", false)
	f("sinks/webhook", module+"/sinks", true)
	f("sinks/webhook", module+"/sinks/ndjson", false)
	f("sinks/parquet", module+"/sinks", true)
	f("sinks/parquet", module+"/sinks/ndjson", false)
	f("testdata/convert", module+"/cmd/internal/wire", false)
	f("cmd/sennit", module+"/correlate/shard", true)
	f("elsewhere", module+"/schemas/event", false)
}

// Goroutines start in few places, and the engine reads no clock.
func TestGoroutinesAndClocks(t *testing.T) {
	clocks := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	for _, p := range packages(t) {
		starts := slices.ContainsFunc(mayStartGoroutines, func(dir string) bool { return inside(p.room(), dir) })
		engine := inside(p.room(), "correlate")
		if engine {
			for _, imported := range p.Imports {
				if imported == "os" && p.room() == "correlate/state/disk" {
					continue // it is the files
				}
				if slices.Contains([]string{"log", "log/slog", "net", "net/http", "os"}, imported) {
					t.Errorf("%s imports %s: the engine has no logger, network or files", p.room(), imported)
				}
			}
		}
		for _, name := range p.GoFiles {
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					if !starts {
						t.Errorf("%s starts a goroutine", set.Position(n.Pos()))
					}
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && engine && x.Name == "time" && slices.Contains(clocks, n.Sel.Name) {
						t.Errorf("%s reads a clock: time.%s", set.Position(n.Pos()), n.Sel.Name)
					}
				}
				return true
			})
		}
	}
}

func TestHouse(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(topLevel, e.Name()) && hasFiles(t, filepath.Join("../..", e.Name())) {
			t.Errorf("top-level folder %s is not one of the design's", e.Name())
		}
	}
	main, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(main), "\n"); n > 30 {
		t.Errorf("main.go has %d lines, at most 30 are wanted", n)
	}
}

func hasFiles(t *testing.T, dir string) bool {
	t.Helper()
	found := false
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		found = found || err == nil && !d.IsDir()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
