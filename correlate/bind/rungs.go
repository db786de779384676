package bind

import (
	"cmp"
	"math"
	"slices"

	"github.com/sennit-io/sennit/correlate"
	"github.com/sennit-io/sennit/schemas/event"
)

// sign is something that a call and its owner have in common and that few
// others share: the count of tokens, the words of a command, the goroutine or
// thread.
type sign struct {
	method correlate.Method
	a, b   uint64
	ref    event.ProcessRef
}

// nobody owns calls whose owner is known and not of the workload.
const nobody = math.MaxUint64

// fix tells the linkers whose calls are known, exactly or because a sign says
// so, of those that began before until.
func (n *Node) fix(p *pairing, byKey map[correlate.Key][]*owner, until event.Time) {
	var signs map[sign][]*owner // made when there is something to find out
	var threads map[event.ProcessRef]float64
	for _, c := range p.calls {
		if c.decided || c.known {
			continue
		}
		if c.p != nil {
			c.p.inherit()
		}
		key, known := p.keyOf(c)
		near, wide := nearOf(byKey[key], c), requestOf(byKey[key], c)
		if known && (wide != nil || c.span == nil && p.method != correlate.EdgeWindow) {
			c.known = true
			p.near.Known(c.id, idOf(near))
			p.wide.Known(c.id, idOf(wide))
			if near == nil {
				near = wide
			}
			if near != nil && signs != nil {
				p.odds.count(signs, c, near)
			}
			continue
		}
		if c.start >= until {
			continue
		}
		if signs == nil {
			signs, threads = p.signs(), p.threads()
		}
		if m, o := bySign(signs, c); o != nil {
			own := 0.0 // how sure it is that threads tell requests of its process apart
			if o.x != nil {
				own = threads[o.x.p.Process]
			}
			if i := p.odds.inference(m, own); i.Confidence >= n.cfg.Confidence {
				n.infer(c, o, i)
				if m == correlate.ToolCommand && !o.ran {
					o.ran = true
					p.commands.count(o, 1, 0)
				}
				wide := requestOf(byKey[o.key()], c)
				if o.near() {
					p.near.Known(c.id, o.serial)
				} else {
					p.near.Known(c.id, nobody)
				}
				p.wide.Known(c.id, idOf(wide))
			}
		}
	}
}

// byKey lists the owners of each request.
func (p *pairing) byKey() map[correlate.Key][]*owner {
	list := make(map[correlate.Key][]*owner, len(p.owners))
	for i := range p.owners {
		o := &p.owners[i]
		list[o.key()] = append(list[o.key()], o)
	}
	return list
}

// keyOf returns the request of a call that an identifier joins. It is zero, and
// known, where the call can be no request's.
func (p *pairing) keyOf(c *call) (key correlate.Key, known bool) {
	switch {
	case c.p != nil:
		return c.p.key, c.p.serves || !c.p.key.IsZero()
	case c.span != nil:
		return correlate.TraceKey(c.span.trace), true
	case c.heard != nil:
		return key, false
	case p.method == correlate.EdgeWindow:
		return c.x.key, true
	}
	return c.x.key, c.x.settled()
}

// nearOf returns the span that a call is known to be about.
func nearOf(owners []*owner, c *call) *owner {
	if c.x == nil || c.x.span.IsZero() {
		return nil
	}
	for _, o := range owners {
		if s := o.span(); s != nil && s.span == c.x.span && o.near() && o.covers(c) {
			return o
		}
	}
	return nil
}

// requestOf returns the request that a call was made for.
func requestOf(owners []*owner, c *call) (found *owner) {
	for _, o := range owners {
		if !o.near() && o.covers(c) && (found == nil || o.kind < found.kind) {
			found = o
		}
	}
	return found
}

func (o *owner) covers(c *call) bool { return o.start <= c.start && c.end <= o.end }

// signs lists the owners by what their calls would share with them.
func (p *pairing) signs() map[sign][]*owner {
	list := map[sign][]*owner{}
	add := func(s sign, o *owner) { list[s] = append(list[s], o) }
	for i := range p.owners {
		o := &p.owners[i]
		switch s := o.span(); {
		case o.x != nil:
			if x := o.x.p; !x.Process.IsZero() {
				if x.Goroutine != 0 {
					add(sign{method: correlate.GoroutineParent, a: x.Goroutine, ref: x.Process}, o)
				}
				if x.TID != 0 {
					add(sign{method: correlate.Thread, a: uint64(x.TID), ref: x.Process}, o)
				}
			}
		case s == nil:
		case o.kind == ownerModel && s.usage.Input != 0 && s.usage.Output != 0:
			add(sign{method: correlate.Usage, a: s.usage.Input, b: s.usage.Output}, o)
		case o.kind == ownerTool:
			for i, h := range s.hashes {
				if h != 0 {
					add(sign{method: correlate.ToolCommand, a: h, b: uint64(i)}, o)
				}
			}
		}
	}
	return list
}

// signsOf calls f for what a call may share with its owner, the strongest first.
func signsOf(c *call, f func(sign) bool) {
	if c.p != nil {
		if c.p.exec == nil {
			return
		}
		x := c.p.exec
		for i, h := range x.hashes {
			if h != 0 && !f(sign{method: correlate.ToolCommand, a: h, b: uint64(i)}) {
				return
			}
		}
		if x.parentTID != 0 {
			f(sign{method: correlate.Thread, a: uint64(x.parentTID), ref: x.parent})
		}
		return
	}
	if c.x == nil {
		return
	}
	x := c.x.p
	if x.Usage.Input != 0 && x.Usage.Output != 0 && !f(sign{method: correlate.Usage, a: x.Usage.Input, b: x.Usage.Output}) {
		return
	}
	if x.Process.IsZero() {
		return
	}
	if x.ParentGo != 0 && !f(sign{method: correlate.GoroutineParent, a: x.ParentGo, ref: x.Process}) {
		return
	}
	if x.TID != 0 {
		f(sign{method: correlate.Thread, a: uint64(x.TID), ref: x.Process})
	}
}

// bySign returns the only owner that shares a sign with the call, by the
// strongest sign that any shares.
func bySign(list map[sign][]*owner, c *call) (m correlate.Method, found *owner) {
	signsOf(c, func(s sign) bool {
		m, found = s.method, nil
		for _, o := range list[s] {
			if o.start > c.start || o.end < c.end {
				continue
			}
			if found != nil && found.key() != o.key() {
				found = nil // two requests do
				return true
			}
			if found == nil {
				found = o
			}
		}
		return found == nil
	})
	return m, found
}

// threads is the probability that each thread of a process serves one request at a
// time, for the processes of the workload. Where threads are pooled under goroutines or callbacks, a request
// that comes in while n others are under way meets the thread of one of them in
// n of all threads' number of cases; where it never does although it could have
// often enough, threads are not shared.
func (p *pairing) threads() map[event.ProcessRef]float64 {
	type thread struct {
		ref event.ProcessRef
		tid uint32
	}
	var open []*owner
	last := map[thread]event.Time{}
	seen := map[event.ProcessRef]float64{}
	var served []*owner
	for i := range p.owners {
		if o := &p.owners[i]; o.x != nil && o.x.p.TID != 0 {
			served = append(served, o)
			if t := (thread{o.x.p.Process, o.x.p.TID}); last[t] == 0 {
				last[t] = 1
				seen[t.ref]++
			}
		}
	}
	slices.SortFunc(served, func(a, b *owner) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.serial, b.serial)) })
	pooled := map[event.ProcessRef]float64{} // the probability of no meeting if threads are pooled
	for ref := range seen {
		pooled[ref] = 1
	}
	met := map[event.ProcessRef]bool{}
	for _, o := range served {
		open = slices.DeleteFunc(open, func(p *owner) bool { return p.end <= o.start })
		for _, other := range open {
			if other.x.p.Process != o.x.p.Process {
				continue
			}
			if other.x.p.TID == o.x.p.TID {
				met[o.x.p.Process] = true
			}
			pooled[o.x.p.Process] *= 1 - 1/(seen[o.x.p.Process]+1)
		}
		open = append(open, o)
	}
	for ref, none := range pooled {
		pooled[ref] = 1 / (1 + none)
		if met[ref] {
			pooled[ref] = 0
		}
	}
	return pooled
}

// odds is how often each sign was right where an identifier knew better.
type odds [correlate.Methods]struct{ right, wrong uint32 }

// Before anything is known, a sign is taken to be right in 49 of 50 cases: that
// many must be outweighed.
const (
	priorRight = 49
	priorAll   = 50
)

// count compares every sign of a call with its owner.
func (d *odds) count(list map[sign][]*owner, c *call, truth *owner) {
	if m, o := bySign(list, c); o != nil {
		r := &d[m]
		if o.key() == truth.key() {
			r.right++
		} else {
			r.wrong++
		}
		if r.right+r.wrong >= 1<<12 { // what was long ago counts for less
			r.right, r.wrong = r.right/2, r.wrong/2
		}
	}
}

// inference says how sure a sign is; threads is how sure it is that threads
// tell requests apart.
func (d *odds) inference(m correlate.Method, threads float64) *correlate.Inference {
	r := d[m]
	p := (priorRight + float64(r.right)) / (priorAll + float64(r.right) + float64(r.wrong))
	if m == correlate.Thread {
		p *= threads
	}
	return &correlate.Inference{Method: m, Confidence: math.Round(p*1000) / 1000, Candidates: 1, Evidence: signEvidence[m]}
}

var signEvidence = [correlate.Methods]string{
	correlate.ToolCommand:     "the command is the one that the tool was told to run",
	correlate.Usage:           "as many tokens in and out as the span states",
	correlate.GoroutineParent: "its goroutine was started by the one that served the request",
	correlate.DNSName:         "the only request that used the name then",
	correlate.Thread:          "by the thread that served the request, while it did",
}
