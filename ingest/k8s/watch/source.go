package watch

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sennit-io/sennit/ingest"
	"github.com/sennit-io/sennit/ingest/k8s"
	"github.com/sennit-io/sennit/ingest/k8s/pods"
	"github.com/sennit-io/sennit/schemas/event"
)

const (
	// inventory is how often pods that have not changed are told again, so that
	// who began to listen later knows them.
	inventory = 10 * time.Minute
	// retry is how long a busy sink is left alone.
	retry   = time.Second
	atOnce  = 256 // events of one batch
	podKind = "Pod"
)

var errNoUID = errors.New("read Kubernetes Pod: it has no uid")

// Config says whose pods are followed, and for whom.
type Config struct {
	// Node is the one whose pods are followed, "" for those of all.
	Node string
	// Cluster is written into events and the directory.
	Cluster string
	// Directory is filled. It must be empty, and no other source's.
	Directory *pods.Directory
	// Connected is called with nil when the source answers, and with the reason
	// when it does not any more or not yet; nil for not. Records is called with
	// what could not be read; nil for not.
	Connected func(error)
	Records   func(ingest.Tally, error)
}

// Source follows pods. API, Kubelet and File make one. A Source runs once.
type Source struct {
	cfg  Config
	from follower

	mu      sync.Mutex
	dec     k8s.Decoder
	batch   event.Batch
	pending map[string]event.Time // uids of pods that changed, and when that was seen
	changed chan struct{}         // one token: something is pending
	told    string                // how the source stood when Connected was called last
}

// follower tells a source what there is until ctx ends, and never gives up before.
type follower interface {
	follow(ctx context.Context, s *Source)
}

func newSource(cfg Config, from follower) *Source {
	return &Source{cfg: cfg, from: from, pending: map[string]event.Time{}, changed: make(chan struct{}, 1), told: "?"}
}

// Run follows the pods until ctx ends, which is no error, or the sink fails.
func (s *Source) Run(ctx context.Context, sink ingest.Sink) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		s.from.follow(ctx, s)
		return nil
	})
	g.Go(func() error { return s.publish(ctx, sink) })
	return g.Wait()
}

// connected tells how the source stands, once for each reason.
func (s *Source) connected(err error) {
	how := ""
	if err != nil {
		how = err.Error()
	}
	s.mu.Lock()
	same := s.told == how
	s.told = how
	s.mu.Unlock()
	if !same && s.cfg.Connected != nil {
		s.cfg.Connected(err)
	}
}

// replace takes in all pods that there are, as objects and lists in JSON: of
// those that are not among them the end was missed.
func (s *Source) replace(texts ...[]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := event.At(time.Now())
	there := map[string]bool{}
	for _, text := range texts {
		s.decode(text, now, there)
	}
	for _, uid := range s.cfg.Directory.UIDs() {
		p := s.cfg.Directory.Pod(uid)
		if there[uid] || p == nil || p.ValidTo != 0 && p.ValidTo <= now {
			continue
		}
		ended := *p
		ended.ValidTo = now
		s.put(&ended, now)
	}
	s.cfg.Directory.Forget(now)
}

// take takes in one pod that is there, or that has ended.
func (s *Source) take(object []byte, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := event.At(time.Now())
	if ended {
		object, _ = json.Marshal(struct { // of valid JSON this is valid JSON
			Type   string          `json:"type"`
			Time   time.Time       `json:"time"`
			Object json.RawMessage `json:"object"`
		}{"DELETED", now.Std(), object})
	}
	s.decode(object, now, nil)
	s.cfg.Directory.Forget(now)
}

// decode notes the uids of what it reads in there, if that is not nil.
func (s *Source) decode(text []byte, now event.Time, there map[string]bool) {
	s.batch.Reset()
	tally, err := s.dec.Decode(text, &s.batch)
	for i := range s.batch.Events {
		p, ok := s.batch.Events[i].Payload.(*event.Pod)
		switch {
		case !ok: // a service
			tally.UnknownType++
			continue
		case s.cfg.Node != "" && p.Workload.Node != s.cfg.Node:
			continue
		case p.Workload.PodUID == "":
			tally.Bad++
			err = errNoUID
			continue
		}
		if there != nil {
			there[p.Workload.PodUID] = true
		}
		p.Workload.Cluster = s.cfg.Cluster
		s.put(p, now)
	}
	if bad := tally.Bad + tally.UnknownType; bad > 0 && s.cfg.Records != nil {
		s.cfg.Records(ingest.Tally{In: bad, Bad: tally.Bad, UnknownType: tally.UnknownType}, err)
	}
}

func (s *Source) put(p *event.Pod, now event.Time) {
	if !s.cfg.Directory.Put(p) {
		return
	}
	s.pending[p.Workload.PodUID] = now
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// publish hands on what changed, and now and then everything. What changes again
// before the sink has room is told once.
func (s *Source) publish(ctx context.Context, sink ingest.Sink) error {
	all := time.NewTicker(inventory)
	defer all.Stop()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		case <-again:
		case <-all.C:
			s.mu.Lock()
			now := event.At(time.Now())
			for _, uid := range s.cfg.Directory.UIDs() {
				if _, waits := s.pending[uid]; !waits {
					s.pending[uid] = now
				}
			}
			s.mu.Unlock()
		}
		again = nil
		for {
			sent, err := s.send(ctx, sink)
			switch {
			case errors.Is(err, ingest.ErrBusy), err != nil && ctx.Err() != nil:
				again = time.After(retry)
			case err != nil:
				return err
			}
			if sent == 0 {
				break
			}
		}
	}
}

// send hands one batch on and returns how many events the sink took.
func (s *Source) send(ctx context.Context, sink ingest.Sink) (int, error) {
	var b event.Batch
	var ids event.Hasher
	taken := map[string]event.Time{}
	s.mu.Lock()
	for uid, seen := range s.pending {
		if len(taken) == atOnce {
			break
		}
		delete(s.pending, uid)
		p := s.cfg.Directory.Pod(uid)
		if p == nil {
			continue // it ended long ago
		}
		taken[uid] = seen
		e, out := b.Add(event.KindPod, event.SourceK8s), b.NewPod()
		*out = *p
		out.IPs, out.Containers = b.CopyAddrs(p.IPs), b.CopyContainers(p.Containers)
		e.Payload, e.Cluster, e.Node, e.Time, e.Observed = out, s.cfg.Cluster, p.Workload.Node, seen, event.At(time.Now())
		e.ID = ids.Reset(e.Kind).String(e.Node).Uint(uint64(e.Time)).String(uid).Sum()
	}
	s.mu.Unlock()
	if len(taken) == 0 {
		return 0, nil
	}
	err := sink(ctx, &b)
	if err == nil {
		return len(taken), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for uid, seen := range taken {
		if _, newer := s.pending[uid]; !newer {
			s.pending[uid] = seen
		}
	}
	return 0, err
}
