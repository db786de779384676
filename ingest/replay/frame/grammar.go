package frame

import "github.com/sennit-io/sennit/ingest/scan"

// grammar follows JSON's punctuation, as far as it takes to know where a value
// ends and what cannot go on. What stands inside scalars is the decoder's
// business.
type grammar struct {
	state state
	depth int
	inObj [scan.MaxDepth + 1]bool
}

type state uint8

const (
	outside   state = iota // of any value
	wantValue              // after a colon, or a comma in an array
	wantFirst              // after [: a value or ]
	wantKey                // after a comma in an object: a key
	wantName               // after {: a key or }
	wantColon
	wantComma // after a value: a comma, or the end of what holds it
	inString
	inKey
	inScalar // a number or literal
)

// begin takes the first byte of a value.
func (g *grammar) begin(c byte) bool {
	switch {
	case c == '{':
		return g.push(true)
	case c == '[':
		return g.push(false)
	case c == '"':
		g.state = inString
	case c == '-' || c >= '0' && c <= '9' || c == 't' || c == 'f' || c == 'n':
		g.state = inScalar
	default:
		return false
	}
	return true
}

// step takes a byte inside a value that is neither space nor part of a string
// or scalar.
func (g *grammar) step(c byte) bool {
	switch g.state {
	case wantFirst:
		if c == ']' {
			return g.pop(false)
		}
		return g.begin(c)
	case wantValue:
		return g.begin(c)
	case wantName, wantKey:
		if c == '"' {
			g.state = inKey
			return true
		}
		return c == '}' && g.state == wantName && g.pop(true)
	case wantColon:
		g.state = wantValue
		return c == ':'
	case wantComma:
		switch {
		case c == ',' && g.inObj[g.depth]:
			g.state = wantKey
		case c == ',':
			g.state = wantValue
		case c == '}' || c == ']':
			return g.pop(c == '}')
		default:
			return false
		}
		return true
	}
	return false
}

func (g *grammar) push(obj bool) bool {
	if g.depth++; g.depth > scan.MaxDepth {
		return false
	}
	g.inObj[g.depth] = obj
	g.state = wantFirst
	if obj {
		g.state = wantName
	}
	return true
}

func (g *grammar) pop(obj bool) bool {
	if g.inObj[g.depth] != obj {
		return false
	}
	g.depth--
	g.endValue()
	return true
}

// endValue is the end of a string, scalar or container.
func (g *grammar) endValue() {
	if g.state = wantComma; g.depth == 0 {
		g.state = outside
	}
}

func (g *grammar) inText() bool { return g.state == inString || g.state == inKey }

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
