package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sennit-io/sennit/ingest/bus/embed"
)

// natsServer is the program "natsd DIR PORT": a NATS server of its own process.
func natsServer() {
	port, err := strconv.Atoi(os.Args[2])
	if err == nil {
		var s *embed.Server
		if s, err = embed.Start(embed.Options{Dir: os.Args[1], Host: "127.0.0.1", Port: port}); err == nil {
			stop := make(chan os.Signal, 1)
			signal.Notify(stop, syscall.SIGTERM)
			fmt.Fprintln(os.Stderr, "natsd answers on "+s.URL()+",")
			<-stop
			s.Close()
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// freePort is a port of loopback that nobody listened on a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// TestNodeSpools: a node takes spans while there is no bus, and while it is away;
// they get into their timelines though the node is killed before the bus comes.
func TestNodeSpools(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	port := freePort(t)
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	node := func() *service {
		return startService(t, "node", "--data", filepath.Join(dir, "node"), "--nats", url, "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", "127.0.0.1:0")
	}
	sent := 0
	take := func(n *service) {
		t.Helper()
		for range 20 {
			if !post(n.otlp, request(sent)) {
				t.Fatal("a node did not take a span while the bus is away")
			}
			sent++
		}
	}
	n := node()
	take(n)
	n.kill(t)
	n = node()
	take(n)
	n.metric(t, "sennit_spool_envelopes 40")
	b := startProgram(t, "natsd", filepath.Join(dir, "bus"), strconv.Itoa(port))
	p := startService(t, "processor", "--data", filepath.Join(dir, "processor"), "--nats", url, "--lateness", "1s", "--http", "127.0.0.1:0")
	n.metric(t, "sennit_spool_envelopes 0")
	take(n)
	b.kill(t)
	take(n)
	b = startProgram(t, "natsd", filepath.Join(dir, "bus"), strconv.Itoa(port))
	n.metric(t, "sennit_spool_envelopes 0")
	take(n)
	waitFor(t, filepath.Join(dir, "processor", "timelines.jsonl"), sent)
	p.kill(t)
	n.kill(t)
	b.kill(t)
	said := startRefused(t, "node", "--data", filepath.Join(dir, "node"), "--nats", url, "--spool", "1MB", "--otlp-http", "127.0.0.1:0")
	if !strings.Contains(said, "--spool must be 0 or at least 16 MiB") {
		t.Errorf("a spool that is too small: %s", said)
	}
}

// TestClusterSurvivesKills: node, bus and processor die in turn, and the bus is
// away for a while; every span that a sender was told is taken gets into its
// timeline, and no revision is written twice. SENNIT_KILLS scales it, the outage too.
func TestClusterSurvivesKills(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills, outage := 5, 10*time.Second
	if n, err := strconv.Atoi(os.Getenv("SENNIT_KILLS")); err == nil {
		kills, outage = n, time.Minute
	}
	dir := t.TempDir()
	port := freePort(t)
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	out := filepath.Join(dir, "processor", "timelines.jsonl")
	bus := func() *service {
		return startProgram(t, "natsd", filepath.Join(dir, "bus"), strconv.Itoa(port))
	}
	node := func() *service {
		return startService(t, "node", "--data", filepath.Join(dir, "node"), "--nats", url, "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", "127.0.0.1:0")
	}
	processor := func() *service {
		return startService(t, "processor", "--data", filepath.Join(dir, "processor"), "--nats", url, "--lateness", "1s", "--http", "127.0.0.1:0")
	}
	b := bus()
	p := processor()
	n := node()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		r, err := http.Get("http://" + p.http + "/readyz")
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				break
			}
		}
	}
	var addr atomic.Value
	addr.Store(n.otlp)
	sent, stop, done := 0, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for body := request(sent); !post(addr.Load().(string), body); {
				time.Sleep(20 * time.Millisecond)
			}
			sent++
			time.Sleep(2 * time.Millisecond)
		}
	}()
	for i := range kills {
		time.Sleep(time.Duration(200+rand.IntN(800)) * time.Millisecond)
		p.kill(t)
		p = processor()
		if i%5 < 3 {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
			n.kill(t)
			n = node()
			addr.Store(n.otlp)
		}
		if i%5 < 2 {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
			b.kill(t)
			if i == 0 {
				time.Sleep(outage)
			}
			b = bus()
		}
	}
	time.Sleep(300 * time.Millisecond)
	close(stop)
	<-done
	waitFor(t, out, sent)
	if t.Failed() {
		t.Logf("bus:\n%s\nnode:\n%s\nprocessor:\n%s", b.log, n.log, p.log) // one may have ended
		t.Logf("node:\n%s\nprocessor:\n%s", n.scrape(t), p.scrape(t))
	}
	for _, s := range []*service{n, p} {
		r, err := http.Get("http://" + s.http + "/readyz")
		if err != nil || r.StatusCode != http.StatusOK {
			t.Errorf("/readyz: %v, %v", r, err)
		}
		r.Body.Close()
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := <-s.ended; err != nil {
			t.Errorf("after SIGTERM it ended with %v\n%s", err, s.log)
		}
	}
	b.kill(t)
	lines, last := readTimelines(t, out)
	t.Logf("%d requests, %d kills of the processor, %d revisions of %d timelines", sent, kills, len(lines), len(last))
	if sent < 50 || len(last) != sent {
		t.Errorf("%d requests were taken, %d timelines written", sent, len(last))
	}
	seen := map[string]bool{}
	for _, l := range lines {
		if seen[l] {
			t.Errorf("revision %s is written twice", l)
		}
		seen[l] = true
	}
}

// TestProcessorsTakeOver: of three processors the one that leads is killed, the next
// is stopped for longer than its lease lasts and woken again, and each has a file of
// its own. All files hold all requests, each revision once, and are the same bytes.
func TestProcessorsTakeOver(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	port := freePort(t)
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	b := startProgram(t, "natsd", filepath.Join(dir, "bus"), strconv.Itoa(port))
	start := func(i int) *service {
		return startService(t, "processor", "--data", filepath.Join(dir, strconv.Itoa(i)), "--nats", url, "--lateness", "1s", "--http", "127.0.0.1:0")
	}
	all := []*service{start(0), start(1), start(2)}
	n := startService(t, "node", "--data", filepath.Join(dir, "node"), "--nats", url, "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", "127.0.0.1:0")
	stop, done, sent := make(chan struct{}), make(chan struct{}), 0
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			for body := request(sent); !post(n.otlp, body); {
				time.Sleep(20 * time.Millisecond)
			}
			sent++
		}
	}()
	// leader waits for one among some to lead.
	leader := func(among ...int) int {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			for _, i := range among {
				if strings.Contains(all[i].scrape(t), "\nsennit_processor_leads 1\n") {
					return i
				}
			}
		}
		t.Fatal("nobody leads")
		return 0
	}
	first := leader(0, 1, 2)
	time.Sleep(3 * time.Second)
	all[first].kill(t)
	rest := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == first })
	second := leader(rest...)
	all[first] = start(first)
	time.Sleep(2 * time.Second)
	if err := all[second].cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	leader(slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == second })...)
	time.Sleep(2 * time.Second)
	if err := all[second].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	close(stop)
	<-done
	var want string
	for i, s := range all {
		path := filepath.Join(dir, strconv.Itoa(i), "timelines.jsonl")
		waitFor(t, path, sent)
		s.kill(t)
		lines, last := readTimelines(t, path)
		if len(last) != sent {
			t.Errorf("processor %d has %d timelines of %d requests", i, len(last), sent)
		}
		sorted := slices.Sorted(slices.Values(lines))
		if twice := len(sorted) - len(slices.Compact(slices.Clone(sorted))); twice > 0 {
			t.Errorf("processor %d has %d revisions twice", i, twice)
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = string(whole)
		} else if string(whole) != want {
			t.Errorf("the files of processors 0 and %d differ", i)
		}
	}
	t.Logf("%d requests", sent)
	if sent < 500 {
		t.Errorf("only %d requests were sent", sent)
	}
	n.kill(t)
	b.kill(t)
}
