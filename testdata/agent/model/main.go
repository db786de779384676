// Model is a local stand-in for Gemini's API, generateContent and
// streamGenerateContent, over TLS (HTTP/2 and HTTP/1.1), and for the pages that
// tools read. It knows from a connection's bytes which request each call was
// made for, and writes that down as truth.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/net/http2"

	"github.com/sennit-io/sennit/testdata/agent/truth"
)

func main() {
	var s standIn
	cert := flag.String("cert", "", "certificate to show")
	key := flag.String("key", "", "its key")
	node := flag.String("node", "", "name of this node in the truth")
	facts := flag.String("truth", "", "file to append facts to")
	flag.DurationVar(&s.pace, "pace", 20*time.Millisecond, "how long an answer takes at least; long ones take several times that")
	flag.BoolVar(&s.gzip, "gzip", false, "compress answers for who takes them so, as Google's servers do")
	flag.Func("possible", "rung that may join a model call; may be given several times", func(m string) error {
		s.possible = append(s.possible, m)
		return nil
	})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s, *cert, *key, *node, *facts); err != nil {
		log.Fatal("model: ", err)
	}
}

// standIn answers like a model.
type standIn struct {
	pace     time.Duration
	gzip     bool
	possible []string
	truth    *truth.File
	pages    string // their URL
}

func run(ctx context.Context, s *standIn, cert, key, node, facts string) error {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	if s.truth, err = truth.Open(facts, node); err != nil {
		return err
	}
	pages, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	api, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.pages = "http://" + pages.Addr().String()
	fmt.Println(api.Addr(), pages.Addr()) // who started it waits for this

	failed := make(chan error, 3)
	old := &queue{addr: api.Addr(), conns: make(chan net.Conn)}
	go func() {
		failed <- (&http.Server{Handler: http.HandlerFunc(s.page), ConnContext: withCalls(true)}).Serve(pages)
	}()
	go func() { failed <- (&http.Server{Handler: s, ConnContext: withCalls(false)}).Serve(old) }()
	go func() {
		failed <- s.accept(api, old, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
	}()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// accept serves what comes in by the version of HTTP that the client wants.
func (s *standIn) accept(l net.Listener, old *queue, config *tls.Config) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			conn := tls.Server(c, config)
			if err := conn.HandshakeContext(context.Background()); err != nil {
				log.Print("model: ", err)
				c.Close()
				return
			}
			if conn.ConnectionState().NegotiatedProtocol != "h2" {
				old.conns <- conn
				return
			}
			watched, err := newFrames(conn, func(cookie string, stream uint32, request string, start, end time.Time) {
				s.truth.Write(truth.Fact{
					Request: request, Kind: "egress", Key: truth.Key{SocketCookie: cookie, StreamID: stream},
					StartNS: start.UnixNano(), EndNS: end.UnixNano(), Possible: s.possible,
				})
			})
			if err != nil {
				log.Print("model: ", err)
				c.Close()
				return
			}
			(&http2.Server{}).ServeConn(watched, &http2.ServeConnOpts{Handler: s})
		}()
	}
}

// queue is a listener of connections that are already open.
type queue struct {
	addr  net.Addr
	conns chan net.Conn
}

func (q *queue) Accept() (net.Conn, error) {
	c, ok := <-q.conns
	if !ok {
		return nil, errors.New("no more")
	}
	return c, nil
}

func (q *queue) Close() error   { return nil }
func (q *queue) Addr() net.Addr { return q.addr }
