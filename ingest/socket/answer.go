package socket

import (
	"bytes"
	"net/http"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

// maxAnswers bounds the answers that are read at once, of 600 bytes each.
const maxAnswers = 1 << 12

// answer reads of a body that answers a POST what a model says about its answer,
// and nothing else: JSON or a stream of events, as it comes. What is behind a hole
// is not guessed: JSON ends there, a stream of events goes on with the next one.
type answer struct {
	members members
	form    form

	line  [5]byte // how a line of a stream of events begins
	width int     // how much of it there is, or a state beyond that

	packing packing
	packed  []byte // of a compressed body, until its end

	frame  uint32 // bytes of the frame that are to come (HTTP/2)
	next   uint32 // sequence number of the next byte (HTTP/1)
	chunks chunks
}

// form is what a body turned out to be, by its first byte.
type form uint8

const (
	formUnknown form = iota
	formJSON
	formEvents
	formPacked
	formOther // or damaged: nothing more is read
)

// read takes in the next bytes of a body.
func (a *answer) read(p *answers, b []byte) {
	if a.form == formUnknown && len(b) > 0 {
		switch {
		case a.packing == packingNone && b[0] == 0x1f: // its headers are not known
			a.packing, a.form = packingGzip, formPacked
		case a.packing == packingOther:
			p.opaque(a)
		case a.packing != packingNone:
			a.form = formPacked
		}
	}
	if a.form == formUnknown {
		if b = bytes.TrimLeft(b, " \t\r\n"); len(b) == 0 {
			return
		}
		switch b[0] {
		case '{', '[':
			a.form = formJSON
		case 'd', 'e', 'i', 'r', ':': // data, event, id, retry, a comment
			a.form = formEvents
		default: // no model's, or compressed in a way that nobody tells
			p.opaque(a)
		}
	}
	switch a.form {
	case formPacked:
		p.pack(a, b)
	case formJSON:
		if !a.members.read(b) {
			p.opaque(a)
		}
	case formEvents:
		a.events(b)
	}
}

// How far a line of a stream of events was read.
const (
	lineData  = len("data:") // what follows is data
	lineOther = lineData + 1
	lineLost  = lineData + 2 // bytes are missing; nobody knows in which event
)

// events takes in a part of a stream of events. Source: the HTML standard, 9.2.6.
func (a *answer) events(b []byte) {
	for len(b) > 0 {
		if a.width < lineData {
			c := b[0]
			b = b[1:]
			switch {
			case c == '\n' && a.blank(): // the event has ended
				a.members.begin()
				a.width = 0
			case c == '\n':
				a.width = 0
			default:
				a.line[a.width] = c
				if a.width++; a.width == lineData && string(a.line[:]) != "data:" {
					a.width = lineOther
				}
			}
			continue
		}
		if a.width == lineLost {
			end := bytes.Index(b, []byte("\n\n"))
			if end < 0 {
				return
			}
			b = b[end+2:]
			a.width = 0
			continue
		}
		line, rest, ended := bytes.Cut(b, []byte("\n"))
		if a.width == lineData && !a.members.read(line) {
			a.width = lineOther
		}
		if !ended {
			return
		}
		a.width, b = 0, rest
	}
}

func (a *answer) blank() bool { return a.width == 0 || a.width == 1 && a.line[0] == '\r' }

// lose is called where bytes of the body are missing.
func (a *answer) lose(p *answers) {
	a.members.begin()
	if a.form == formPacked || a.form == formUnknown && a.packing != packingNone {
		p.opaque(a)
		return
	}
	if a.form == formEvents {
		a.width = lineLost
		return
	}
	a.form = formOther
}

// piece takes in a piece of a frame of DATA. Of frames that were not copied
// nothing is there, of some only a part.
func (a *answer) piece(p *answers, f *bpf.Frame, data []byte) {
	if f.First&bpf.FirstOfFrame != 0 {
		if a.frame != 0 {
			a.lose(p)
		}
		a.frame = f.Length
		if f.Flags&flagPadded != 0 { // nobody pads these
			p.opaque(a)
		}
	}
	left := f.Length - f.Passed
	if a.frame != left+uint32(len(data)) {
		a.lose(p)
	}
	a.frame = left
	a.read(p, data)
}

// answered takes in what of a stream's answer was copied.
func (d *Decoder) answered(c *conn, s *stream, f *bpf.Frame, data []byte) {
	if int(f.Direction) == c.outgoing() || c.role == event.RoleServer {
		return
	}
	if !s.body {
		s.body = true
		// Within TLS the answer may be seen before its request.
		if f.Plain != 0 && f.First&bpf.FirstOfFrame != 0 && (!s.asked || s.http.Method == http.MethodPost) {
			if s.answer = d.answers.get(); s.answer != nil {
				s.answer.packing = s.packing
			}
		}
	}
	if s.answer != nil {
		s.answer.piece(&d.answers, f, data)
	}
}

// body takes in a piece of a body of HTTP/1.
func (d *Decoder) body(x *exchange, seq uint32, b []byte) {
	a := x.answer
	if a == nil || !x.active || !x.answered {
		return
	}
	switch skip := int32(a.next - seq); {
	case skip < 0 && x.responseChunked:
		d.answers.opaque(a) // nobody knows where chunks begin
	case skip < 0:
		a.lose(&d.answers)
	case int(skip) >= len(b):
		return // it was there before
	default:
		b = b[skip:]
		seq += uint32(skip)
	}
	a.next = seq + uint32(len(b))
	if !x.responseChunked {
		a.read(&d.answers, b)
		return
	}
	for len(b) > 0 && a.form != formOther {
		var data []byte
		var ok bool
		if data, b, ok = a.chunks.next(b); !ok {
			d.answers.opaque(a)
			return
		}
		a.read(&d.answers, data)
	}
}

// tell writes what a model said about its answer into an exchange.
func (d *Decoder) tell(e *event.Exchange, a *answer) {
	if a == nil || e.HTTP.Method != http.MethodPost {
		return
	}
	d.answers.unpack(a)
	m := &a.members
	if !m.model || m.name.n == 0 && m.usage == (event.Usage{}) {
		return
	}
	e.ResponseID, e.ResponseModel, e.Usage = d.word(&m.id), d.word(&m.name), m.usage
	for i, c := range m.finish.bytes() {
		if 'A' <= c && c <= 'Z' {
			m.finish.text[i] = c + 'a' - 'A'
		}
	}
	e.Finish = d.word(&m.finish)
}

// word is a string that is no text: an id or a name.
func (d *Decoder) word(s *short) string {
	if !printable(s.bytes()) {
		return ""
	}
	return d.strings.String(s.bytes())
}

// maxSpare is how much of a buffer is kept for the next answer.
const maxSpare = 1 << 14

// answers keeps those that nobody needs at the moment for others.
type answers struct {
	spare  []*answer
	used   int
	packed int    // bytes
	unread uint64 // that began and are in no form that is read
}

// get returns an answer to read, nil where too many are read.
func (p *answers) get() (a *answer) {
	if p.used >= maxAnswers {
		return nil
	}
	p.used++
	if n := len(p.spare); n > 0 {
		a, p.spare = p.spare[n-1], p.spare[:n-1]
		return a
	}
	return new(answer)
}

// put takes back what get returned and forgets what it has read.
func (p *answers) put(a **answer) {
	if *a != nil {
		p.used--
		p.release(*a)
		**a = answer{packed: (*a).packed}
		if cap((*a).packed) > maxSpare {
			(*a).packed = nil
		}
		p.spare = append(p.spare, *a)
		*a = nil
	}
}
