package tetragon

import (
	"github.com/sennit-io/sennit/ingest/scan"
)

// Field tags of Process, and of the smaller messages within it.
const (
	tagExecID    = 1<<3 | scan.WireBytes
	tagPID       = 2<<3 | scan.WireBytes
	tagUID       = 3<<3 | scan.WireBytes
	tagCWD       = 4<<3 | scan.WireBytes
	tagBinary    = 5<<3 | scan.WireBytes
	tagArguments = 6<<3 | scan.WireBytes
	tagFlags     = 7<<3 | scan.WireBytes
	tagStart     = 8<<3 | scan.WireBytes
	tagPod       = 10<<3 | scan.WireBytes
	tagDocker    = 11<<3 | scan.WireBytes
	tagParentID  = 12<<3 | scan.WireBytes
	tagTID       = 16<<3 | scan.WireBytes
	tagInTree    = 20<<3 | scan.WireBytes
	tagEnv       = 21<<3 | scan.WireBytes

	tagPodNamespace = 1<<3 | scan.WireBytes // Pod
	tagPodName      = 2<<3 | scan.WireBytes
	tagPodUID       = 3<<3 | scan.WireBytes
	tagPodContainer = 4<<3 | scan.WireBytes

	tagContainerID   = 1<<3 | scan.WireBytes // Container
	tagContainerName = 2<<3 | scan.WireBytes

	tagEnvKey   = 1<<3 | scan.WireBytes // EnvVar
	tagEnvValue = 2<<3 | scan.WireBytes
)

// processWire reads a Process. Nothing is remembered of pods and parents, as it
// is of their JSON: passing over their bytes costs nothing, and those of maps
// come in another order each time.
func (d *Decoder) processWire(r *process, msg []byte) {
	p := &d.p
	var pid, uid, tid, at, pod, tree []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagExecID:
			r.execID = w.Bytes
		case tagPID:
			pid = p.Merge(pid, w.Bytes)
		case tagUID:
			uid = p.Merge(uid, w.Bytes)
		case tagCWD:
			r.cwd = w.Bytes
		case tagBinary:
			r.binary = w.Bytes
		case tagArguments:
			r.args = w.Bytes
		case tagFlags:
			r.flags = w.Bytes
		case tagStart:
			at = p.Merge(at, w.Bytes)
		case tagPod:
			pod = p.Merge(pod, w.Bytes)
		case tagDocker:
			r.docker = w.Bytes
		case tagParentID:
			r.parentID = w.Bytes
		case tagTID:
			tid = p.Merge(tid, w.Bytes)
		case tagInTree:
			tree = p.Merge(tree, w.Bytes)
		case tagEnv:
			d.variableWire(r, w.Bytes)
		}
	}
	p.End(&w)
	for _, text := range [...]*[]byte{&r.execID, &r.cwd, &r.binary, &r.args, &r.flags, &r.docker, &r.parentID} {
		*text = p.Text(*text)
	}
	r.pid, r.uid, r.tid = uint32(p.Wrapped(pid)), uint32(p.Wrapped(uid)), uint32(p.Wrapped(tid))
	r.started = p.Time(at)
	r.outside = tree != nil && p.Wrapped(tree) == 0
	if pod != nil {
		r.pod = d.podWire(pod)
	}
}

// name keeps a string.
func (d *Decoder) name(b []byte) string { return d.names.String(d.p.Text(b)) }

func (d *Decoder) podWire(msg []byte) pod {
	p := &d.p
	var namespace, name, uid, container []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagPodNamespace:
			namespace = w.Bytes
		case tagPodName:
			name = w.Bytes
		case tagPodUID:
			uid = w.Bytes
		case tagPodContainer:
			container = p.Merge(container, w.Bytes)
		}
	}
	p.End(&w)
	out := pod{known: true, namespace: d.name(namespace), name: d.name(name), uid: d.name(uid)}
	var id []byte
	name = nil
	w = scan.Wire{Buf: container}
	for w.Next() {
		switch w.Tag {
		case tagContainerID:
			id = w.Bytes
		case tagContainerName:
			name = w.Bytes
		}
	}
	p.End(&w)
	out.containerID, out.container = d.name(bareContainer(id)), d.name(name)
	return out
}

// variableWire looks for a trace context handed down to the process.
func (d *Decoder) variableWire(r *process, msg []byte) {
	var key, value []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagEnvKey:
			key = w.Bytes
		case tagEnvValue:
			value = w.Bytes
		}
	}
	d.p.End(&w)
	if string(key) != "TRACEPARENT" {
		return
	}
	if tc, ok := scan.TraceParent(value); ok {
		r.trace = tc
		r.trace.Format = "env"
	}
}

func (d *Decoder) parentWire(msg []byte) parent {
	var id, pid []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagExecID:
			id = w.Bytes
		case tagPID:
			pid = d.p.Merge(pid, w.Bytes)
		}
	}
	d.p.End(&w)
	return d.parentFrom(d.p.Text(id), uint32(d.p.Wrapped(pid)))
}
