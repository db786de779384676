package socket

import (
	"bytes"

	"github.com/sennit-io/sennit/schemas/event"
)

// members reads JSON of which any part may come at any time, and keeps of it the
// few members in which models say what they answered: OpenAI (chat completions and
// responses), Anthropic (messages) and Gemini (generateContent), whole or as the
// events of a stream. Everything else is stepped over; the longest string kept is
// maxMember. A later value takes the place of an earlier one, but for the id and
// the model's name.
type members struct {
	id, name, finish short
	usage            event.Usage
	model            bool // it is a model's answer

	state  uint8
	where  [maxNesting]place // of the values that are open
	arrays uint64            // a bit for each of them
	depth  int
	member member // whose value is next
	// Of a count that is not whole yet: Gemini counts thoughts apart, spans do not.
	output, thoughts uint64
	text             short // the string or number that is being read
	isKey            bool
}

// maxNesting bounds how deep JSON may be nested. What is wanted is in the upper
// levels, but what is deeper must be counted.
const maxNesting = 64

// place is what an object or array is.
type place uint8

const (
	placeOther place = iota
	placeAnswer
	placeAnswers // an array of them
	placeUsage
	placeChoice
	placeChoices
	placeDelta
)

// member is a member of an object that is read.
type member uint8

const (
	memberOther member = iota
	memberID
	memberName
	memberFinish
	memberInput
	memberOutput
	memberThoughts
	memberKind
	memberAnswer
	memberUsage
	memberChoices
	memberDelta
)

// names of members, by the place where they are.
var names = [...]struct {
	place  place
	name   string
	member member
}{
	{placeAnswer, "id", memberID},
	{placeAnswer, "responseId", memberID},
	{placeAnswer, "model", memberName},
	{placeAnswer, "modelVersion", memberName},
	{placeAnswer, "object", memberKind},
	{placeAnswer, "type", memberKind},
	{placeAnswer, "stop_reason", memberFinish},
	{placeAnswer, "message", memberAnswer},
	{placeAnswer, "response", memberAnswer},
	{placeAnswer, "usage", memberUsage},
	{placeAnswer, "usageMetadata", memberUsage},
	{placeAnswer, "choices", memberChoices},
	{placeAnswer, "candidates", memberChoices},
	{placeAnswer, "delta", memberDelta},
	{placeDelta, "stop_reason", memberFinish},
	{placeChoice, "finish_reason", memberFinish},
	{placeChoice, "finishReason", memberFinish},
	{placeUsage, "prompt_tokens", memberInput},
	{placeUsage, "input_tokens", memberInput},
	{placeUsage, "promptTokenCount", memberInput},
	{placeUsage, "completion_tokens", memberOutput},
	{placeUsage, "output_tokens", memberOutput},
	{placeUsage, "candidatesTokenCount", memberOutput},
	{placeUsage, "thoughtsTokenCount", memberThoughts},
}

// kinds are what models say that their answers are, or how that begins.
var kinds = [...]string{"chat.completion", "text_completion", "response", "message"}

// States of reading. What is between values is not judged: it is for the client
// to find fault.
const (
	inValue uint8 = iota // a value is next
	inObject
	inColon
	inString
	inEscape
	inScalar
	inEnd // of the value at the top
)

// begin is ready for another value at the top, and keeps what was found.
func (m *members) begin() {
	m.state, m.depth, m.member, m.text, m.isKey = inValue, 0, memberOther, short{}, false
	m.output, m.thoughts = 0, 0
}

// read takes in the next bytes. It reports whether they can be JSON.
func (m *members) read(b []byte) bool {
	for i := 0; i < len(b); {
		switch c := b[i]; m.state {
		case inString:
			n := bytes.IndexAny(b[i:], `"\`)
			if n < 0 {
				m.text.add(b[i:])
				return true
			}
			m.text.add(b[i : i+n])
			if i += n + 1; b[i-1] == '\\' {
				m.state = inEscape
			} else {
				m.endString()
			}
		case inEscape:
			m.text.spoil() // nothing that is read has any
			m.state = inString
			i++
		case inScalar:
			if c == ',' || c == '}' || c == ']' || c <= ' ' {
				m.endScalar()
				continue // it may end what is around it too
			}
			m.text.add(b[i : i+1])
			i++
		case inEnd:
			if c > ' ' {
				return false
			}
			i++
		default:
			i++
			if c > ' ' && !m.structure(c) {
				return false
			}
		}
	}
	return true
}

// structure takes in a byte between strings and numbers.
func (m *members) structure(c byte) bool {
	switch {
	case c == '"' && m.state != inColon:
		m.isKey = m.state == inObject
		m.text, m.state = short{}, inString
	case c == ':' && m.state == inColon:
		m.state = inValue
	case c == ',' && m.depth > 0 && m.state != inColon:
		m.after()
	case c == '}' || c == ']':
		if m.depth == 0 || m.inArray() != (c == ']') {
			return false
		}
		m.depth--
		if m.where[m.depth] == placeUsage && m.output+m.thoughts != 0 {
			m.usage.Output = m.output + m.thoughts
			m.output, m.thoughts = 0, 0
		}
		m.after()
	case (c == '{' || c == '[') && m.state == inValue:
		if m.depth == maxNesting {
			return false
		}
		m.where[m.depth] = m.placeOf(c == '[')
		m.arrays &^= 1 << m.depth
		m.state = inObject
		if c == '[' {
			m.arrays |= 1 << m.depth
			m.state = inValue
		}
		m.depth++
		m.member = memberOther
	case m.state == inValue:
		m.text, m.state = short{}, inScalar
		m.text.add([]byte{c})
	default:
		return false
	}
	return true
}

func (m *members) inArray() bool { return m.depth > 0 && m.arrays>>(m.depth-1)&1 != 0 }

// after is where a value has ended.
func (m *members) after() {
	m.member = memberOther
	switch {
	case m.depth == 0:
		m.state = inEnd
	case m.inArray():
		m.state = inValue
	default:
		m.state = inObject
	}
}

// placeOf says what an object or array is that begins.
func (m *members) placeOf(array bool) place {
	if m.depth == 0 {
		if array {
			return placeAnswers
		}
		return placeAnswer
	}
	switch around := m.where[m.depth-1]; {
	case m.inArray() && around == placeAnswers && !array:
		return placeAnswer
	case m.inArray() && around == placeChoices && !array:
		return placeChoice
	case m.member == memberChoices && array:
		m.model = true
		return placeChoices
	case array:
	case m.member == memberAnswer && m.depth == 1 || m.member == memberAnswer && m.depth == 2 && m.where[0] == placeAnswers:
		return placeAnswer
	case m.member == memberUsage:
		return placeUsage
	case m.member == memberDelta:
		return placeDelta
	}
	return placeOther
}

func (m *members) endString() {
	if !m.isKey {
		m.value()
		m.after()
		return
	}
	m.member, m.state = memberOther, inColon
	if here := m.where[m.depth-1]; here != placeOther {
		name := m.text.bytes()
		for i := range names {
			if names[i].place == here && names[i].name == string(name) {
				m.member = names[i].member
				break
			}
		}
	}
}

func (m *members) endScalar() {
	var n uint64
	for _, c := range m.text.bytes() {
		if c < '0' || c > '9' || n > 1<<40 {
			n = 0
			break
		}
		n = 10*n + uint64(c-'0')
	}
	switch {
	case n == 0: // null, or no number of tokens
	case m.member == memberInput:
		m.usage.Input, m.model = n, true
	case m.member == memberOutput:
		m.output, m.model = n, true
	case m.member == memberThoughts:
		m.thoughts = n
	}
	m.after()
}

// value takes in a string that is no key.
func (m *members) value() {
	v := m.text.bytes()
	if len(v) == 0 {
		return
	}
	switch m.member {
	case memberID:
		if m.id.n == 0 {
			m.id = m.text
		}
	case memberName:
		if m.name.n == 0 {
			m.name = m.text
		}
	case memberFinish:
		if m.finish.n == 0 { // of the first choice
			m.finish = m.text
		}
	case memberKind:
		for _, k := range kinds {
			m.model = m.model || bytes.HasPrefix(v, []byte(k))
		}
	}
}

// maxMember is the longest string that is kept, in bytes.
const maxMember = 128

// short is a string of at most maxMember bytes; a longer one is none.
type short struct {
	n    uint8
	bad  bool
	text [maxMember]byte
}

func (s *short) add(b []byte) {
	if s.bad || int(s.n)+len(b) > maxMember {
		s.spoil()
		return
	}
	s.n += uint8(copy(s.text[s.n:], b))
}

func (s *short) spoil() { s.n, s.bad = 0, true }

func (s *short) bytes() []byte { return s.text[:s.n] }
