package hubble

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// endpoint is one side of a flow. A side with an endpoint id lives on the node
// that reports the flow.
type endpoint struct {
	workload event.Workload
	local    bool
}

var endpointNames = scan.NewNames("ID", "identity", "cluster_name", "namespace", "labels", "pod_name", "workloads",
	"clusterName", "podName")

// endpoint reads one side of a flow, whose address is a as far as it is known.
func (d *Decoder) endpoint(e *endpoint, a netip.Addr) {
	s := &d.s
	set := d.ends.set(a)
	if known := set.find(s); known != nil {
		*e = *known
		return
	}
	var read endpoint // not *e: what is remembered must come from this text alone
	s.Peek()
	start := s.Pos()
	s.Object()
	for i := s.Member(endpointNames, 0); i >= 0; i = s.Member(endpointNames, i+1) {
		switch i {
		case 0:
			read.local = s.Uint32() != 0
		case 2, 7:
			read.workload.Cluster = d.names.String(s.Text())
		case 3:
			read.workload.Namespace = d.names.String(s.Text())
		case 5, 8:
			read.workload.Pod = d.names.String(s.Text())
		default:
			s.Skip()
		}
	}
	if s.Err() == nil {
		set.keep(d.rec[start:s.Pos()], false, read)
	}
	*e = read
}

// endpoints remembers endpoints by their text, JSON or protobuf. Cilium repeats
// those of a pod, labels and all, byte for byte in each of its flows, most of a
// record: comparing them costs a tenth of reading them. The text of an object is
// complete, so a record that goes on with exactly a known one has that object
// there.
//
// The sets are chosen by the address, which stands before the endpoint and nearly
// always names the pod. A wrong or missing one costs a comparison, no more.
type endpoints [256]endpointSet

type endpointSet struct {
	next   uint8
	places [2]struct {
		text []byte
		wire bool // the text is protobuf
		end  endpoint
	}
}

const maxEndpointText = 8 << 10 // bytes; what is longer is not kept

// set returns the set for an endpoint with an address.
func (m *endpoints) set(a netip.Addr) *endpointSet {
	b := a.As16()
	h := (binary.LittleEndian.Uint64(b[:]) ^ binary.LittleEndian.Uint64(b[8:])) * 0x9e3779b97f4a7c15
	return &m[h>>56] // every byte of the address reaches the highest
}

// find returns the endpoint that comes next if the set knows it, and passes over
// it; else nil, and nothing has moved.
func (t *endpointSet) find(s *scan.JSON) *endpoint {
	for i := range t.places {
		p := &t.places[i]
		if len(p.text) > 0 && !p.wire && s.Literal(unsafe.String(unsafe.SliceData(p.text), len(p.text))) {
			return &p.end
		}
	}
	return nil
}

// findWire returns the endpoint of a message if the set knows it, else nil.
func (t *endpointSet) findWire(msg []byte) *endpoint {
	for i := range t.places {
		if p := &t.places[i]; p.wire && string(p.text) == string(msg) {
			return &p.end
		}
	}
	return nil
}

// keep remembers an endpoint with a copy of its text, in the oldest place.
func (t *endpointSet) keep(text []byte, wire bool, e endpoint) {
	if len(text) > maxEndpointText || !wire && (len(text) == 0 || text[0] != '{') {
		return
	}
	p := &t.places[t.next%uint8(len(t.places))]
	t.next++
	p.text, p.wire, p.end = append(p.text[:0], text...), wire, e
}
