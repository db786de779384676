package tetragon

import (
	"bytes"

	"github.com/sennit-io/sennit/ingest/scan"
)

// readBody reads the message of any kind: their members have the same meaning
// wherever they have the same name.
func (d *Decoder) readBody(k kind) {
	s, r := &d.s, &d.rec
	if s.Peek() == 'n' { // an event that is null is none
		s.Skip()
		return
	}
	if r.kind != kindNone {
		s.Fail(scan.Impossible("two events in one record"))
		return
	}
	r.kind = k
	s.Object()
	for i := s.Member(bodyNames, 0); i >= 0; i = s.Member(bodyNames, i+1) {
		if bodyKinds[i]&(1<<k) == 0 {
			s.Skip()
			continue
		}
		switch i {
		case bodyProcess:
			d.readProcess(&r.proc)
		case bodyParent:
			r.parent = d.readParent()
		case bodyFunction, bodyFunctionC, bodySymbol:
			r.function = s.BytesIn(&d.arena)
		case bodySubsys, bodyProvider:
			r.subsys = s.BytesIn(&d.arena)
		case bodyEvent, bodyName:
			r.name = s.BytesIn(&d.arena)
		case bodyPath:
			r.path = s.BytesIn(&d.arena)
		case bodyArgs:
			d.mixTag('a')
			for s.Array(); s.Next(); {
				d.readArgument(&r.args)
			}
		case bodyData:
			var none arguments
			d.mixTag('d')
			for s.Array(); s.Next(); {
				d.readArgument(&none)
			}
		case bodyReturn:
			var ret arguments
			d.mixTag('r')
			d.readArgument(&ret)
			r.ret = ret.number
		case bodySignal:
			r.signal = s.BytesIn(&d.arena)
		case bodyStatus:
			r.status = s.Uint32()
		case bodyTime:
			r.exitTime = s.Time()
		case bodyType:
			r.throttle = d.readThrottle()
		case bodyCgroup:
			r.cgroup = s.BytesIn(&d.arena)
		case bodyDropped, bodyDroppedC:
			r.dropped = s.Uint()
		case bodyAction:
			r.action = d.readAction()
		case bodyReturnAction, bodyReturnActionC:
			r.returnAction = d.readAction()
		case bodyPolicy, bodyPolicyC:
			r.policy = s.BytesIn(&d.arena)
		case bodyMessage:
			r.message = s.BytesIn(&d.arena)
		case bodyBuildID:
			d.mixTag('b')
			d.mix(s.Bytes())
		}
	}
}

// readAction reads a KprobeAction, by name or number, without its prefix and in
// lower case. A number nobody knows is none.
func (d *Decoder) readAction() string {
	s := &d.s
	if c := s.Peek(); c != '"' && c != 'n' {
		return actionOf(s.Int64())
	}
	name := bytes.TrimPrefix(s.Bytes(), []byte("KPROBE_ACTION_"))
	if string(name) == "POST" { // nearly always
		return "post"
	}
	if string(name) == "UNKNOWN" {
		return ""
	}
	return d.names.String(lower(name, &d.buf))
}

func actionOf(n int64) string {
	if n >= 0 && n < int64(len(kprobeActions)) {
		return kprobeActions[n]
	}
	return ""
}

// lower returns b in ASCII lower case, in *buf.
func lower(b []byte, buf *[]byte) []byte {
	*buf = append((*buf)[:0], b...)
	for i, c := range *buf {
		if c >= 'A' && c <= 'Z' {
			(*buf)[i] = c | 0x20
		}
	}
	return *buf
}

func throttleOf(n int64) throttle {
	if n == int64(throttleStart) || n == int64(throttleStop) {
		return throttle(n)
	}
	return throttleUnknown
}

func (d *Decoder) readThrottle() throttle {
	s := &d.s
	if c := s.Peek(); c != '"' && c != 'n' {
		return throttleOf(s.Int64())
	}
	switch string(s.Bytes()) {
	case "THROTTLE_START":
		return throttleStart
	case "THROTTLE_STOP":
		return throttleStop
	}
	return throttleUnknown
}
