package main

import (
	"context"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/sennit-io/sennit/testdata/agent/truth"
)

// calls are those of one connection of HTTP/1.1, one after the other.
type calls struct {
	cookie string
	pages  bool
	since  time.Time // when the call before was over
}

type callsKey struct{}

// withCalls gives each connection its calls.
func withCalls(pages bool) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, c net.Conn) context.Context {
		cookie, err := truth.Cookie(c.RemoteAddr(), c.LocalAddr())
		if err != nil {
			log.Print("model: ", err)
			return ctx
		}
		return context.WithValue(ctx, callsKey{}, &calls{cookie: cookie, pages: pages, since: time.Now().Add(-time.Second)})
	}
}

// done writes down a call on HTTP/1.1. It began when the one before was over.
func (s *standIn) done(q *http.Request, request string) {
	c, _ := q.Context().Value(callsKey{}).(*calls)
	if c == nil {
		return // HTTP/2: see frames
	}
	f := truth.Fact{
		Request: request, Kind: "egress", Key: truth.Key{SocketCookie: c.cookie}, StartNS: c.since.UnixNano(), EndNS: time.Now().UnixNano(), Possible: s.possible,
	}
	if c.pages {
		f.Kind, f.Possible = "exchange", []string{"assignment"}
		if q.Header.Get("traceparent") != "" {
			f.Possible = []string{"trace_context"}
		}
	}
	c.since = time.Now()
	s.truth.Write(f)
}
