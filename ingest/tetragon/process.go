package tetragon

import (
	"bytes"
	"encoding/base64"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
)

// process is what is kept of a Process message.
type process struct {
	execID, parentID []byte
	pid, tid, uid    uint32
	binary, cwd      []byte
	args             []byte
	flags            []byte
	started          event.Time
	docker           []byte
	outside          bool // in_init_tree is there and false
	hasPod           bool
	namespace, pod   []byte
	podUID           []byte
	container        []byte
	containerID      []byte // as it stands: "containerd://<64 hex>"
	trace            event.TraceContext
}

func (d *Decoder) readProcess(p *process) {
	s := &d.s
	*p = process{}
	s.Object()
	for i := s.Member(processNames, 0); i >= 0; i = s.Member(processNames, i+1) {
		switch i {
		case procExecID, procExecIDC:
			p.execID = s.BytesIn(&d.arena)
		case procPID:
			p.pid = s.Uint32()
		case procUID:
			p.uid = s.Uint32()
		case procCWD:
			p.cwd = s.BytesIn(&d.arena)
		case procBinary:
			p.binary = s.BytesIn(&d.arena)
		case procArguments:
			p.args = s.BytesIn(&d.arena)
		case procFlags:
			p.flags = s.BytesIn(&d.arena)
		case procStart, procStartC:
			p.started = s.Time()
		case procPod:
			if s.Peek() == '{' {
				p.hasPod = true
			}
			d.readPod(p)
		case procDocker:
			p.docker = s.BytesIn(&d.arena)
		case procParentID, procParentIDC:
			p.parentID = s.BytesIn(&d.arena)
		case procTID:
			p.tid = s.Uint32()
		case procInTree, procInTreeC:
			p.outside = s.Peek() == 'f'
			s.Bool()
		case procEnv, procEnvC:
			d.readEnvironment(p)
		default:
			s.Skip()
		}
	}
}

func (d *Decoder) readPod(p *process) {
	s := &d.s
	s.Object()
	for i := s.Member(podNames, 0); i >= 0; i = s.Member(podNames, i+1) {
		switch i {
		case podNamespace:
			p.namespace = s.BytesIn(&d.arena)
		case podName:
			p.pod = s.BytesIn(&d.arena)
		case podUID:
			p.podUID = s.BytesIn(&d.arena)
		case podContainer:
			s.Object()
			for j := s.Member(containerNames, 0); j >= 0; j = s.Member(containerNames, j+1) {
				switch j {
				case containerID:
					p.containerID = s.BytesIn(&d.arena)
				case containerName:
					p.container = s.BytesIn(&d.arena)
				default:
					s.Skip()
				}
			}
		default:
			s.Skip()
		}
	}
}

// readEnvironment looks for a trace context handed down to the process and
// drops everything else.
func (d *Decoder) readEnvironment(p *process) {
	s := &d.s
	for s.Array(); s.Next(); {
		var tc event.TraceContext
		named, valid := false, false
		for s.Object(); s.Next(); {
			switch string(s.Key()) {
			case "Key", "key":
				named = string(s.Bytes()) == "TRACEPARENT"
			case "Value", "value":
				tc, valid = scan.TraceParent(s.Bytes())
			default:
				s.Skip()
			}
		}
		if named && valid {
			p.trace = tc
			p.trace.Format = "env"
		}
	}
}

// readParent reads of the parent what the process itself may lack.
func (d *Decoder) readParent() {
	s, r := &d.s, &d.rec
	r.parentID, r.parentPID = nil, 0
	s.Object()
	for i := s.Member(processNames, 0); i >= 0; i = s.Member(processNames, i+1) {
		switch i {
		case procExecID, procExecIDC:
			r.parentID = s.BytesIn(&d.arena)
		case procPID:
			r.parentPID = s.Uint32()
		default:
			s.Skip()
		}
	}
}

// hasFlag reports whether the list of flags, set apart by blanks, holds one.
func hasFlag(flags []byte, flag string) bool {
	i := bytes.Index(flags, []byte(flag))
	if i < 0 {
		return false
	}
	end := i + len(flag)
	return (i == 0 || flags[i-1] == ' ') && (end == len(flags) || flags[end] == ' ')
}

// execRef decodes an exec id, base64 of "node:ktime:pid" (cilium/tetragon
// pkg/process/process_id_linux.go), as far as it can be. The node is good until
// the next call.
func (d *Decoder) execRef(id []byte) (node []byte, ref event.ProcessRef, ok bool) {
	if len(id) == 0 || base64.StdEncoding.DecodedLen(len(id)) > len(d.execID) {
		return nil, ref, false
	}
	n, err := base64.StdEncoding.Decode(d.execID[:], id)
	if err != nil {
		return nil, ref, false
	}
	text := d.execID[:n]
	j := bytes.LastIndexByte(text, ':')
	i := bytes.LastIndexByte(text[:max(j, 0)], ':')
	if i < 0 {
		return nil, ref, false
	}
	start, ok1 := scan.Uint(text[i+1 : j])
	pid, ok2 := scan.Uint(text[j+1:])
	if !ok1 || !ok2 || pid > 1<<32-1 {
		return nil, ref, false
	}
	return text[:i], event.ProcessRef{PID: uint32(pid), StartNS: start}, true
}
