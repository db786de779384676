package tetragon

import (
	"encoding/base64"
	"fmt"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// Field tags of GetEventsResponse besides those of its events.
const (
	tagNode    = 1000<<3 | scan.WireBytes
	tagTime    = 1001<<3 | scan.WireBytes
	tagCluster = 1003<<3 | scan.WireBytes
)

// kindOf returns the kind of the event in a field of GetEventsResponse.
func kindOf(tag uint64) kind {
	switch tag {
	case 1<<3 | scan.WireBytes:
		return kindExec
	case 5<<3 | scan.WireBytes:
		return kindExit
	case 9<<3 | scan.WireBytes:
		return kindKprobe
	case 10<<3 | scan.WireBytes:
		return kindTracepoint
	case 11<<3 | scan.WireBytes:
		return kindLoader
	case 12<<3 | scan.WireBytes:
		return kindUprobe
	case 27<<3 | scan.WireBytes:
		return kindThrottle
	case 28<<3 | scan.WireBytes:
		return kindLSM
	case 29<<3 | scan.WireBytes:
		return kindUSDT
	case 40000<<3 | scan.WireBytes:
		return kindTest
	case 40001<<3 | scan.WireBytes:
		return kindRateLimit
	}
	return kindNone
}

// DecodeProto appends the event of a GetEventsResponse as it comes over gRPC. It
// is the event, with its id, that Decode makes of the message's JSON, and the
// contract is that of Decode. A message whose unread parts are not valid may be
// read all the same.
func (d *Decoder) DecodeProto(rec []byte, b *event.Batch) (ingest.Tally, error) {
	d.begin()
	d.p.Reset()
	d.responseWire(rec)
	if err := d.p.Err(); err != nil {
		return ingest.Tally{In: 1, Bad: 1}, fmt.Errorf("read Tetragon event: %w", err)
	}
	return d.finish(true, b)
}

func (d *Decoder) responseWire(msg []byte) {
	p, r := &d.p, &d.rec
	var body, at []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagNode:
			r.node = w.Bytes
		case tagTime:
			at = p.Merge(at, w.Bytes)
		case tagCluster:
			r.cluster = w.Bytes
		default:
			k := kindOf(w.Tag)
			if k == kindNone {
				continue
			}
			if r.kind != k { // of a oneof the last counts
				r.kind, body = k, nil
			}
			body = p.Merge(body, w.Bytes)
		}
	}
	p.End(&w)
	r.node, r.cluster, r.time = p.Text(r.node), p.Text(r.cluster), p.Time(at)
	if r.kind != kindNone {
		d.bodyWire(r.kind, body)
	}
}

const none = -1

// bodyFields are the places in bodyNames of the fields of each kind's message, by
// number.
var bodyFields = [kindNone][]int{
	kindExec: {none, bodyProcess, bodyParent},
	kindExit: {none, bodyProcess, bodyParent, bodySignal, bodyStatus, bodyTime},
	kindKprobe: {
		none, bodyProcess, bodyParent, bodyFunction, bodyArgs, bodyReturn, bodyAction, none, bodyPolicy, bodyReturnAction,
		bodyMessage, none, none, none, bodyData,
	},
	kindTracepoint: {none, bodyProcess, bodyParent, none, bodySubsys, bodyEvent, bodyArgs, bodyPolicy, bodyAction, bodyMessage},
	kindLoader:     {none, bodyProcess, bodyPath, bodyBuildID, bodyParent},
	kindUprobe: {
		none, bodyProcess, bodyParent, bodyPath, bodySymbol, bodyPolicy, bodyMessage, bodyArgs, none, none, none, none,
		bodyAction, bodyData,
	},
	kindThrottle: {none, bodyType, bodyCgroup},
	kindLSM:      {none, bodyProcess, bodyParent, bodyFunction, none, bodyPolicy, bodyMessage, bodyArgs, bodyAction},
	kindUSDT: {
		none, bodyProcess, bodyParent, bodyPath, bodyProvider, bodyName, bodyPolicy, bodyMessage, bodyArgs, none, none,
		bodyAction,
	},
	kindRateLimit: {none, bodyDropped},
}

// bodyNumbers are the places whose values are numbers.
const bodyNumbers = 1<<bodyStatus | 1<<bodyType | 1<<bodyDropped | 1<<bodyAction | 1<<bodyReturnAction

// bodyWire reads the message of any kind, as readBody does.
func (d *Decoder) bodyWire(k kind, msg []byte) {
	p, r := &d.p, &d.rec
	fields := bodyFields[k]
	var process, parent, ret, at, build []byte
	var args, data uint64 // the tags of what is there
	w := scan.Wire{Buf: msg}
	for w.Next() {
		i := w.Tag >> 3
		if i >= uint64(len(fields)) || fields[i] == none {
			continue
		}
		want := uint64(scan.WireBytes)
		if bodyNumbers&(1<<fields[i]) != 0 {
			want = scan.WireVarint
		}
		if w.Tag&7 != want {
			continue
		}
		switch fields[i] {
		case bodyProcess:
			process = p.Merge(process, w.Bytes)
		case bodyParent:
			parent = p.Merge(parent, w.Bytes)
		case bodyFunction, bodySymbol:
			r.function = w.Bytes
		case bodySubsys, bodyProvider:
			r.subsys = w.Bytes
		case bodyEvent, bodyName:
			r.name = w.Bytes
		case bodyPath:
			r.path = w.Bytes
		case bodyArgs:
			args = w.Tag
		case bodyData:
			data = w.Tag
		case bodyReturn:
			ret = p.Merge(ret, w.Bytes)
		case bodySignal:
			r.signal = w.Bytes
		case bodyStatus:
			r.status = uint32(w.Num)
		case bodyTime:
			at = p.Merge(at, w.Bytes)
		case bodyType:
			r.throttle = throttleOf(enum(w.Num))
		case bodyCgroup:
			r.cgroup = w.Bytes
		case bodyDropped:
			r.dropped = w.Num
		case bodyAction:
			r.action = actionOf(enum(w.Num))
		case bodyReturnAction:
			r.returnAction = actionOf(enum(w.Num))
		case bodyPolicy:
			r.policy = w.Bytes
		case bodyMessage:
			r.message = w.Bytes
		case bodyBuildID:
			build = w.Bytes
		}
	}
	p.End(&w)
	for _, text := range [...]*[]byte{&r.function, &r.subsys, &r.name, &r.path, &r.signal, &r.cgroup, &r.policy, &r.message} {
		*text = p.Text(*text)
	}
	r.exitTime = p.Time(at)
	if process != nil {
		d.processWire(&r.proc, process)
	}
	if parent != nil {
		r.parent = d.parentWire(parent)
	}
	// The digest in the order in which JSON has the members.
	if args != 0 {
		d.mixTag('a')
		d.argumentsWire(args, msg, &r.args)
	}
	if ret != nil {
		var a arguments
		d.mixTag('r')
		d.argumentWire(ret, &a)
		r.ret = a.number
	}
	if data != 0 {
		var a arguments
		d.mixTag('d')
		d.argumentsWire(data, msg, &a)
	}
	if len(build) > 0 {
		d.mixTag('b')
		d.mixBase64(build)
	}
}

// enum is the number of an enum, or an int32.
func enum(n uint64) int64 { return int64(int32(n)) }

// mixBase64 adds bytes as JSON writes them.
func (d *Decoder) mixBase64(b []byte) {
	d.buf = base64.StdEncoding.AppendEncode(d.buf[:0], b)
	d.mix(d.buf)
}
