package joint_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/testdata/joint/convert"
)

// made is a recording that a test makes up.
type made struct{ ftrace, strace, capture, clock string }

func (m made) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write([]byte(m.strace)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"agent.ftrace.log": m.ftrace, "agent.strace.log.gz": z.String(), "loopback.pcap": m.capture, "clock.json": m.clock,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The wall clock is 1,000,000 s ahead of the time since boot.
const madeClock = `{"realtime_ns": 1000100000000000, "monotonic_ns": 100000000000, "boottime_ns": 100000000000}`

// capture is a pcap file under construction.
type capture struct{ bytes.Buffer }

func newCapture() *capture {
	c := &capture{}
	c.Write([]byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0})
	return c
}

// add writes a segment seen ms milliseconds after 1,000,100 s. The flags are
// those of tcpdump.
func (c *capture) add(ms int, src, dst string, flags string, seq uint32, data string) {
	from, to := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	bits := byte(0)
	for _, f := range flags {
		bits |= map[rune]byte{'F': 1, 'S': 2, 'R': 4, 'P': 8, '.': 16}[f]
	}
	be := binary.BigEndian
	tcp := be.AppendUint16(be.AppendUint16(nil, from.Port()), to.Port())
	tcp = be.AppendUint32(be.AppendUint32(tcp, seq), 0)
	tcp = append(tcp, 5<<4, bits, 0, 0, 0, 0, 0, 0)
	c.frame(ms, 6, from.Addr(), to.Addr(), append(tcp, data...))
}

func (c *capture) frame(ms int, proto byte, src, dst netip.Addr, body []byte) {
	be, le := binary.BigEndian, binary.LittleEndian
	ip := append([]byte{0x45, 0}, be.AppendUint16(nil, uint16(20+len(body)))...)
	ip = append(ip, 0, 0, 0, 0, 64, proto, 0, 0)
	ip = append(append(ip, src.AsSlice()...), dst.AsSlice()...)
	frame := append(append(append(make([]byte, 12), 8, 0), ip...), body...)
	rec := le.AppendUint32(nil, uint32(1000100+ms/1000))
	rec = le.AppendUint32(rec, uint32(ms%1000*1000))
	rec = le.AppendUint32(le.AppendUint32(rec, uint32(len(frame))), uint32(len(frame)))
	c.Write(append(rec, frame...))
}

// udp writes a packet that is no TCP.
func (c *capture) udp(ms int) {
	a := netip.MustParseAddr("127.0.0.1")
	c.frame(ms, 17, a, a, make([]byte, 30))
}

// open shakes hands: the client's first byte is 1001, the server's 2001.
func (c *capture) open(ms int, client, server string) {
	c.add(ms, client, server, "S", 1000, "")
	c.add(ms+1, server, client, "S.", 2000, "")
	c.add(ms+2, client, server, ".", 1001, "")
}

const (
	caller = "127.0.0.1:40000"
	agent  = "127.0.0.1:80"
)

// summary renders records one a line, without what is the same in all.
func summary(t *testing.T, m made, o convert.Options) string {
	t.Helper()
	var out []string
	for _, e := range records(t, m.write(t), o) {
		line := string(e.AppendJSON(nil))
		_, payload, _ := strings.Cut(line, `"payload":`)
		payload = strings.TrimSuffix(payload, "}")
		for _, cut := range []string{`"proto":"tcp",`, "1970-01-12T13:"} {
			payload = strings.ReplaceAll(payload, cut, "")
		}
		out = append(out, strings.TrimPrefix(e.Time.String(), "1970-01-12T13:")+" "+e.Kind.String()+" "+payload)
	}
	return strings.Join(out[1:len(out)-1], "\n") // the heartbeats have a test of their own
}
