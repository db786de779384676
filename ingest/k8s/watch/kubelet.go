package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"k8s.io/client-go/rest"
)

const (
	// pollEvery is how often a kubelet, which has no watch, is asked; again after
	// pollLeast when there was a question that could not be answered.
	pollEvery = 10 * time.Second
	pollLeast = time.Second
	// maxList bounds the list of a node's pods; a pod is some 10 kB, 110 are usual.
	maxList = 64 << 20

	kubeletURL = "https://127.0.0.1:10250"
)

type kubelet struct {
	client *http.Client
	url    string
}

// Kubelet follows the pods of the kubelet of this node, or of the URL
// (http://127.0.0.1:10255 where its read-only port is open). Over TLS it needs get
// of nodes/pods, or of nodes/proxy where the kubelet is older than 1.33, and the
// kubelet's certificate to be of the authorities that are trusted.
func Kubelet(cfg Config, c Connection) (*Source, error) {
	if c.URL == "" { // its certificate has the node's name
		c.URL, c.ServerName = kubeletURL, cmp.Or(c.ServerName, cfg.Node)
	}
	at, err := url.Parse(c.URL)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return nil, fmt.Errorf("%q is no URL of a kubelet, such as %s", c.URL, kubeletURL)
	}
	conn, err := c.config()
	if err != nil {
		return nil, err
	}
	conn.Timeout = 30 * time.Second
	client, err := rest.HTTPClientFor(conn)
	if err != nil {
		return nil, fmt.Errorf("prepare to ask the kubelet: %w", err)
	}
	return newSource(cfg, &kubelet{client, at.JoinPath("pods").String()}), nil
}

func (k *kubelet) follow(ctx context.Context, s *Source) {
	poll(ctx, pollEvery, s.cfg.Directory.Missed(), func() {
		text, err := k.list(ctx)
		if err == nil {
			s.replace(text)
		}
		if ctx.Err() == nil {
			s.connected(err)
		}
	})
}

func (k *kubelet) list(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the kubelet: %w", err)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the kubelet: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return nil, errors.New("ask the kubelet: it wants a token, or knows another (401)")
	case http.StatusForbidden:
		return nil, errors.New("ask the kubelet: the token's account may not get nodes/pods, or nodes/proxy (403)")
	default:
		return nil, fmt.Errorf("ask the kubelet: it answers %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxList+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask the kubelet: %w", err)
	case len(text) > maxList:
		return nil, fmt.Errorf("ask the kubelet: its list is longer than %d bytes", maxList)
	}
	return text, podList(text)
}

// poll calls do at once, and then every so often, or when it is wanted sooner.
func poll(ctx context.Context, every time.Duration, sooner <-chan struct{}, do func()) {
	for ctx.Err() == nil {
		do()
		least := time.After(min(every, pollLeast))
		select {
		case <-ctx.Done():
			return
		case <-least:
		}
		select {
		case <-ctx.Done():
		case <-time.After(every - min(every, pollLeast)):
		case <-sooner:
		}
	}
}
