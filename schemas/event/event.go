package event

// Event is one normalised record of any source: a small fixed head and the
// payload of its kind. Every string in it is valid for ever (decoders intern
// them), so an event may be kept and copied freely; its payload must not be
// changed once the event has left its decoder.
type Event struct {
	ID   ID   `json:"id"`
	Kind Kind `json:"kind"`
	// Source is the kind of observer, Cluster and Node where it sat. Node is
	// plain ("gke-node-1"), without a cluster prefix; it is empty for what no
	// node saw (cloud logs, spans through a central collector).
	Source  Source `json:"source"`
	Cluster string `json:"cluster,omitzero"`
	Node    string `json:"node,omitzero"`
	Boot    BootID `json:"boot,omitzero"`
	// Time is the event time: the end, for anything with a duration.
	Time Time `json:"time"`
	// Observed is when an agent of ours, or the log's own collector, had it;
	// zero when nobody noted it.
	Observed Time `json:"observed,omitzero"`
	// Payload is of the one type its Kind names, never nil.
	Payload Payload `json:"payload"`
}

// Payload is the part of an event that belongs to its kind. The kinds'
// declarations say which type each one has.
type Payload interface{ payload() }

func (*EdgeRequest) payload() {}
func (*Flow) payload()        {}
func (*HTTPFlow) payload()    {}
func (*DNS) payload()         {}
func (*Socket) payload()      {}
func (*Exchange) payload()    {}
func (*TLSHello) payload()    {}
func (*Process) payload()     {}
func (*Syscall) payload()     {}
func (*Span) payload()        {}
func (*SpanLog) payload()     {}
func (*Pod) payload()         {}
func (*Service) payload()     {}
func (*Loss) payload()        {}
func (*Clock) payload()       {}
func (*PeerTrace) payload()   {}
func (*Alias) payload()       {}

// Compare orders events canonically: by event time, source rank and id.
func Compare(a, b *Event) int {
	switch {
	case a.Time != b.Time:
		if a.Time < b.Time {
			return -1
		}
		return 1
	case a.Source != b.Source:
		return int(a.Source) - int(b.Source)
	}
	for i := range a.ID {
		if a.ID[i] != b.ID[i] {
			return int(a.ID[i]) - int(b.ID[i])
		}
	}
	return 0
}
