package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// writeCertificate writes cert.pem, which signs itself, and key.pem.
func writeCertificate(t *testing.T, dir string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// TestUpTakesOTLPOverTLS: only who has a certificate is talked to, and what was
// taken and refused is in the metrics.
func TestUpTakesOTLPOverTLS(t *testing.T) {
	t.Parallel() // it waits more than it works
	dir := t.TempDir()
	cert, key := writeCertificate(t, dir)
	s := startUp(t, filepath.Join(dir, "data"), "--otlp-cert", cert, "--otlp-key", key, "--otlp-client-ca", cert)
	defer s.kill(t)
	if post(s.otlp, request(0)) {
		t.Error("taken in plain text")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	send := func(body []byte, shown ...tls.Certificate) int {
		client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: shown}}}
		r, err := client.Post("https://"+s.otlp+"/v1/traces", "application/json", bytes.NewReader(body))
		if err != nil {
			return 0
		}
		defer r.Body.Close()
		return r.StatusCode
	}
	if code := send(request(1)); code != 0 {
		t.Errorf("without a certificate: %d", code)
	}
	if code := send(request(2), pair); code != http.StatusOK {
		t.Errorf("with a certificate: %d\n%s", code, s.log)
	}
	if code := send(bytes.Replace(request(3), []byte(`"traceId":"`), []byte(`"traceId":"x`), 1), pair); code != http.StatusOK { // a partial success
		t.Errorf("with a bad span: %d", code)
	}
	s.metric(t, `sennit_records_total{source="otlp",what="in"} 6`)
	s.metric(t, `sennit_records_total{source="otlp",what="events"} 5`)
	s.metric(t, `sennit_records_total{source="otlp",what="bad"} 1`)
	s.metric(t, `sennit_records_total{source="otlp",what="forged"} 0`)
	s.metric(t, `sennit_otlp_sent_away_total{why="busy"} 0`)
	for want, args := range map[string][]string{
		"--otlp-cert and --otlp-key belong together": {"--otlp-cert", cert},
		"--otlp-client-ca needs --otlp-cert":         {"--otlp-client-ca", cert},
		"read the certificate to show":               {"--otlp-cert", cert, "--otlp-key", cert},
		"key.pem holds no certificate":               {"--otlp-cert", cert, "--otlp-key", key, "--otlp-client-ca", key},
	} {
		if said := startRefused(t, append([]string{"up", "--data", filepath.Join(dir, "other"), "--otlp-grpc", "", "--otlp-http", "127.0.0.1:0", "--http", ""}, args...)...); !strings.Contains(said, want) {
			t.Errorf("%v: %s, want %q", args, said, want)
		}
	}
}

// TestUpTracesItself: a service whose own traces arrive at itself passes over them, and
// comes to rest.
func TestUpTracesItself(t *testing.T) {
	port := freePort(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", fmt.Sprintf("http://127.0.0.1:%d", port))
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	t.Setenv("OTEL_TRACES_SAMPLER", "always_on")
	s := startService(t, "up", "--data", t.TempDir(), "--otlp-grpc", "", "--otlp-http", fmt.Sprintf("127.0.0.1:%d", port), "--http", "127.0.0.1:0")
	defer s.kill(t)
	const requests = 5
	for i := range requests {
		if !post(s.otlp, request(i)) {
			t.Fatal("not taken")
		}
		time.Sleep(300 * time.Millisecond) // a turn each
	}
	own := regexp.MustCompile(`sennit_records_total\{source="otlp",what="own"\} (\d+)\n`)
	before, still := "", 0
	for deadline := time.Now().Add(time.Minute); still < 10; time.Sleep(100 * time.Millisecond) {
		m := own.FindStringSubmatch(s.scrape(t))
		if time.Now().After(deadline) {
			t.Fatalf("it does not come to rest, or does not trace itself: %v\n%s", m, s.log)
		}
		if m == nil || m[1] == "0" || m[1] != before {
			if m != nil {
				before, still = m[1], 0
			}
			continue
		}
		still++
	}
	s.metric(t, fmt.Sprintf(`sennit_records_total{source="otlp",what="events"} %d`, 3*requests))
	s.metric(t, fmt.Sprintf(`sennit_events_total{fate="in",reason=""} %d`, 3*requests))
}
