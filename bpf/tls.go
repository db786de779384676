package bpf

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf/link"
)

// opensslPrograms are loaded only where TLS is looked into.
var opensslPrograms = map[string]bool{
	"ssl_write": true, "ssl_write_ex": true, "ssl_read": true, "ssl_read_ex": true, "ssl_done": true, "ssl_done_ex": true, "ssl_free": true,
	"ssl_handshake": true, "ssl_handshaken": true, "bio_write": true,
}

// FileError is about a file into whose TLS nobody can look: it is not there, or has
// none.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return "look into TLS of " + e.File + ": " + e.Err.Error() }

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }

var errNotOpenSSL = errors.New("it has no symbols SSL_read and SSL_write")

// attachProgram is attachTLS of a program that was not named: it may have neither.
func (s *Shim) attachProgram(file string) ([]link.Link, error) {
	if s.programs.Programs["go_read"] == nil {
		return nil, errors.New("its programs were rejected")
	}
	links, err := s.attachGo(file)
	if errors.Is(err, errNotGo) {
		return s.attachOpenSSL(file)
	}
	return links, err
}

// attachTLS puts probes on the functions of Go's crypto/tls, or of OpenSSL, that
// a file holds.
func (s *Shim) attachTLS(file string) ([]link.Link, error) {
	links, err := s.attachProgram(file)
	if beside := libcrypto(file); err == nil && beside != "" {
		var crypto []link.Link
		crypto, err = s.attachCrypto(beside)
		links = append(links, crypto...)
	}
	if errors.Is(err, errNotOpenSSL) {
		err = fmt.Errorf("%w, nor Go's crypto/tls; name a libssl.so, or a program with OpenSSL or Go inside", err)
		return nil, &FileError{file, err}
	}
	if errors.Is(err, os.ErrNotExist) || errors.As(err, new(*elf.FormatError)) {
		return nil, &FileError{file, err}
	}
	if err != nil {
		return nil, refused("look into TLS of "+file, err)
	}
	return links, nil
}

// function is one of OpenSSL's; leave is empty where its return says nothing.
type function struct{ symbol, enter, leave string }

var (
	opensslFunctions = []function{
		{"SSL_write", "ssl_write", "ssl_done"},
		{"SSL_write_ex", "ssl_write_ex", "ssl_done_ex"},
		{"SSL_read", "ssl_read", "ssl_done"},
		{"SSL_read_ex", "ssl_read_ex", "ssl_done_ex"},
		{"SSL_do_handshake", "ssl_handshake", "ssl_handshaken"},
		{"SSL_free", "ssl_free", ""},
	}
	// cryptoFunctions are in the same file, or in the libcrypto that it uses.
	cryptoFunctions = []function{{"BIO_write", "bio_write", ""}}
)

// attachOpenSSL puts probes on the functions of a libssl, or of a program that has
// OpenSSL inside.
func (s *Shim) attachOpenSSL(file string) ([]link.Link, error) {
	links, err := s.attachFunctions(file, opensslFunctions)
	if err != nil {
		return nil, err
	}
	if len(links) < 5 { // SSL_write and SSL_read with their returns, and SSL_free
		return nil, errors.Join(errNotOpenSSL, closeAll(links))
	}
	crypto, err := s.attachFunctions(file, cryptoFunctions)
	if err != nil {
		return nil, errors.Join(err, closeAll(links))
	}
	return append(links, crypto...), nil
}

// attachCrypto puts probes on what OpenSSL's other half, a libcrypto, has for us.
func (s *Shim) attachCrypto(file string) ([]link.Link, error) {
	return s.attachFunctions(file, cryptoFunctions)
}

// libcrypto returns the library that a libssl uses, as it lies beside it; "" if
// none does.
func libcrypto(libssl string) string {
	x, err := elf.Open(libssl)
	if err != nil {
		return ""
	}
	defer x.Close()
	needed, err := x.ImportedLibraries()
	if err != nil {
		return ""
	}
	for _, name := range needed {
		beside := filepath.Join(filepath.Dir(libssl), name)
		if _, err := os.Stat(beside); err == nil && strings.HasPrefix(name, "libcrypto") {
			return beside
		}
	}
	return ""
}

// attachFunctions puts probes on those of the functions that a file holds.
func (s *Shim) attachFunctions(file string, functions []function) (links []link.Link, err error) {
	x, err := link.OpenExecutable(file)
	if err != nil {
		return nil, err
	}
	for _, f := range functions {
		// The return first: a call that is entered is always left.
		if f.leave != "" {
			l, err := x.Uretprobe(f.symbol, s.programs.Programs[f.leave], nil)
			if absent(err) {
				continue // BoringSSL has no _ex
			}
			if err != nil {
				return nil, errors.Join(err, closeAll(links))
			}
			links = append(links, l)
		}
		l, err := x.Uprobe(f.symbol, s.programs.Programs[f.enter], nil)
		if absent(err) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(links))
		}
		links = append(links, l)
	}
	return links, nil
}

// absent is about a function that a file does not hold: it does not know of it, or
// takes it from a library.
func absent(err error) bool {
	return errors.Is(err, link.ErrNoSymbol) || errors.Is(err, link.ErrNotSupported)
}
