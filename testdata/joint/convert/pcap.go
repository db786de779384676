package convert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// segment is one TCP segment of a capture.
type segment struct {
	at       event.Time
	src, dst netip.AddrPort
	seq      uint32
	flags    uint8
	data     []byte
}

// Flags of a TCP header (RFC 9293, section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	_
	flagACK
)

// readPcap reads a classic little-endian pcap file with microsecond stamps and
// Ethernet framing, which is what tcpdump writes of a loopback interface. Other
// packets than TCP over IPv4 are passed over, ones cut by the snap length are an
// error: reassembly could not tell them from what was lost.
func readPcap(r io.Reader) ([]segment, error) {
	var head [24]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("read pcap header: %w", err)
	}
	le := binary.LittleEndian
	if le.Uint32(head[:]) != 0xa1b2c3d4 || le.Uint32(head[20:]) != 1 {
		return nil, errors.New("read pcap header: no little-endian capture of Ethernet frames with microseconds")
	}
	var out []segment
	for {
		var rec [16]byte
		if _, err := io.ReadFull(r, rec[:]); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("read packet %d: %w", len(out)+1, err)
		}
		kept, was := le.Uint32(rec[8:]), le.Uint32(rec[12:])
		if kept != was || kept > 1<<18 {
			return nil, fmt.Errorf("read packet %d: %d of its %d bytes were kept", len(out)+1, kept, was)
		}
		frame := make([]byte, kept)
		if _, err := io.ReadFull(r, frame); err != nil {
			return nil, fmt.Errorf("read packet %d: %w", len(out)+1, err)
		}
		if s, ok := readSegment(frame); ok {
			s.at = event.Time(int64(le.Uint32(rec[:]))*1e9 + int64(le.Uint32(rec[4:]))*1e3)
			out = append(out, s)
		}
	}
}

// readSegment reads an Ethernet frame; false if it holds no TCP over IPv4.
func readSegment(frame []byte) (s segment, ok bool) {
	be := binary.BigEndian
	if len(frame) < 14+20 || be.Uint16(frame[12:]) != 0x0800 {
		return s, false
	}
	ip := frame[14:]
	header, total := int(ip[0]&15)*4, int(be.Uint16(ip[2:]))
	if ip[9] != 6 || header < 20 || total > len(ip) || total < header+20 {
		return s, false
	}
	tcp := ip[header:total]
	data := int(tcp[12]>>4) * 4
	if data < 20 || data > len(tcp) {
		return s, false
	}
	s.src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:])), be.Uint16(tcp))
	s.dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:])), be.Uint16(tcp[2:]))
	s.seq, s.flags, s.data = be.Uint32(tcp[4:]), tcp[13], tcp[data:]
	return s, true
}
