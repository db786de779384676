package live

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/socket"
	"github.com/sennit-io/sennit/schemas/event"
)

// openSockets loads the shim. What the kernel refuses is logged, and becomes a gap
// in every timeline of this node: all of it, if need be. Only what is wrong with
// the files to look into is an error.
func (i *intake) openSockets(d *socket.Decoder, tls []string) error {
	shim, err := bpf.Open(tls...)
	switch {
	case errors.As(err, new(*bpf.FileError)):
		return err
	case err != nil:
		i.blind = err
		i.service.Log.Error("sockets are not observed; everything else runs (sennit doctor says more)", "error", err)
	default:
		for _, m := range shim.Missing() {
			i.service.Log.Warn("not observed", "what", m)
		}
	}
	i.shim, i.sockets = shim, socket.NewSource(shim)
	i.sockets.Decoder = *d
	i.sockets.Decoder.Pods = i.directory
	i.metrics.watch(i.sockets, hooks(shim, err))
	// What is reported to this process is no request of anybody's.
	for _, a := range []net.Addr{i.receiver.GRPCAddr(), i.receiver.HTTPAddr()} {
		if tcp, ok := a.(*net.TCPAddr); ok && tcp != nil {
			own := tcp.AddrPort()
			i.sockets.Decoder.Own = append(i.sockets.Decoder.Own, netip.AddrPortFrom(own.Addr().Unmap(), own.Port()))
		}
	}
	return nil
}

// hooks says of each place in the kernel whether it is watched.
func hooks(s *bpf.Shim, err error) map[string]bool {
	watched := make(map[string]bool)
	if s == nil {
		watched["all"] = err == nil
		return watched
	}
	for _, h := range s.Hooks() {
		watched[h.Name] = h.Err == nil
	}
	return watched
}

// runSockets hands on what the shim sees, or that there is none.
func (i *intake) runSockets(ctx context.Context, sink ingest.Sink) error {
	if i.blind != nil {
		return i.sockets.Blind(ctx, sink, i.blind.Error())
	}
	defer i.shim.Close()
	return i.sockets.Run(ctx, sink)
}

// counted hands a source's events on and counts them.
func counted(source event.Source, sink ingest.Sink, m *Metrics) ingest.Sink {
	return func(ctx context.Context, b *event.Batch) error {
		if err := sink(ctx, b); err != nil {
			return err
		}
		m.lines(source, ingest.Tally{In: len(b.Events)})
		return nil
	}
}
