package main

import (
	"encoding/binary"
	"net"
	"time"

	"golang.org/x/net/http2"

	"github.com/sennit-io/sennit/testdata/agent/truth"
)

// frames is a connection of HTTP/2 whose incoming frames are looked at as they
// are read: net/http does not tell a handler the number of its stream.
type frames struct {
	net.Conn
	cookie  string // of the client's socket
	called  func(cookie string, stream uint32, request string, start, end time.Time)
	rest    []byte // of a frame that is not whole yet
	preface int    // bytes of the preface to come
	streams map[uint32]*stream
}

type stream struct {
	start time.Time
	body  []byte
}

func newFrames(c net.Conn, called func(string, uint32, string, time.Time, time.Time)) (*frames, error) {
	cookie, err := truth.Cookie(c.RemoteAddr(), c.LocalAddr())
	if err != nil {
		return nil, err
	}
	return &frames{Conn: c, cookie: cookie, called: called, preface: len(http2.ClientPreface), streams: map[uint32]*stream{}}, nil
}

// Read reads, and looks at what it has read.
func (f *frames) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	f.see(b[:n])
	return n, err
}

func (f *frames) see(b []byte) {
	skip := min(f.preface, len(b))
	f.preface -= skip
	f.rest = append(f.rest, b[skip:]...)
	for len(f.rest) >= 9 {
		size := 9 + int(uint32(f.rest[0])<<16|uint32(f.rest[1])<<8|uint32(f.rest[2]))
		if len(f.rest) < size {
			return
		}
		f.frame(http2.FrameType(f.rest[3]), http2.Flags(f.rest[4]), binary.BigEndian.Uint32(f.rest[5:])&(1<<31-1), f.rest[9:size])
		f.rest = f.rest[size:]
	}
}

func (f *frames) frame(kind http2.FrameType, flags http2.Flags, id uint32, payload []byte) {
	switch kind {
	case http2.FrameHeaders:
		if f.streams[id] == nil {
			f.streams[id] = &stream{start: time.Now()}
		}
	case http2.FrameData:
		if s := f.streams[id]; s != nil {
			s.body = append(s.body, payload...)
		}
	default:
		return
	}
	if s := f.streams[id]; s != nil && flags.Has(http2.FlagDataEndStream) {
		delete(f.streams, id)
		f.called(f.cookie, id, truth.Request(s.body), s.start, time.Now())
	}
}
