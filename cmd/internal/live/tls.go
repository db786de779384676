package live

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// CertificateFiles are what a listener shows, and whom it talks to. Without a
// certificate it speaks plain text.
type CertificateFiles struct {
	Cert, Key string
	ClientCA  string // who signed the certificates of senders, "" for not asking
}

func (c *CertificateFiles) config() (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate to show: %w", err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if c.ClientCA != "" {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
		if cfg.ClientCAs, err = authorities(c.ClientCA); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// authorities reads whose signature is trusted.
func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read whom to trust: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read whom to trust: %s holds no certificate", file)
	}
	return pool, nil
}
