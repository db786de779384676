package bind

import (
	"math"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/correlate/hold"
	"github.com/sennit-io/sennit/schemas/event"
)

// wait is a place in a queue of what has a horizon, in twenty bytes without a
// pointer: an event about a connection that waits for its request, or the number
// of something else.
type wait struct {
	chunk  uint32 // of the event, as is at; both 0 once it is placed
	at     uint16
	method correlate.Method
	flags  waitFlags
	what   uint32 // number of the socket, or of the waiting
	next   uint32 // the socket's next evidence
	after  uint32 // when it is due, in nanoseconds after its block
}

type waitFlags uint8

const (
	waitOther  waitFlags = 1 << iota // no evidence: Node.others has it
	waitLate                         // it came late
	waitDenied                       // it stopped the connection
	waitAnswer                       // Node.answers has its request
	waitOdd                          // Node.odd has its time; else it is due as long after it as all are
)

func (w *wait) ref() hold.Ref { return hold.RefOf(w.chunk, w.at) }

func (w *wait) hold(r hold.Ref) { w.chunk, w.at = r.Parts() }

// placed reports whether the wait of evidence is over, so that only its place is
// due.
func (w *wait) placed() bool { return w.chunk == 0 }

// queue names one of the node's queues. It is in the numbers of what waits there.
type queue uint8

const (
	short  queue = iota // for Config.Horizon
	long                // for Config.AgentHorizon
	longer              // as long: what was short and turned out to need it
	queues
)

// Numbers of what waits: the queue in the upper bits, never zero, and the place.
const (
	placeBits = 30
	placeMask = 1<<placeBits - 1
)

func queueOf(number uint32) queue { return queue(number>>placeBits) - 1 }

// waits is a queue of what is due at times that never decrease. Places are
// numbered, and good until they are popped.
type waits struct {
	blocks []waitBlock
	head   int    // in the first block
	popped uint32 // blocks before the first
}

const waitsBlock = 512

type waitBlock struct {
	from event.Time
	list []wait
}

// push returns the place of w, which is due at a time.
func (q *waits) push(at event.Time, w wait) uint32 {
	last := len(q.blocks) - 1
	if last < 0 || len(q.blocks[last].list) == waitsBlock || at-q.blocks[last].from > math.MaxUint32 {
		b := waitBlock{from: at}
		if last >= 0 && len(q.blocks[last].list) == waitsBlock {
			b.list = make([]wait, 0, waitsBlock) // it is likely to be filled as well
		}
		q.blocks = append(q.blocks, b)
		last++
	}
	b := &q.blocks[last]
	w.after = uint32(at - b.from)
	b.list = append(b.list, w)
	return ((q.popped+uint32(last))*waitsBlock + uint32(len(b.list)-1)) & placeMask
}

// at returns what waits at a place and when it is due. The pointer is good until
// the next push.
func (q *waits) at(place uint32) (*wait, event.Time) {
	b := &q.blocks[(place/waitsBlock-q.popped)&(placeMask/waitsBlock)]
	w := &b.list[place%waitsBlock]
	return w, b.from + event.Time(w.after)
}

// due lowers *at to the time of the first one, if that is earlier.
func (q *waits) due(at *event.Time) bool {
	if len(q.blocks) == 0 {
		return false
	}
	b := &q.blocks[0]
	if first := b.from + event.Time(b.list[q.head].after); first < *at {
		*at = first
		return true
	}
	return false
}

// pop ends the first wait.
func (q *waits) pop() (place uint32, w wait, due event.Time) {
	b := &q.blocks[0]
	place = (q.popped*waitsBlock + uint32(q.head)) & placeMask
	w, due = b.list[q.head], b.from+event.Time(b.list[q.head].after)
	if q.head++; q.head == len(b.list) {
		q.blocks[0], q.head = waitBlock{}, 0
		q.blocks = q.blocks[1:]
		q.popped++
	}
	return place, w, due
}
