package main

import "math"

// prediction is whose a call is, and how sure that is.
type prediction struct {
	call, owner string
	confidence  float64
}

// figures is how good predictions are.
type figures struct {
	// Accuracy is the share of traces in which every call was given to the right
	// request, and no call of another.
	Accuracy float64
	// Recall is right links / calls, Mislinked wrong links / calls.
	Recall, Mislinked float64
	// ECE is the mean gap between confidence and hit rate over five bins.
	ECE float64
}

// judge scores the predictions of at least a confidence.
func judge(t truth, predictions []prediction, least float64) figures {
	const bins = 5
	guess := make(map[string]string, len(predictions))
	confidence := make(map[string]float64, len(predictions))
	stolen := map[string]bool{} // requests that were given a call of another
	for _, p := range predictions {
		if p.confidence < least || p.owner == "" {
			continue
		}
		guess[p.call], confidence[p.call] = p.owner, p.confidence
		if t.parent[p.call] != p.owner {
			stolen[p.owner] = true
		}
	}
	wrong := map[string]bool{} // traces
	all := map[string]bool{}
	right, linked := 0, 0
	var n, sum, hits [bins]float64
	for call, parent := range t.parent {
		trace := t.trace[call]
		all[trace] = true
		g, ok := guess[call]
		if g != parent || stolen[parent] {
			wrong[trace] = true
		}
		if !ok {
			continue
		}
		linked++
		b := min(int(confidence[call]*bins), bins-1)
		n[b]++
		sum[b] += confidence[call]
		if g == parent {
			right++
			hits[b]++
		}
	}
	f := figures{
		Accuracy: 1 - float64(len(wrong))/float64(len(all)),
		Recall:   float64(right) / float64(len(t.parent)), Mislinked: float64(linked-right) / float64(len(t.parent)),
	}
	for b := range bins {
		if n[b] > 0 {
			f.ECE += math.Abs(sum[b]-hits[b]) / float64(max(linked, 1))
		}
	}
	return f
}
