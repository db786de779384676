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
	pod              pod
	trace            event.TraceContext
}

// pod is what is kept of a Pod message. Its strings stay.
type pod struct {
	known                bool
	namespace, name, uid string
	container            string
	containerID          string // without its runtime
}

// parent is what is kept of the parent's block: what the process may lack.
type parent struct {
	execID event.ExecID
	ref    event.ProcessRef
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
			p.pod = d.readPod()
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

func (d *Decoder) readPod() pod {
	s := &d.s
	slot := d.pods.slot(s)
	if known, ok := d.pods.read(s, slot); ok {
		return *known
	}
	var p pod
	p.known = s.Peek() == '{'
	start := s.Pos()
	s.Object()
	for i := s.Member(podNames, 0); i >= 0; i = s.Member(podNames, i+1) {
		switch i {
		case podNamespace:
			p.namespace = d.names.String(s.Bytes())
		case podName:
			p.name = d.names.String(s.Bytes())
		case podUID:
			p.uid = d.names.String(s.Bytes())
		case podContainer:
			s.Object()
			for j := s.Member(containerNames, 0); j >= 0; j = s.Member(containerNames, j+1) {
				switch j {
				case containerID:
					p.containerID = d.names.String(bareContainer(s.Bytes()))
				case containerName:
					p.container = d.names.String(s.Bytes())
				default:
					s.Skip()
				}
			}
		default:
			s.Skip()
		}
	}
	if p.known && s.Err() == nil {
		d.pods.keep(slot, d.text[start:s.Pos()], p)
	}
	return p
}

// bareContainer cuts the runtime from a container's id.
func bareContainer(id []byte) []byte {
	if i := bytes.Index(id, []byte("://")); i >= 0 {
		return id[i+3:]
	}
	return id
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

func (d *Decoder) readParent() parent {
	s := &d.s
	slot := d.parents.slot(s)
	if known, ok := d.parents.read(s, slot); ok {
		return *known
	}
	object := s.Peek() == '{'
	start := s.Pos()
	var id []byte
	var pid uint32
	s.Object()
	for i := s.Member(processNames, 0); i >= 0; i = s.Member(processNames, i+1) {
		switch i {
		case procExecID, procExecIDC:
			id = s.BytesIn(&d.arena)
		case procPID:
			pid = s.Uint32()
		default:
			s.Skip()
		}
	}
	p := d.parentFrom(id, pid)
	if object && s.Err() == nil {
		d.parents.keep(slot, d.text[start:s.Pos()], p)
	}
	return p
}

// parentFrom is a parent whose block says so.
func (d *Decoder) parentFrom(id []byte, pid uint32) parent {
	p := parent{execID: event.ExecID(d.procs.String(id)), ref: event.ProcessRef{PID: pid}}
	if _, ref, ok := d.execRef(id); ok {
		p.ref = ref
	}
	return p
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
