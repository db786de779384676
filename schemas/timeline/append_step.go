package timeline

import "github.com/sennit-io/sennit/schemas/jsontext"

// AppendJSON appends the step's canonical form, as it stands in its timeline.
func (s *Step) AppendJSON(b []byte) []byte {
	b = str(append(b, '{'), `"step_id":`, s.ID)
	b = str(b, `,"parent_step_id":`, s.ParentID)
	b = str(b, `,"layer":`, string(s.Layer))
	b = str(b, `,"name":`, s.Name)
	b = instant(b, `,"start":`, s.Start)
	b = instant(b, `,"end":`, s.End)
	b = str(b, `,"status":`, string(s.Status))
	b = str(b, `,"source":`, s.Source)
	b = str(b, `,"node":`, s.Node)
	b = num(b, `,"pid":`, uint64(s.PID))
	b = str(b, `,"socket_cookie":`, s.SocketCookie)
	b = str(b, `,"trace_id":`, s.TraceID)
	b = str(b, `,"span_id":`, s.SpanID)
	b = s.Attributes.AppendJSON(append(b, `,"attributes":`...))
	b = strs(b, `,"event_ids":`, s.EventIDs)
	if s.Connection != nil {
		b = s.Connection.append(append(b, `,"connection":`...))
	}
	b = s.Join.append(append(b, `,"join":`...))
	return append(b, '}')
}

func (c *Connection) append(b []byte) []byte {
	b = str(append(b, '{'), `"socket_cookie":`, c.SocketCookie)
	b = num(b, `,"shared":`, uint64(c.Shared))
	b = str(b, `,"verdict":`, c.Verdict)
	b = instant(b, `,"opened":`, c.Opened)
	b = str(b, `,"sni":`, c.SNI)
	return append(b, '}')
}

func (j *Join) append(b []byte) []byte {
	b = str(append(b, '{'), `"method":`, j.Method)
	b = flag(b, `,"exact":`, j.Exact)
	b = score(b, `,"confidence":`, j.Confidence)
	b = num(b, `,"candidates":`, uint64(j.Candidates))
	b = strs(b, `,"evidence":`, j.Evidence)
	b = append(b, `,"rejected":[`...)
	for i := range j.Rejected {
		b = append(j.Rejected[i].append(b), ',')
	}
	return append(jsontext.Close(b, ']'), '}')
}

func (r *Rejected) append(b []byte) []byte {
	b = str(append(b, '{'), `"timeline_id":`, r.TimelineID)
	b = str(b, `,"method":`, r.Method)
	b = score(b, `,"confidence":`, r.Confidence)
	b = str(b, `,"why":`, r.Why)
	return append(b, '}')
}
