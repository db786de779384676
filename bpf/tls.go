package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/link"
)

// opensslPrograms are loaded only where TLS is looked into.
var opensslPrograms = map[string]bool{
	"ssl_write": true, "ssl_write_ex": true, "ssl_read": true, "ssl_read_ex": true, "ssl_done": true, "ssl_done_ex": true, "ssl_free": true,
	"ssl_handshake": true, "ssl_shaken": true,
}

var errNotOpenSSL = errors.New("it has no symbols SSL_read and SSL_write")

// attachTLS puts probes on the functions of Go's crypto/tls, or of OpenSSL, that
// a file holds.
func (s *Shim) attachTLS(file string) ([]link.Link, error) {
	links, err := s.attachGo(file)
	if errors.Is(err, errNotGo) {
		links, err = s.attachOpenSSL(file)
	}
	if errors.Is(err, errNotOpenSSL) {
		return nil, fmt.Errorf("look into TLS of %s: %w, nor Go's crypto/tls; name a libssl.so, or a program with OpenSSL or Go inside", file, err)
	}
	if err != nil {
		return nil, refused("look into TLS of "+file, err)
	}
	return links, nil
}

func (s *Shim) attachOpenSSL(file string) (links []link.Link, err error) {
	x, err := link.OpenExecutable(file)
	if err != nil {
		return nil, err
	}
	found := 0
	for _, f := range []struct{ symbol, enter, leave string }{
		{"SSL_write", "ssl_write", "ssl_done"},
		{"SSL_write_ex", "ssl_write_ex", "ssl_done_ex"},
		{"SSL_read", "ssl_read", "ssl_done"},
		{"SSL_read_ex", "ssl_read_ex", "ssl_done_ex"},
		{"SSL_do_handshake", "ssl_handshake", "ssl_shaken"},
		{"SSL_free", "ssl_free", ""},
	} {
		// The return first: a call that is entered is always left.
		if f.leave != "" {
			l, err := x.Uretprobe(f.symbol, s.programs.Programs[f.leave], nil)
			if errors.Is(err, link.ErrNoSymbol) {
				continue // BoringSSL has no _ex
			}
			if err != nil {
				return nil, errors.Join(err, closeAll(links))
			}
			links = append(links, l)
		}
		l, err := x.Uprobe(f.symbol, s.programs.Programs[f.enter], nil)
		if errors.Is(err, link.ErrNoSymbol) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(links))
		}
		links = append(links, l)
		found++
	}
	if found < 3 {
		return nil, errors.Join(errNotOpenSSL, closeAll(links))
	}
	return links, nil
}
