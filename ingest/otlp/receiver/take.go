package receiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/otlp"
	"github.com/sennit-io/sennit/schemas/event"
)

// worker decodes one request at a time. There is one for each processor: what
// has none waits, which bounds memory and work.
type worker struct {
	dec   otlp.Decoder
	batch event.Batch
}

// body is what a request holds.
type body uint8

const (
	protoTraces body = iota
	protoLogs
	jsonAny // traces or logs: the request says itself
)

// take decodes a request and hands its events on. Its errors are *badRequest,
// ingest.ErrBusy and errSink.
func (r *Receiver) take(ctx context.Context, from ends, kind body, msg []byte) (outcome, error) {
	now := event.Time(time.Now().UnixNano())
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Wait)
	defer cancel()
	var w *worker
	select {
	case w = <-r.workers:
	case <-ctx.Done():
		r.busy.Add(1)
		return outcome{}, ingest.ErrBusy
	}
	defer func() {
		w.batch.Reset()
		r.workers <- w
	}()

	var t ingest.Tally
	var fault error
	switch kind {
	case protoTraces:
		t, fault = w.dec.DecodeProto(msg, &w.batch)
	case protoLogs:
		t, fault = w.dec.DecodeLogsProto(msg, &w.batch)
	default:
		t, fault = w.dec.Decode(msg, &w.batch)
	}
	if len(w.batch.Events) == 0 && fault != nil {
		r.count(t, 0, 0, 0)
		return outcome{}, &badRequest{fault}
	}
	forged, own := r.admit(&w.batch, from, now)
	if len(w.batch.Events) > 0 {
		if err := r.sink(ctx, &w.batch); err != nil {
			if errors.Is(err, ingest.ErrBusy) || errors.Is(err, context.DeadlineExceeded) {
				r.busy.Add(1)
				return outcome{}, ingest.ErrBusy
			}
			r.failed.Add(1)
			return outcome{}, errSink
		}
	}
	r.count(t, len(w.batch.Events), forged, own)
	out := outcome{rejected: uint64(t.Bad + t.UnknownType + forged)}
	switch {
	case fault != nil:
		out.why = fault.Error()
	case forged > 0:
		out.why = fmt.Sprintf("%d records name another workload or node than the one that sent them", forged)
	}
	return out, nil
}

func (r *Receiver) count(t ingest.Tally, events, forged, own int) {
	r.in.Add(uint64(t.In))
	r.bad.Add(uint64(t.Bad))
	r.unknown.Add(uint64(t.UnknownType))
	r.events.Add(uint64(events))
	r.forged.Add(uint64(forged))
	r.own.Add(uint64(own))
}

// admit completes events with what the connection proves, and takes out those
// that say otherwise, and those that are Sennit's own.
func (r *Receiver) admit(b *event.Batch, from ends, now event.Time) (forged, own int) {
	var proof Proof
	if r.cfg.Prove != nil && from.peer.IsValid() {
		proof = r.cfg.Prove(from.peer, from.local)
	}
	kept := b.Events[:0]
	for i := range b.Events {
		e := b.Events[i]
		var claim *event.Workload
		span, _ := e.Payload.(*event.Span)
		switch p := e.Payload.(type) {
		case *event.Span:
			if p.Scope == OwnScope {
				own++
				continue
			}
			claim = &p.Workload
		case *event.SpanLog:
			claim = &p.Workload
		}
		stands := claim != nil && r.here(claim)
		if stands && proof != nil {
			var proven bool
			if stands, proven = proof.Admit(claim); proven && span != nil {
				span.Proof = event.ProofSocket
			}
		}
		if !stands || !r.here(claim) {
			forged++
			continue
		}
		fill(&claim.Cluster, r.cfg.Cluster)
		fill(&claim.Node, r.cfg.Node)
		e.Cluster, e.Node = claim.Cluster, claim.Node
		e.Observed = now // a log's own observed time is what its sender says
		kept = append(kept, e)
	}
	clear(b.Events[len(kept):])
	b.Events = kept
	return forged, own
}

// here reports whether a claim is not of another node than the receiver's.
func (r *Receiver) here(claim *event.Workload) bool {
	return r.cfg.Node == "" || claim.Node == "" || claim.Node == r.cfg.Node
}

func fill(s *string, value string) {
	if *s == "" {
		*s = value
	}
}
