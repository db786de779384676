// Package link finds out which request made which call when no identifier says
// so, from who called whom and when. It is the rung "assignment" of the ladder.
//
// # Model
//
// A request (an owner) makes calls. What a service does itself, the start of
// each call and the end of the request, follows something: the start of the
// request, the end of the last call that had ended, or the start of the call
// before. How long after it, and how often after which, is learnt for each
// callee, as is how often one more call to it follows. So the weight of a set of
// calls for one request is
//
//	product over its calls in order of start:
//	    P(one more call to this callee) × density(gap before it)
//	× density(gap between the last end among its calls and the request's end)
//
// in units of what calls of nobody would weigh. A call has one owner or none.
// The last factor ties all calls of a request together: media, the hard one of
// the published recordings, cannot be told apart call by call.
//
// # Inference
//
// Requests that have a possible call in common form a component. Its requests
// are taken one after the other, in order of start, and all ways to share the
// calls out are carried along, those with the same calls still to give away
// merged: an exact answer, as a forward-backward pass. Where too many are under
// way at once for that, requests and calls exchange beliefs until they agree
// (sum-product with exclusion), which is close, and linear. A first pass at full
// weight finds the pairs that are out of the question, which breaks components up;
// the second decides.
//
// # Learning
//
// Counts in integer histograms over 60 s epochs. The model of an epoch is a
// function of the canonical counts of the ten before it and of the epoch's own
// items, which are all there when it is decided: a few rounds of expectation and
// maximisation. There is no other learnt state and no random number, so equal
// items give equal matches in whatever order they came.
//
// # Confidence
//
// The confidence of a match is its posterior. The gaps of one request, and of
// requests under way together, share their causes (a busy processor delays them
// all), so they are not independent evidence: each gap counts with its square
// root. Calibration is measured (docs/accuracy.md).
package link
