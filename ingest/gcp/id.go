package gcp

import (
	"net/netip"

	"github.com/sennit-io/sennit/schemas/event"
)

// entryID sets the id by which Cloud Logging itself tells entries apart: log,
// timestamp and insertId. It returns false for an entry without an insertId;
// those get a hash of what was read.
func (d *Decoder) entryID(e *event.Event) bool {
	if len(d.insertID) == 0 {
		return false
	}
	e.ID = d.ids.Reset(e.Kind).String(d.r.logName).Uint(uint64(d.r.timestamp)).Bytes(d.insertID).Sum()
	return true
}

func hashEnd(h *event.Hasher, a netip.AddrPort) {
	b := a.Addr().As16()
	h.Bytes(b[:]).Uint(uint64(a.Addr().BitLen())<<16 | uint64(a.Port()))
}

func hashWorkload(h *event.Hasher, w *event.Workload) {
	h.String(w.Cluster).String(w.Namespace).String(w.Pod).String(w.Node)
}
