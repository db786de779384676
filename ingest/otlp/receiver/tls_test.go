package receiver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc/credentials"
)

// certificate makes a certificate that signs itself, for a server or a client.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// The SDK's exporters speak TLS with the receiver, and show it who they are.
func TestTLS(t *testing.T) {
	own, trusted := certificate(t)
	client, clients := certificate(t)
	stranger, _ := certificate(t)
	var got store
	r, _ := start(t, Config{TLS: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
	}}, got.take)
	f := func(ok bool, shown ...tls.Certificate) {
		t.Helper()
		cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: trusted, Certificates: shown}
		viaGRPC, err := otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(r.GRPCAddr().String()), otlptracegrpc.WithTLSCredentials(credentials.NewTLS(cfg)),
			otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}), otlptracegrpc.WithTimeout(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		viaHTTP, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpoint(r.HTTPAddr().String()), otlptracehttp.WithTLSClientConfig(cfg),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}), otlptracehttp.WithTimeout(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		for name, x := range map[string]*otlptrace.Exporter{"grpc": viaGRPC, "http": viaHTTP} {
			before := len(got.spans)
			if ok {
				emit(t, x, name, 3)
			} else if err := x.ExportSpans(t.Context(), tracetest.SpanStubs{{Name: "x"}}.Snapshots()); err == nil {
				t.Errorf("%s: taken from a stranger", name)
			}
			if n := len(got.spans) - before; ok != (n == 3) {
				t.Errorf("%s: %d spans arrived", name, n)
			}
			if err := x.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	f(true, client)
	f(false)
	f(false, stranger)
	c, err := net.Dial("tcp", r.HTTPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := tls.Client(c, &tls.Config{RootCAs: trusted, ServerName: "127.0.0.1", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}).HandshakeContext(t.Context()); err == nil {
		t.Error("speaks TLS 1.1")
	}
}
