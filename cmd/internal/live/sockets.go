package live

import (
	"context"
	"net"
	"net/netip"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/socket"
	"github.com/sennit-io/sennit/schemas/event"
)

// openSockets loads the shim. What the kernel refuses is logged; without sockets
// at all it fails.
func (i *intake) openSockets(d *socket.Decoder, tls []string) error {
	shim, err := bpf.Open(tls...)
	if err != nil {
		return err
	}
	for _, m := range shim.Missing() {
		i.service.Log.Warn("not observed", "what", m)
	}
	i.shim, i.sockets = shim, socket.NewSource(shim)
	i.sockets.Decoder = *d
	i.sockets.Decoder.Pods = i.directory
	// What is reported to this process is no request of anybody's.
	for _, a := range []net.Addr{i.receiver.GRPCAddr(), i.receiver.HTTPAddr()} {
		if tcp, ok := a.(*net.TCPAddr); ok && tcp != nil {
			own := tcp.AddrPort()
			i.sockets.Decoder.Own = append(i.sockets.Decoder.Own, netip.AddrPortFrom(own.Addr().Unmap(), own.Port()))
		}
	}
	return nil
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
