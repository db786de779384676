package hubble

import (
	"fmt"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// Field tags of observer.GetFlowsResponse and flow.Flow.
const (
	tagFlow       = 1<<3 | scan.WireBytes // GetFlowsResponse
	tagNodeStatus = 2<<3 | scan.WireBytes //
	tagLostEvents = 3<<3 | scan.WireBytes //
	tagOuterNode  = 1000<<3 | scan.WireBytes
	tagOuterTime  = 1001<<3 | scan.WireBytes

	tagTime           = 1<<3 | scan.WireBytes // Flow
	tagVerdict        = 2<<3 | scan.WireVarint
	tagDropReason     = 3<<3 | scan.WireVarint
	tagIP             = 5<<3 | scan.WireBytes
	tagL4             = 6<<3 | scan.WireBytes
	tagSource         = 8<<3 | scan.WireBytes
	tagDestination    = 9<<3 | scan.WireBytes
	tagNodeName       = 11<<3 | scan.WireBytes
	tagSourceNames    = 13<<3 | scan.WireBytes
	tagDestNames      = 14<<3 | scan.WireBytes
	tagL7             = 15<<3 | scan.WireBytes
	tagReply          = 16<<3 | scan.WireVarint
	tagEventType      = 19<<3 | scan.WireBytes
	tagDirection      = 22<<3 | scan.WireVarint
	tagPoint          = 24<<3 | scan.WireVarint
	tagDropReasonDesc = 25<<3 | scan.WireVarint
	tagIsReply        = 26<<3 | scan.WireBytes
	tagTraceContext   = 30<<3 | scan.WireBytes
	tagXlatePoint     = 31<<3 | scan.WireVarint
	tagCookie         = 32<<3 | scan.WireVarint
	tagCgroup         = 33<<3 | scan.WireVarint
	tagUUID           = 34<<3 | scan.WireBytes
	tagEgressAllowed  = 21001<<3 | scan.WireBytes
	tagIngressAllowed = 21002<<3 | scan.WireBytes
	tagEgressDenied   = 21004<<3 | scan.WireBytes
	tagIngressDenied  = 21005<<3 | scan.WireBytes
	tagAggregate      = 21007<<3 | scan.WireBytes
)

// Tags of the first fields of the smaller messages.
const (
	text1   = 1<<3 | scan.WireBytes
	text2   = 2<<3 | scan.WireBytes
	text3   = 3<<3 | scan.WireBytes
	text4   = 4<<3 | scan.WireBytes
	text5   = 5<<3 | scan.WireBytes
	text7   = 7<<3 | scan.WireBytes
	number1 = 1<<3 | scan.WireVarint
	number2 = 2<<3 | scan.WireVarint
	number3 = 3<<3 | scan.WireVarint
	number6 = 6<<3 | scan.WireVarint
)

// DecodeProto appends the event of an observer.GetFlowsResponse as it comes over
// gRPC. It is the event, with its id, that Decode makes of the message's JSON,
// and the contract is that of Decode. A message whose unread parts are not valid
// may be read all the same.
func (d *Decoder) DecodeProto(rec []byte, b *event.Batch) (ingest.Tally, error) {
	d.begin()
	d.p.Reset()
	d.responseWire(rec)
	if err := d.p.Err(); err != nil {
		return ingest.Tally{In: 1, Bad: 1}, fmt.Errorf("read Hubble record: %w", err)
	}
	return d.finish(b)
}

func (d *Decoder) responseWire(msg []byte) {
	p, r := &d.p, &d.r
	var body, node, at []byte
	is := func(m message, more []byte) {
		if r.message != m { // of a oneof the last counts
			r.message, body = m, nil
		}
		body = p.Merge(body, more)
	}
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagFlow:
			is(messageFlow, w.Bytes)
		case tagNodeStatus:
			is(messageNodeStatus, w.Bytes)
		case tagLostEvents:
			is(messageLost, w.Bytes)
		case tagOuterNode:
			node = w.Bytes
		case tagOuterTime:
			at = p.Merge(at, w.Bytes)
		}
	}
	p.End(&w)
	r.outerTime = p.Time(at)
	r.outerCluster, r.outerNode = d.node(p.Text(node))
	switch r.message {
	case messageFlow:
		d.flowWire(body)
	case messageLost:
		d.lostWire(body)
	}
}

// name keeps a string.
func (d *Decoder) name(b []byte) string { return d.names.String(d.p.Text(b)) }

// enum is the number of an enum, or an int32.
func enum(n uint64) int64 { return int64(int32(n)) }

func (d *Decoder) flowWire(msg []byte) {
	p, r := &d.p, &d.r
	var at, ip, l4, source, destination, node, l7, eventType, isReply, trace, uuid, aggregate []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagTime:
			at = p.Merge(at, w.Bytes)
		case tagVerdict:
			r.verdict = verdictOf(enum(w.Num))
		case tagDropReason:
			r.dropNumber = uint32(w.Num)
		case tagIP:
			ip = p.Merge(ip, w.Bytes)
		case tagL4:
			l4 = p.Merge(l4, w.Bytes)
		case tagSource:
			source = p.Merge(source, w.Bytes)
		case tagDestination:
			destination = p.Merge(destination, w.Bytes)
		case tagNodeName:
			node = w.Bytes
		case tagSourceNames:
			if r.srcName == "" {
				r.srcName = d.name(trimDot(w.Bytes))
			}
		case tagDestNames:
			if r.dstName == "" {
				r.dstName = d.name(trimDot(w.Bytes))
			}
		case tagL7:
			l7 = p.Merge(l7, w.Bytes)
		case tagReply:
			r.reply = w.Num != 0
		case tagEventType:
			eventType = p.Merge(eventType, w.Bytes)
		case tagDirection:
			r.egress = enum(w.Num) == directionEgress
		case tagPoint:
			r.point = nameAt(points[:], enum(w.Num))
		case tagDropReasonDesc:
			r.dropReason = d.dropName(enum(w.Num))
		case tagIsReply:
			isReply = p.Merge(isReply, w.Bytes)
		case tagTraceContext:
			trace = p.Merge(trace, w.Bytes)
		case tagXlatePoint:
			d.setXlate(enum(w.Num))
		case tagCookie:
			r.cookie = event.SocketCookie(w.Num)
		case tagCgroup:
			r.cgroup = event.CgroupID(w.Num)
		case tagUUID:
			uuid = w.Bytes
		case tagEgressAllowed:
			d.policyWire(2, w.Bytes)
		case tagIngressAllowed:
			d.policyWire(3, w.Bytes)
		case tagEgressDenied:
			d.policyWire(0, w.Bytes)
		case tagIngressDenied:
			d.policyWire(1, w.Bytes)
		case tagAggregate:
			aggregate = p.Merge(aggregate, w.Bytes)
		}
	}
	p.End(&w)
	r.time = p.Time(at)
	r.cluster, r.node = d.node(p.Text(node))
	d.uuid(p.Text(uuid))
	d.ipWire(ip)
	d.layer4Wire(l4)
	if source != nil {
		d.endpointWire(&r.source, source, r.src)
	}
	if destination != nil {
		d.endpointWire(&r.destination, destination, r.dst)
	}
	d.layer7Wire(l7)
	d.eventTypeWire(eventType)
	if isReply != nil {
		r.isReply = no
		if p.Wrapped(isReply) != 0 {
			r.isReply = yes
		}
	}
	d.traceContextWire(trace)
	d.aggregateWire(aggregate)
}
