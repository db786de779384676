package otlp

// slot is a meaning that attributes of different names share. What a span says
// is kept one value a slot, whatever conventions it was written in.
type slot uint8

// Slots. Those of one group stay together: the masks below rely on it.
const (
	slotNone slot = iota

	// Resource.
	slotService
	slotCluster
	slotNamespace
	slotPod
	slotPodUID
	slotContainer
	slotNode
	slotPID

	// Network.
	slotPeerAddr
	slotPeerPort
	slotLocalAddr
	slotLocalPort
	slotServer
	slotServerPort
	slotPeerName // of a client span the server, of a server span the client
	slotHostName // of a server span the server
	slotHostPort
	slotClient
	slotProtocol
	slotCookie

	// HTTP and RPC.
	slotMethod
	slotStatus
	slotPath
	slotURL
	slotRoute
	slotQuery
	slotHost
	slotRPCSystem
	slotRPCService
	slotRPCMethod

	slotErrorType
	slotException
	slotEventName

	// GenAI.
	slotOperation
	slotProvider
	slotAgent
	slotModel
	slotTool
	slotToolType
	slotToolCallID
	slotToolArgs
	slotConversation
	slotInvocation
	slotResponseID
	slotFinish
	slotInput
	slotOutput
	slotInferenceKind // openinference.span.kind
	slotLoopKind      // traceloop.span.kind
	slotLoopEntity    // traceloop.entity.name
	slotMCPMethod

	slotCount
)

// slotSet is a set of slots.
type slotSet uint64

func (s slotSet) has(k slot) bool { return s&(1<<k) != 0 }

func span(from, to slot) slotSet { return 1<<(to+1) - 1<<from }

var (
	networkSlots = span(slotPeerAddr, slotCookie)
	httpSlots    = span(slotMethod, slotRPCMethod)
	genAISlots   = span(slotOperation, slotMCPMethod)
)

// _ holds slots to one word.
const _ = uint(64 - slotCount)

// value is an attribute's value: a text, or a whole number.
type value struct {
	text []byte
	num  int64
	kind valueKind
}

type valueKind uint8

const (
	valueNone valueKind = iota // empty, or of a type nobody reads
	valueText
	valueNumber
)

// attrs is what one span, resource or log record says, by meaning. Texts are
// views of the record or of the decoder's arena.
type attrs struct {
	set   slotSet
	count int // attributes met, known or not
	rank  [slotCount]uint8
	val   [slotCount]value
}

func (a *attrs) reset() { a.set, a.count = 0, 0 }

// put keeps v unless a name of higher standing has already said it. Of one name
// given twice the last value counts.
func (a *attrs) put(k *alias, v value) {
	if v.kind == valueNone || v.kind == valueText && len(v.text) == 0 {
		return
	}
	if a.set.has(k.slot) && a.rank[k.slot] < k.rank {
		return
	}
	a.set |= 1 << k.slot
	a.rank[k.slot] = k.rank
	a.val[k.slot] = v
}

// text returns the text of a slot, empty when it has none.
func (a *attrs) text(k slot) []byte {
	if !a.set.has(k) {
		return nil
	}
	return a.val[k].text
}

// uint returns the number of a slot, written as one or in digits; 0 when it has
// none, when it is negative or beyond max.
func (a *attrs) uint(k slot, max uint64) uint64 {
	if !a.set.has(k) {
		return 0
	}
	v := &a.val[k]
	n := uint64(v.num)
	if v.kind == valueText {
		var ok bool
		if n, ok = decimal(v.text); !ok {
			return 0
		}
	} else if v.num < 0 {
		return 0
	}
	if n > max {
		return 0
	}
	return n
}
