package tetragon

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	api "github.com/cilium/tetragon/api/v1/tetragon"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/event"
	"github.com/sennit-io/sennit/schemas/event/eventtest"
	"github.com/sennit-io/sennit/schemas/redact"
)

var errImpossible = errors.New("a value the decoder calls impossible")

// compare holds what the decoder made of a record to what the plain reading of
// the generated message gives.
func compare(t *testing.T, in string, msg *api.GetEventsResponse, b *event.Batch, got error) {
	t.Helper()
	want, err := reference(msg)
	switch {
	case errors.Is(err, errImpossible):
		if got == nil || errors.Is(got, ingest.ErrUnknownType) {
			t.Fatalf("%s\ndecoded, though %v: %v", in, err, got)
		}
		return
	case err != nil:
		if !errors.Is(got, ingest.ErrUnknownType) {
			t.Fatalf("%s\nerror %v, want unknown type", in, got)
		}
		return
	case got != nil:
		t.Fatalf("%s\nnot decoded: %v", in, got)
	}
	if len(b.Events) == 0 {
		t.Fatalf("%s\nno event and no error", in)
	}
	e := b.Events[len(b.Events)-1]
	if e.ID.IsZero() {
		t.Errorf("%s\nhas no id", in)
	}
	e.ID = event.ID{}
	if diff := cmp.Diff(want, &e, eventtest.Equal); diff != "" {
		t.Fatalf("%s\nreference (-) and decoder (+) differ:\n%s", in, diff)
	}
}

// reference builds the event from the generated message, slowly and plainly.
func reference(msg *api.GetEventsResponse) (*event.Event, error) {
	r := &ref{msg: msg, e: &event.Event{Source: event.SourceTetragon, Cluster: msg.GetClusterName(), Node: msg.GetNodeName()}}
	r.e.Time = r.time(msg.GetTime())
	switch ev := msg.GetEvent().(type) {
	case *api.GetEventsResponse_ProcessExec:
		x := ev.ProcessExec
		r.process(event.KindProcessExec, x.GetProcess(), x.GetParent(), r.time(x.GetProcess().GetStartTime()))
	case *api.GetEventsResponse_ProcessExit:
		x := ev.ProcessExit
		p := r.process(event.KindProcessExit, x.GetProcess(), x.GetParent(), r.time(x.GetTime()))
		p.ExitCode, p.Signal, p.Inventory = x.GetStatus(), x.GetSignal(), false
	case *api.GetEventsResponse_ProcessKprobe:
		x := ev.ProcessKprobe
		s := r.hook("kprobe", x.GetProcess(), x.GetParent(), x.GetFunctionName(), "", x.GetArgs(), x.GetAction(), x.GetReturnAction())
		s.Policy, s.Message = x.GetPolicyName(), x.GetMessage()
		r.checked(x.GetData())
		if x.GetReturn() != nil {
			r.checked([]*api.KprobeArgument{x.GetReturn()})
			s.Return = number(x.GetReturn())
		}
	case *api.GetEventsResponse_ProcessTracepoint:
		x := ev.ProcessTracepoint
		function := x.GetSubsys() + "/" + x.GetEvent()
		if function == "/" {
			function = ""
		}
		s := r.hook("tracepoint", x.GetProcess(), x.GetParent(), function, "", x.GetArgs(), x.GetAction(), 0)
		s.Policy, s.Message = x.GetPolicyName(), x.GetMessage()
	case *api.GetEventsResponse_ProcessUprobe:
		x := ev.ProcessUprobe
		s := r.hook("uprobe", x.GetProcess(), x.GetParent(), x.GetSymbol(), x.GetPath(), x.GetArgs(), x.GetAction(), 0)
		s.Policy, s.Message = x.GetPolicyName(), x.GetMessage()
		r.checked(x.GetData())
	case *api.GetEventsResponse_ProcessUsdt:
		x := ev.ProcessUsdt
		function := x.GetProvider() + ":" + x.GetName()
		if function == ":" {
			function = ""
		}
		s := r.hook("usdt", x.GetProcess(), x.GetParent(), function, x.GetPath(), x.GetArgs(), x.GetAction(), 0)
		s.Policy, s.Message = x.GetPolicyName(), x.GetMessage()
	case *api.GetEventsResponse_ProcessLsm:
		x := ev.ProcessLsm
		s := r.hook("lsm", x.GetProcess(), x.GetParent(), x.GetFunctionName(), "", x.GetArgs(), x.GetAction(), 0)
		s.Policy, s.Message = x.GetPolicyName(), x.GetMessage()
	case *api.GetEventsResponse_ProcessLoader:
		x := ev.ProcessLoader
		r.hook("loader", x.GetProcess(), x.GetParent(), "", x.GetPath(), nil, 0, 0)
	case *api.GetEventsResponse_ProcessThrottle:
		x := ev.ProcessThrottle
		r.e.Kind = event.KindLoss
		loss := &event.Loss{Of: event.SourceTetragon, Scope: x.GetCgroup()}
		r.e.Payload = loss
		switch x.GetType() {
		case api.ThrottleType_THROTTLE_START:
			loss.Reason, loss.From = "throttle start", r.e.Time
		case api.ThrottleType_THROTTLE_STOP:
			loss.Reason, loss.To = "throttle stop", r.e.Time
		default:
			return nil, errors.Join(r.err, ingest.ErrUnknownType)
		}
	case *api.GetEventsResponse_RateLimitInfo:
		r.e.Kind = event.KindLoss
		loss := &event.Loss{Of: event.SourceTetragon, Reason: "rate limit", Count: ev.RateLimitInfo.GetNumberOfDroppedProcessEvents(), To: r.e.Time}
		if r.e.Time != 0 {
			loss.From = r.e.Time.Add(-time.Minute)
		}
		r.e.Payload = loss
	default:
		return nil, errors.Join(r.err, ingest.ErrUnknownType)
	}
	return r.e, r.err
}

type ref struct {
	msg *api.GetEventsResponse
	e   *event.Event
	err error
}

func (r *ref) impossible(what string, args ...any) {
	r.err = fmt.Errorf("%w: %s", errImpossible, fmt.Sprintf(what, args...))
}

func (r *ref) time(ts *timestamppb.Timestamp) event.Time {
	if ts == nil {
		return 0
	}
	std := ts.AsTime()
	if y := std.Year(); y < 1678 || y > 2261 {
		r.impossible("year %d", y)
		return 0
	}
	return event.At(std)
}

func (r *ref) addr(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		r.impossible("address %q", s)
	}
	return a.WithZone("").Unmap()
}

func (r *ref) port(v uint32) uint16 {
	if v > 65535 {
		r.impossible("port %d", v)
	}
	return uint16(v)
}

func parseExecID(id string) (node string, p event.ProcessRef, ok bool) {
	raw, err := base64.StdEncoding.DecodeString(id)
	if err != nil || len(id) > 256 {
		return "", p, false
	}
	parts := strings.Split(string(raw), ":")
	if len(parts) < 3 {
		return "", p, false
	}
	n := len(parts)
	start, err1 := strconv.ParseUint(parts[n-2], 10, 64)
	pid, err2 := strconv.ParseUint(parts[n-1], 10, 32)
	if err1 != nil || err2 != nil || len(parts[n-2]) > 20 || len(parts[n-1]) > 20 {
		return "", p, false
	}
	return strings.Join(parts[:n-2], ":"), event.ProcessRef{PID: uint32(pid), StartNS: start}, true
}

func (r *ref) identity(p *api.Process) event.ProcessRef {
	pid := p.GetPid().GetValue()
	node, full, ok := parseExecID(p.GetExecId())
	if !ok {
		return event.ProcessRef{PID: pid}
	}
	if r.e.Node == "" {
		r.e.Node = string([]rune(node))
	}
	if pid != 0 && pid != full.PID {
		return event.ProcessRef{PID: pid}
	}
	return full
}

func (r *ref) workload(p *api.Process) event.Workload {
	pod := p.GetPod()
	if pod == nil {
		return event.Workload{}
	}
	return event.Workload{
		Cluster: r.e.Cluster, Namespace: pod.GetNamespace(), Pod: pod.GetName(), PodUID: pod.GetUid(),
		Container: pod.GetContainer().GetName(), Node: r.e.Node,
	}
}

func (r *ref) process(k event.Kind, p, parent *api.Process, fallback event.Time) *event.Process {
	r.e.Kind = k
	if r.e.Time == 0 {
		r.e.Time = fallback
	}
	r.checkProcess(p)
	out := &event.Process{
		ExecID: event.ExecID(p.GetExecId()), ParentExecID: event.ExecID(p.GetParentExecId()), Process: r.identity(p),
		TID: p.GetTid().GetValue(), UID: p.GetUid().GetValue(), Binary: p.GetBinary(), CWD: p.GetCwd(), Started: r.time(p.GetStartTime()), Workload: r.workload(p),
	}
	r.e.Payload = out
	if out.ParentExecID == "" {
		out.ParentExecID = event.ExecID(parent.GetExecId())
	}
	if _, full, ok := parseExecID(string(out.ParentExecID)); ok {
		out.Parent = full
	} else if _, full, ok := parseExecID(parent.GetExecId()); ok {
		out.Parent.PID = full.PID
	} else {
		out.Parent.PID = parent.GetPid().GetValue()
	}
	flags := strings.Split(p.GetFlags(), " ")
	has := func(want string) bool {
		for _, f := range flags {
			if f == want {
				return true
			}
		}
		return false
	}
	if p.GetBinary()+p.GetArguments() != "" && !has("truncArgs") {
		var h redact.Hasher
		out.Hashes = h.Command(p.GetBinary(), p.GetArguments())
	}
	out.Inventory = has("procFS")
	out.Container = p.GetDocker()
	if id := p.GetPod().GetContainer().GetId(); id != "" {
		_, bare, ok := strings.Cut(id, "://")
		if !ok {
			bare = id
		}
		out.Container = bare
	}
	out.Entered = p.GetInInitTree() != nil && !p.GetInInitTree().GetValue() && out.Container != ""
	for _, v := range p.GetEnvironmentVariables() {
		if tc, ok := scan.TraceParent([]byte(v.GetValue())); ok && v.GetKey() == "TRACEPARENT" {
			out.Trace = tc
			out.Trace.Format = "env"
		}
	}
	return out
}

// checkProcess finds what the decoder refuses although it does not keep it.
func (r *ref) checkProcess(p *api.Process) { r.time(p.GetStartTime()) }

func action(a api.KprobeAction) string {
	name, ok := api.KprobeAction_name[int32(a)]
	if !ok || a == 0 {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(name, "KPROBE_ACTION_"))
}

func (r *ref) hook(hook string, p, parent *api.Process, function, path string, args []*api.KprobeArgument, a, ra api.KprobeAction) *event.Syscall {
	r.e.Kind = event.KindSyscall
	r.checkProcess(p)
	out := &event.Syscall{
		ExecID: event.ExecID(p.GetExecId()), ParentExecID: event.ExecID(p.GetParentExecId()), Process: r.identity(p),
		TID: p.GetTid().GetValue(), Binary: p.GetBinary(), Hook: hook, Function: function, File: path, Action: action(a), Workload: r.workload(p),
	}
	r.e.Payload = out
	if out.ParentExecID == "" {
		out.ParentExecID = event.ExecID(parent.GetExecId())
	}
	stops := func(s string) bool {
		return s == "sigkill" || s == "signal" || s == "override" || s == "notifyenforcer"
	}
	if !stops(out.Action) && stops(action(ra)) {
		out.Action = action(ra)
	}
	if stops(out.Action) {
		r.e.Kind = event.KindEnforcement
	}
	r.checked(args)
	var sock *api.KprobeSock
	var skb *api.KprobeSkb
	var peer netip.AddrPort
	var file, str string
	hasStr := false
	for _, x := range args {
		switch v := x.GetArg().(type) {
		case *api.KprobeArgument_SockArg:
			if sock == nil {
				sock = v.SockArg
			}
		case *api.KprobeArgument_SkbArg:
			if skb == nil {
				skb = v.SkbArg
			}
		case *api.KprobeArgument_SockaddrArg:
			if !peer.IsValid() {
				peer = r.end(v.SockaddrArg.GetAddr(), v.SockaddrArg.GetPort())
			}
		case *api.KprobeArgument_StringArg:
			if !hasStr {
				str, hasStr = v.StringArg, true
			}
		case *api.KprobeArgument_FileArg:
			file = first(file, v.FileArg.GetPath())
		case *api.KprobeArgument_PathArg:
			file = first(file, v.PathArg.GetPath())
		case *api.KprobeArgument_LinuxBinprmArg:
			file = first(file, v.LinuxBinprmArg.GetPath())
		case *api.KprobeArgument_SockaddrunArg:
			file = first(file, v.SockaddrunArg.GetPath())
		}
	}
	if strings.Contains(function, "open") && hook != "usdt" || hook == "usdt" && strings.Contains(r.msg.GetProcessUsdt().GetName(), "open") ||
		hook == "tracepoint" && strings.Contains(r.msg.GetProcessTracepoint().GetEvent(), "open") {
		if hook != "tracepoint" || strings.Contains(r.msg.GetProcessTracepoint().GetEvent(), "open") {
			file = first(file, str)
		}
	}
	out.File = first(file, path)
	switch {
	case sock != nil:
		out.SockAddr = event.SockAddr(sock.GetCookie())
		out.Tuple = event.Tuple{Proto: protoOf([]byte(sock.GetProtocol())), Src: r.end(sock.GetSaddr(), sock.GetSport()), Dst: r.end(sock.GetDaddr(), sock.GetDport())}
	case skb != nil:
		out.Tuple = event.Tuple{Proto: protoOf([]byte(skb.GetProtocol())), Src: r.end(skb.GetSaddr(), skb.GetSport()), Dst: r.end(skb.GetDaddr(), skb.GetDport())}
	}
	if peer.IsValid() {
		symbol := function
		if hook == "tracepoint" || hook == "usdt" {
			symbol = ""
		}
		if strings.Contains(symbol, "bind") {
			if !out.Tuple.Src.IsValid() {
				out.Tuple.Src = peer
			}
		} else if !out.Tuple.Dst.IsValid() {
			out.Tuple.Dst = peer
		}
	}
	return out
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (r *ref) end(addr string, port uint32) netip.AddrPort {
	a := r.addr(addr)
	if !a.IsValid() || a.IsUnspecified() && port == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, r.port(port))
}

// checked finds impossible values in arguments that are not kept.
func (r *ref) checked(args []*api.KprobeArgument) {
	for _, x := range args {
		if s := x.GetSockArg(); s != nil {
			r.addr(s.GetSaddr())
			r.addr(s.GetDaddr())
			r.port(s.GetSport())
			r.port(s.GetDport())
		}
		if s := x.GetSkbArg(); s != nil {
			r.addr(s.GetSaddr())
			r.addr(s.GetDaddr())
			r.port(s.GetSport())
			r.port(s.GetDport())
		}
		if s := x.GetSockaddrArg(); s != nil {
			r.addr(s.GetAddr())
			r.port(s.GetPort())
		}
	}
}

func number(x *api.KprobeArgument) int64 {
	switch v := x.GetArg().(type) {
	case *api.KprobeArgument_IntArg:
		return int64(v.IntArg)
	case *api.KprobeArgument_LongArg:
		return v.LongArg
	case *api.KprobeArgument_SizeArg:
		return int64(v.SizeArg)
	case *api.KprobeArgument_UintArg:
		return int64(v.UintArg)
	}
	return 0
}
