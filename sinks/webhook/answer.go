package webhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sennit-io/sennit/sinks"
)

// ErrGone says that a receiver answered 410: it wants nothing any more.
var ErrGone = errors.New("the receiver answered 410 Gone: nothing is sent to it until the next start")

// longestWait bounds what a receiver may ask for.
const longestWait = time.Hour

// judge says what an answer means; nil is delivered.
func judge(r *http.Response, now time.Time) *sinks.Failure {
	code := r.StatusCode
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusGone:
		return &sinks.Failure{Err: ErrGone, Permanent: true}
	case code >= 300 && code < 400:
		return &sinks.Failure{Err: fmt.Errorf("the receiver answered %s: redirects are not followed, name the address it leads to", r.Status), Permanent: true}
	}
	f := &sinks.Failure{Err: fmt.Errorf("the receiver answered %s%s", r.Status, said(r.Body)), After: retryAfter(r.Header.Get("Retry-After"), now)}
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
	default:
		f.Permanent = code >= 400 && code < 500
	}
	return f
}

// said is the beginning of an answer's body, quoted: it is another's text.
func said(body io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(body, 200)) // what cannot be read is not quoted
	if len(b) == 0 {
		return ""
	}
	return ": " + strconv.QuoteToASCII(string(b))
}

// retryAfter reads the header: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, longestWait)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, at.Sub(now)), longestWait)
	}
	return 0
}
