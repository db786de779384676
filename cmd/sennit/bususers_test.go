package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, file: filepath.Join(dir, "ca.pem"), cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	a.write(t, a.file, a.cert, key)
	return a
}

func (a *authority) write(t *testing.T, file string, cert *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{file: {Type: "CERTIFICATE", Bytes: der}, file + ".key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// issue writes FILE and FILE.key for a server or client on loopback.
func (a *authority) issue(t *testing.T, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, file, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: file}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key)
}

// startNATS runs a NATS server of a configuration in this process.
func startNATS(t *testing.T, conf string) *server.Server {
	t.Helper()
	opts, err := server.ProcessConfigFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not take connections")
	}
	return s
}

// TestBusUsers: with the users that nats-config makes and TLS on both sides, nodes
// and processor work, and who is not let in is told so at once.
func TestBusUsers(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	said := sennit(t, "nats-config", "--nodes", "a,b", "--out", keys)
	if !strings.Contains(string(said), `new   node "b"`) {
		t.Errorf("it says %s", said)
	}
	ca := newAuthority(t, dir)
	for _, name := range []string{"server.pem", "client.pem"} {
		ca.issue(t, filepath.Join(dir, name))
	}
	conf := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: 127.0.0.1:-1\njetstream { store_dir: %q }\ntls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }\ninclude keys/auth.conf\n",
		t.TempDir(), filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.pem.key"), ca.file)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "tls://" + startNATS(t, conf).Addr().String()
	trust := []string{"--nats", url, "--nats-ca", ca.file, "--http", "127.0.0.1:0"}
	shown := append(trust, "--nats-cert", filepath.Join(dir, "client.pem"), "--nats-key", filepath.Join(dir, "client.pem.key"))
	settings := filepath.Join(dir, "sennit.yaml") // the same for who reads it there
	text = fmt.Sprintf("nats: %s\nnats-ca: %s\nnats-cert: %s\nnats-key: %s\nhttp: 127.0.0.1:0\n", url, ca.file, shown[len(shown)-3], shown[len(shown)-1])
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	as := func(verb, user string, more ...string) []string {
		return append(append([]string{verb, "--data", filepath.Join(dir, user), "--nats-nkey", filepath.Join(keys, user+".nk")}, more...), shown...)
	}
	// The processor posts alerts too: a durable receiver on a bus that is another's.
	hook := receive(t, nil)
	writeFiles(t, dir, map[string]string{"rules/tell.yaml": tellRules, "secret": testSecret})
	p := startService(t, as("processor", "processor", "--lateness", "1s", "--rules", filepath.Join(dir, "rules"),
		"--webhook", hook.URL+"#name=hook", "--webhook-secret-file", filepath.Join(dir, "secret"))...)
	r := startService(t, "record", "--out", filepath.Join(dir, "events"), "--nats-nkey", filepath.Join(keys, "recorder.nk"), "--config", settings)
	receiving := []string{"--otlp-grpc", "", "--otlp-http", "127.0.0.1:0"}
	requests := 0
	var nodes []*service
	for _, name := range []string{"a", "b"} {
		n := startService(t, as("node", "node-"+name, append(receiving, "--node", name)...)...)
		nodes = append(nodes, n)
		for deadline := time.Now().Add(time.Minute); !post(n.otlp, request(requests)); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("node %s does not take spans\n%s\n%s", name, n.log, p.log)
			}
		}
		requests++
	}
	waitFor(t, filepath.Join(dir, "processor", "timelines.jsonl"), requests)
	hook.wait(t, requests, func(d delivery) bool { return d.rule == "ran" && d.revision == 1 })
	for _, s := range append(nodes, p, r) {
		stop(t, s)
	}
	if got := linesOf(t, filepath.Join(dir, "events")); got != 3*requests {
		t.Errorf("%d events are recorded, want %d\n%s", got, 3*requests, r.log)
	}

	// One that says it is another gets nothing through, and its log says why.
	forger := startService(t, as("node", "node-a", append(receiving, "--node", "b")...)...)
	if post(forger.otlp, request(99)) {
		t.Error("a node with another's name is told that its spans are taken")
	}
	forger.metric(t, "sennit_bus_takes 0")
	forger.notReady(t, "the bus does not take events: nats: permissions violation")
	forger.kill(t)
	if !strings.Contains(forger.log.String(), "the bus refuses") || !strings.Contains(forger.log.String(), "Permissions Violation for Publish") {
		t.Errorf("the log does not say that it is refused:\n%s", forger.log)
	}
	for want, args := range map[string][]string{
		"Authorization Violation": append([]string{"processor", "--data", t.TempDir()}, shown...),
		// A server that wants a certificate says so after the handshake, or just hangs up:
		// it is waited for.
		"certificate required|after TLS handshake": append([]string{"processor", "--data", t.TempDir()}, trust...),
		"unknown authority":                        {"processor", "--data", t.TempDir(), "--nats", url, "--http", ""},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		said := &hears{what: regexp.MustCompile(want), then: cancel}
		cmd := exec.CommandContext(ctx, "sennit", args...)
		cmd.Stdout, cmd.Stderr = said, said
		err := cmd.Run()
		cancel()
		if err == nil || !said.what.Match(said.text) {
			t.Errorf("want %q: %v\n%s", want, err, said.text)
		}
	}
}

// TestRefusedNodeKeeps: a node whose user the bus does not know says so, keeps what
// comes, and sends it when the user is known.
func TestRefusedNodeKeeps(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	sennit(t, "nats-config", "--nodes", "a", "--out", keys)
	conf := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "listen: 127.0.0.1:-1\njetstream { store_dir: %q }\ninclude keys/auth.conf\n", t.TempDir()), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := startNATS(t, conf)
	sennit(t, "nats-config", "--nodes", "a,b", "--out", keys) // which the server has not read
	start := func(verb, user string, more ...string) *service {
		return startService(t, append([]string{
			verb, "--data", filepath.Join(dir, user), "--nats", "nats://" + bus.Addr().String(), "--nats-nkey", filepath.Join(keys, user+".nk"), "--http", "127.0.0.1:0",
		}, more...)...)
	}
	p := start("processor", "processor", "--lateness", "1s")
	n := start("node", "node-b", "--node", "b", "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0")
	for i := range 3 {
		if !post(n.otlp, request(i)) {
			t.Fatalf("span %d is not taken\n%s", i, n.log)
		}
	}
	n.notReady(t, "the bus is away: nats: Authorization Violation")
	n.metric(t, "sennit_bus_takes 0")
	n.metric(t, "sennit_spool_envelopes 3")
	time.Sleep(5 * time.Second) // what lasts for so long is logged
	for range 2 {               // the first makes the account, the second its import
		if err := bus.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	n.metric(t, "sennit_bus_takes 1")
	waitFor(t, filepath.Join(dir, "processor", "timelines.jsonl"), 3)
	stop(t, n)
	stop(t, p)
	if !strings.Contains(strings.ToLower(n.log.String()), "does not let this user in\" error=\"the bus is away: nats: authorization violation") {
		t.Errorf("the log does not say that it is refused:\n%s", n.log)
	}
}

// hears keeps what a process says, and calls then as soon as it has said what it is
// waited for.
type hears struct {
	text []byte
	what *regexp.Regexp
	then func()
}

func (h *hears) Write(b []byte) (int, error) {
	h.text = append(h.text, b...)
	if h.what.Match(h.text) {
		h.then()
	}
	return len(b), nil
}
