package event

// Batch collects events and owns their payloads. Payloads are cut from chunks
// that never move, so pointers into a batch stay good until Reset; a batch that
// is reset and filled again allocates nothing once it has reached its size.
type Batch struct {
	Events []Event

	edges     slab[EdgeRequest]
	flows     slab[Flow]
	httpFlows slab[HTTPFlow]
	dns       slab[DNS]
	sockets   slab[Socket]
	exchanges slab[Exchange]
	hellos    slab[TLSHello]
	processes slab[Process]
	syscalls  slab[Syscall]
	spans     slab[Span]
	spanLogs  slab[SpanLog]
	pods      slab[Pod]
	services  slab[Service]
	losses    slab[Loss]
	clocks    slab[Clock]
	lists     lists
}

// Add appends a zero event and returns it. The pointer is good until the next
// Add.
func (b *Batch) Add(k Kind, s Source) *Event {
	b.Events = append(b.Events, Event{Kind: k, Source: s})
	return &b.Events[len(b.Events)-1]
}

// Undo takes the last event back: its record turned out to be unreadable.
func (b *Batch) Undo() { b.Events = b.Events[:len(b.Events)-1] }

// Reset empties the batch for reuse. Every event and payload handed out before
// is invalid from here on.
func (b *Batch) Reset() {
	clear(b.Events)
	b.Events = b.Events[:0]
	b.edges.reset()
	b.flows.reset()
	b.httpFlows.reset()
	b.dns.reset()
	b.sockets.reset()
	b.exchanges.reset()
	b.hellos.reset()
	b.processes.reset()
	b.syscalls.reset()
	b.spans.reset()
	b.spanLogs.reset()
	b.pods.reset()
	b.services.reset()
	b.losses.reset()
	b.clocks.reset()
	b.lists.reset()
}

// Next returns an empty batch that goes on in the chunks that this one has begun, so
// that many small batches, which are kept, take no more than a large one. From then on
// neither may be reset, and this one must not be added to.
func (b *Batch) Next() *Batch {
	return &Batch{
		Events: make([]Event, 0, len(b.Events)),

		edges: b.edges.rest(), flows: b.flows.rest(), httpFlows: b.httpFlows.rest(), dns: b.dns.rest(), sockets: b.sockets.rest(),
		exchanges: b.exchanges.rest(), hellos: b.hellos.rest(), processes: b.processes.rest(), syscalls: b.syscalls.rest(), spans: b.spans.rest(),
		spanLogs: b.spanLogs.rest(), pods: b.pods.rest(), services: b.services.rest(), losses: b.losses.rest(), clocks: b.clocks.rest(),
		lists: b.lists.rest(),
	}
}

// The New methods return a zeroed payload that lives as long as the batch.

func (b *Batch) NewEdgeRequest() *EdgeRequest { return b.edges.next() }
func (b *Batch) NewFlow() *Flow               { return b.flows.next() }
func (b *Batch) NewHTTPFlow() *HTTPFlow       { return b.httpFlows.next() }
func (b *Batch) NewDNS() *DNS                 { return b.dns.next() }
func (b *Batch) NewSocket() *Socket           { return b.sockets.next() }
func (b *Batch) NewExchange() *Exchange       { return b.exchanges.next() }
func (b *Batch) NewTLSHello() *TLSHello       { return b.hellos.next() }
func (b *Batch) NewProcess() *Process         { return b.processes.next() }
func (b *Batch) NewSyscall() *Syscall         { return b.syscalls.next() }
func (b *Batch) NewSpan() *Span               { return b.spans.next() }
func (b *Batch) NewSpanLog() *SpanLog         { return b.spanLogs.next() }
func (b *Batch) NewPod() *Pod                 { return b.pods.next() }
func (b *Batch) NewService() *Service         { return b.services.next() }
func (b *Batch) NewLoss() *Loss               { return b.losses.next() }
func (b *Batch) NewClock() *Clock             { return b.clocks.next() }

// slab hands out zeroed values from chunks of 64.
type slab[T any] struct {
	chunks []*[slabChunk]T
	used   int
	dirty  int // so many chunks were in use before a reset, the first ones
}

const slabChunk = 64

func (s *slab[T]) next() *T {
	i, j := s.used/slabChunk, s.used%slabChunk
	if i == len(s.chunks) {
		s.chunks = append(s.chunks, new([slabChunk]T))
	}
	s.used++
	p := &s.chunks[i][j]
	if i < s.dirty {
		var zero T
		*p = zero
	}
	return p
}

func (s *slab[T]) reset() { s.used, s.dirty = 0, len(s.chunks) }

// rest is what is left of the chunk that was begun last.
func (s *slab[T]) rest() slab[T] {
	i, j := s.used/slabChunk, s.used%slabChunk
	if j == 0 {
		return slab[T]{}
	}
	return slab[T]{chunks: []*[slabChunk]T{s.chunks[i]}, used: j, dirty: max(0, min(1, s.dirty-i))}
}
