package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

type overHTTP struct {
	client http.Client
	url    string
	head   http.Header
	packed bytes.Buffer
	zip    *gzip.Writer
}

func newHTTP(u *url.URL, o *Options) (*overHTTP, error) {
	if u.Scheme == "http" && o.TLS != nil {
		return nil, fmt.Errorf("%q speaks no TLS: want https://", o.URL)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	t := &overHTTP{url: u.String(), head: o.Header.Clone(), zip: gzip.NewWriter(nil)}
	if t.head == nil {
		t.head = http.Header{}
	}
	t.head.Set("Content-Type", "application/x-protobuf")
	t.head.Set("Content-Encoding", "gzip")
	t.client.Transport = &http.Transport{
		TLSClientConfig: o.TLS, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
	}
	// A redirect would take the headers, a token among them, to another.
	t.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return t, nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

func (t *overHTTP) export(ctx context.Context, body []byte) error {
	t.packed.Reset()
	t.zip.Reset(&t.packed)
	if _, err := t.zip.Write(body); err != nil {
		return err
	}
	if err := t.zip.Close(); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(t.packed.Bytes()))
	if err != nil {
		return err
	}
	req.Header = t.head.Clone()
	res, err := t.client.Do(req)
	if err != nil {
		var of *url.Error
		if errors.As(err, &of) {
			err = of.Err // without the URL, which may hold a token
		}
		return &refusal{text: "the receiver is away: " + err.Error()}
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return &refusal{text: "the receiver is away: " + err.Error()}
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return partial(answer)
	}
	r := &refusal{text: fmt.Sprintf("the receiver answered %s%s", res.Status, said(answer)), after: retryAfter(res.Header.Get("Retry-After"))}
	switch res.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		r.data = true
	case http.StatusUnauthorized, http.StatusForbidden:
		r.text += "; does it want another header?"
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		r.text += "; is this the path of OTLP over HTTP?"
	}
	return r
}

// said is the message of a google.rpc.Status, quoted: it is another's text.
func said(answer []byte) string {
	text, _ := field(answer, 2)
	if text = text[:min(len(text), 200)]; len(text) == 0 {
		return ""
	}
	return ": " + strconv.QuoteToASCII(string(text))
}

func retryAfter(text string) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, longestWait)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, time.Until(at)), longestWait)
	}
	return 0
}

func (t *overHTTP) close() error {
	t.client.CloseIdleConnections()
	return nil
}

// partial reads an answer (ExportTraceServiceResponse): a receiver may have taken a
// request and yet not all spans of it.
func partial(answer []byte) error {
	success, _ := field(answer, 1)
	_, rejected := field(success, 1)
	if rejected == 0 {
		return nil
	}
	text, _ := field(success, 2)
	return &refusal{text: fmt.Sprintf("the receiver did not take %d spans: %s", int64(rejected), strconv.QuoteToASCII(string(text[:min(len(text), 200)]))), data: true}
}

// field is the last one of a number in a message, whose other fields are passed over.
// What is no protobuf has none.
func field(b []byte, number protowire.Number) (text []byte, n uint64) {
	for len(b) > 0 {
		num, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return text, n
		}
		b = b[size:]
		if size = protowire.ConsumeFieldValue(num, kind, b); size < 0 {
			return text, n
		}
		if num == number {
			switch kind {
			case protowire.BytesType:
				text, _ = protowire.ConsumeBytes(b)
			case protowire.VarintType:
				n, _ = protowire.ConsumeVarint(b)
			}
		}
		b = b[size:]
	}
	return text, n
}
