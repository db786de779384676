package webhook

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"code.dny.dev/ssrf"
)

// loopback is where a receiver may be without TLS.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// parseAddress checks where a receiver is said to be: over TLS, unless it is on
// this machine or in a network that was allowed.
func parseAddress(text string, allow []netip.Prefix) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil: // the error would quote the URL, and URLs hold tokens
		return nil, errors.New("it is not a URL")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return nil, errors.New("it must begin with https:// and name a host")
	case u.User != nil:
		return nil, errors.New("credentials do not belong into the URL: give a header")
	case u.Scheme == "http" && !onLoopback(u) && len(allow) == 0:
		return nil, errors.New("http:// is for receivers on this machine, and in networks that are allowed: use https://")
	}
	return u, nil
}

func onLoopback(u *url.URL) bool {
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.IsLoopback()
}

// newClient returns a client that reaches the receiver alone. Which addresses it may
// dial is decided after the name was resolved, so that no name leads to the metadata
// server or into the cluster: public ones, those allowed, and loopback if the URL
// says so. No proxy and no redirect leads around that.
func newClient(u *url.URL, allow []netip.Prefix, config *tls.Config, timeout time.Duration) *http.Client {
	may := allow
	if onLoopback(u) {
		may = slices.Concat(loopback, allow)
	}
	var v4, v6 []netip.Prefix
	for _, p := range may {
		if p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	options := []ssrf.Option{ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(v4...), ssrf.WithAllowedV6Prefixes(v6...)}
	if u.Scheme == "http" { // in the clear nothing goes beyond what was allowed
		options = append(options, ssrf.WithDeniedV4Prefixes(netip.MustParsePrefix("0.0.0.0/0")), ssrf.WithDeniedV6Prefixes(netip.MustParsePrefix("::/0")))
	}
	dialer := &net.Dialer{Timeout: timeout, Control: ssrf.New(options...).Safe}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: config, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: 90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// refused reports whether an error says that an address must not be dialled.
func refused(err error) bool {
	return errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork)
}

// explain says what to do where an address must not be dialled. It leaves out the
// URL, which may hold a token.
func explain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if refused(err) {
		return fmt.Errorf("%w: a receiver within the cluster has to be in a network that is allowed", err)
	}
	return err
}
