// Package apitest is an API server of Kubernetes for tests, as far as pods go: it
// lists and watches them over HTTPS as the real one does, with resource versions,
// initial events, bookmarks, field selectors, pages, tokens and expired versions.
package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// Server holds pods. New makes one.
type Server struct {
	*httptest.Server
	// NoInitialEvents makes it one that is older than 1.32: who asks for initial
	// events is told that this is not valid.
	NoInitialEvents bool

	mu       sync.Mutex
	token    string // what clients must show
	version  int    // of the last change
	oldest   int    // changes up to here are forgotten
	pods     map[string]*corev1.Pod
	history  []change
	moved    chan struct{} // closed at every change
	dropping chan struct{} // closed to drop the watches
	counts   map[string]int
}

type change struct {
	version int
	kind    apiwatch.EventType
	pod     *corev1.Pod
	before  *corev1.Pod // nil for a new one
}

// New starts a server with TLS that clients with the token may ask.
func New(token string) *Server {
	s := &Server{
		token: token, version: 100, pods: map[string]*corev1.Pod{}, counts: map[string]int{},
		moved: make(chan struct{}), dropping: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/pods", s.serve)
	s.Server = httptest.NewTLSServer(mux)
	return s
}

// Close ends the watches and the server.
func (s *Server) Close() {
	s.DropWatches()
	s.Server.Close()
}

// Accept lets in who shows another token from now on.
func (s *Server) Accept(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// Put makes or changes a pod.
func (s *Server) Put(pod *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := pod.Namespace + "/" + pod.Name
	kind := apiwatch.Added
	before := s.pods[key]
	if before != nil {
		kind = apiwatch.Modified
	}
	s.record(kind, pod, before)
	s.pods[key] = s.history[len(s.history)-1].pod
}

// Delete takes a pod away.
func (s *Server) Delete(namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := namespace + "/" + name
	if before := s.pods[key]; before != nil {
		s.record(apiwatch.Deleted, before, before)
		delete(s.pods, key)
	}
}

func (s *Server) record(kind apiwatch.EventType, pod, before *corev1.Pod) {
	s.version++
	pod = pod.DeepCopy()
	pod.ResourceVersion = strconv.Itoa(s.version)
	s.history = append(s.history, change{s.version, kind, pod, before})
	close(s.moved)
	s.moved = make(chan struct{})
}

// DropWatches cuts the connections of all watches.
func (s *Server) DropWatches() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.dropping)
	s.dropping = make(chan struct{})
}

// Forget makes all versions until now too old to watch from, as compaction does.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.oldest, s.history = s.version, nil
}

// Count is how often something was asked: "list", "watch", "initial", or answered:
// "gone", "unauthorized".
func (s *Server) Count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[what]
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	token, q := s.token, r.URL.Query()
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		s.counts["unauthorized"]++
		s.mu.Unlock()
		fail(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
		return
	case q.Get("watch") == "true" || q.Get("watch") == "1":
		s.mu.Unlock()
		s.watch(w, r)
		return
	}
	defer s.mu.Unlock()
	s.counts["list"]++
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}}
	list.ResourceVersion = strconv.Itoa(s.version)
	names := s.sorted(q.Get("fieldSelector"))
	from, _ := strconv.Atoi(q.Get("continue"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	names = names[min(from, len(names)):]
	if limit > 0 && len(names) > limit {
		names = names[:limit]
		list.Continue = strconv.Itoa(from + limit)
	}
	for _, name := range names {
		list.Items = append(list.Items, *s.pods[name])
	}
	write(w, http.StatusOK, &list)
}

func (s *Server) sorted(selector string) (names []string) {
	for name, pod := range s.pods {
		if selects(selector, pod) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// selects knows the one selector that is asked for.
func selects(selector string, pod *corev1.Pod) bool {
	node, ok := strings.CutPrefix(selector, "spec.nodeName=")
	return selector == "" || ok && pod != nil && pod.Spec.NodeName == node
}

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	write(w, code, status(code, reason, message))
}

func status(code int, reason metav1.StatusReason, message string) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	}
}

func write(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object) // a client that has gone asks again
}

// watch streams changes after a version, or all that there is and what comes.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	selector, initial := q.Get("fieldSelector"), q.Get("sendInitialEvents") == "true"
	s.mu.Lock()
	s.counts["watch"]++
	dropping := s.dropping
	var at int
	var first []apiwatch.Event
	switch from, err := strconv.Atoi(q.Get("resourceVersion")); {
	case initial && s.NoInitialEvents:
		s.mu.Unlock()
		fail(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled")
		return
	case initial:
		s.counts["initial"]++
		for _, name := range s.sorted(selector) {
			first = append(first, apiwatch.Event{Type: apiwatch.Added, Object: s.pods[name]})
		}
		mark := bookmark(s.version)
		mark.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		first = append(first, apiwatch.Event{Type: apiwatch.Bookmark, Object: mark})
		at = s.version
	case err != nil || from < s.oldest:
		s.counts["gone"]++
		first = append(first, apiwatch.Event{Type: apiwatch.Error, Object: status(http.StatusGone, metav1.StatusReasonExpired, fmt.Sprintf("too old resource version: %d (%d)", from, s.oldest))})
		at = -1
	default:
		at = from
	}
	s.mu.Unlock()

	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	send := func(e apiwatch.Event) bool {
		if pod, ok := e.Object.(*corev1.Pod); ok { // in a list it is said once, of all
			typed := *pod
			typed.TypeMeta = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
			e.Object = &typed
		}
		text, err := json.Marshal(e.Object)
		if err == nil {
			err = json.NewEncoder(w).Encode(metav1.WatchEvent{Type: string(e.Type), Object: runtime.RawExtension{Raw: text}})
		}
		return err == nil && out.Flush() == nil
	}
	for _, e := range first {
		if !send(e) {
			return
		}
	}
	if at < 0 || out.Flush() != nil {
		return
	}
	marks := time.NewTicker(200 * time.Millisecond)
	defer marks.Stop()
	for {
		s.mu.Lock()
		var due []apiwatch.Event
		for _, c := range s.history {
			if c.version <= at {
				continue
			}
			if e, ok := c.seenBy(selector); ok {
				due = append(due, e)
			}
		}
		at = s.version
		moved := s.moved
		s.mu.Unlock()
		for _, e := range due {
			if !send(e) {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-dropping:
			panic(http.ErrAbortHandler) // in the middle of the stream
		case <-moved:
		case <-marks.C:
			if q.Get("allowWatchBookmarks") == "true" && !send(apiwatch.Event{Type: apiwatch.Bookmark, Object: bookmark(at)}) {
				return
			}
		}
	}
}

// seenBy is the change as a watch with a selector sees it: a pod that is selected
// from now on, or no longer, was added, or deleted.
func (c *change) seenBy(selector string) (apiwatch.Event, bool) {
	was, is := c.before != nil && selects(selector, c.before), c.kind != apiwatch.Deleted && selects(selector, c.pod)
	switch {
	case is && !was:
		return apiwatch.Event{Type: apiwatch.Added, Object: c.pod}, true
	case is:
		return apiwatch.Event{Type: apiwatch.Modified, Object: c.pod}, true
	case was:
		return apiwatch.Event{Type: apiwatch.Deleted, Object: c.pod}, true
	}
	return apiwatch.Event{}, false
}

func bookmark(version int) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.Itoa(version)}}
}
