package bind

import "github.com/sennit-io/sennit/correlate/link"

// commands counts, class by class, the tools whose stated command was found running,
// and the programs with other commands that began within such a tool and by their times
// are its.
//
// A tool that is told to run a command mostly runs it and nothing else, whatever that
// starts in turn. Where its program was found, a second one is hardly its, however well
// it fits the times; how hardly, is what the others of the class show. Where its program
// was not found, it may be any.
type commands map[uint32]*struct{ found, more uint32 }

// tells is how much rarer, than its times say, one more program of a tool is.
func (s commands) tells(o *owner) float64 {
	if c := s[o.class]; c != nil {
		return min(1, (float64(c.more)+1)/(float64(c.found)+1))
	}
	return 1
}

// count takes in a tool whose command was found, or one more program of it.
func (s commands) count(o *owner, found, more uint32) {
	c := s[o.class]
	if c == nil {
		c = &struct{ found, more uint32 }{}
		s[o.class] = c
	}
	c.found, c.more = c.found+found, c.more+more
	if c.found+c.more >= 1<<12 { // what was long ago counts for less
		c.found, c.more = c.found/2, c.more/2
	}
}

// states reports whether a tool was told to run the command of a process.
func (o *owner) states(p *process) bool {
	for i, h := range p.exec.hashes {
		if h != 0 && h == o.said.hashes[i] {
			return true
		}
	}
	return false
}

// another returns the tool of a candidate if its command was found and the call is
// another program.
func (p *pairing) another(c *call, m *link.Candidate) *owner {
	if c == nil || c.p == nil || c.p.exec == nil {
		return nil
	}
	if o := p.ownerBy(m.Owner); o != nil && o.ran && !o.states(c.p) {
		return o
	}
	return nil
}

// learn counts the programs that tools, by the times, ran besides what they were told
// to; sure is how sure a join must be.
func (p *pairing) learn(matches []link.Match, sure float64) {
	for i := range matches {
		c := p.callBy(matches[i].Call)
		for j := range matches[i].Candidates {
			m := &matches[i].Candidates[j]
			if m.Confidence < sure {
				continue
			}
			if o := p.another(c, m); o != nil {
				p.commands.count(o, 0, 1)
			}
		}
	}
}

// weigh makes a tool whose command was found less likely to have run another program,
// and shares out anew what is left. It returns false where it is then at least as sure
// as a join must be that no tool ran it: the requests are asked instead.
func (p *pairing) weigh(c *call, m []link.Candidate, sure float64) bool {
	if c != nil && c.tools > 0 { // the requests are asked, of what no tool did
		for i := range m {
			m[i].Confidence *= 1 - c.tools
		}
		return true
	}
	before, left := 0.0, 0.0
	for i := range m {
		before += m[i].Confidence
		if o := p.another(c, &m[i]); o != nil {
			m[i].Confidence *= p.commands.tells(o)
		}
		left += m[i].Confidence
	}
	if left == before {
		return true
	}
	all := left + max(1-before, rounding)
	for i := range m {
		m[i].Confidence /= all
	}
	c.tools = left / all
	return c.tools > 1-sure
}

// rounding is the most of nobody's share that confidences in thousandths hide.
const rounding = 0.0005
