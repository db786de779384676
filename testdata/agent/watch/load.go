package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sennit-io/sennit/testdata/agent/truth"
)

// load asks the agent, each of inFlight clients on its own connection, and writes
// down which requests they were. Four of five come with a trace, as from a load
// balancer that begins one.
func load(ctx context.Context, address string, o options, facts string) error {
	t, err := truth.Open(facts, node)
	if err != nil {
		return err
	}
	next := make(chan int)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(next)
		for i := range o.requests {
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range o.inFlight {
		g.Go(func() error {
			var c client
			for i := range next {
				if err := c.ask(ctx, t, address, i); err != nil {
					return fmt.Errorf("ask the agent: %w", err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// client has one connection, kept alive.
type client struct {
	http.Client
	cookie string // of the agent's end
}

func (c *client) ask(ctx context.Context, t *truth.File, address string, i int) error {
	if c.Transport == nil {
		c.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				c.cookie, err = accepted(conn)
			}
			return conn, err
		}}
	}
	rng := rand.New(rand.NewPCG(uint64(i), 7))
	prompt, err := json.Marshal(map[string]string{"prompt": "[" + truth.Name(i) + "] " + question(rng)})
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/run", bytes.NewReader(prompt))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	if i%5 != 0 {
		q.Header.Set("traceparent", fmt.Sprintf("00-%016x%016x-%016x-01", rng.Uint64(), rng.Uint64(), rng.Uint64()|1))
	}
	start := time.Now()
	answer, err := c.Do(q)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, b)
	}
	possible := []string{"span_peer"}
	if q.Header.Get("traceparent") != "" {
		possible = append(possible, "trace_context")
	}
	t.Write(truth.Fact{
		Request: truth.Name(i), Kind: "ingress", Entry: true, Key: truth.Key{SocketCookie: c.cookie},
		StartNS: start.UnixNano(), EndNS: time.Now().UnixNano(), Possible: possible,
	})
	return nil
}

// accepted asks for the cookie of the other end, which is there as soon as the
// agent's machine has shaken hands.
func accepted(c net.Conn) (cookie string, err error) {
	for range 100 {
		if cookie, err = truth.Cookie(c.RemoteAddr(), c.LocalAddr()); err == nil {
			return cookie, nil
		}
		time.Sleep(time.Millisecond)
	}
	return "", err
}

// question is about one of a thousand things, in few or many words.
func question(rng *rand.Rand) string {
	words := []string{"please", "look", "closely", "and", "tell", "me", "what", "you", "find", "then", "explain", "why", "it", "matters", "for", "our", "service"}
	b := fmt.Appendf(nil, "What is known about subject%d.", rng.IntN(1000))
	for range rng.IntN(120) {
		b = append(append(b, ' '), words[rng.IntN(len(words))]...)
	}
	return string(b)
}
