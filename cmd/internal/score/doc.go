// Package score compares timelines with the truth that simulate wrote.
//
// # Terms
//
// A fact is one line of the truth; facts whose record was lost are left out. A
// step meets a fact when one of its event ids is the fact's; where the fact has
// none, an exchange is met by (node, socket cookie, HTTP/2 stream id) or, on
// HTTP/1, by (node, socket cookie) and the observed start, failing that by
// containment in time; a process by (node, pid) and a start within the fact.
//
// A request's home is the timeline that holds its entry fact, else the one that
// holds most of its facts. A timeline's owner is the request whose home it is;
// if several requests share one home, the one with most facts in it; a timeline
// that is nobody's home belongs to whoever has most facts in it, which may be
// the background.
//
//   - A fact of a request is right when every step that meets it is in the
//     request's home or in a timeline that the request owns, and one is at home.
//   - It is a fragment when it is only in other timelines that its request owns:
//     the steps are together, but apart from their entry.
//   - It is mis-stitched when a step that meets it is in a timeline of another
//     owner. So is a background fact in a timeline that a request owns; in a
//     timeline of its own a background fact is neither right nor wrong.
//   - It is ambiguous when no step meets it and some timeline lists its event
//     as ambiguous, and an orphan when it is nowhere.
//
// # Figures
//
//   - exact.precision: of the steps that an exact method joined and that meet a
//     fact, the share that is right: in the timeline of the fact's request, and
//     the first of the steps that meet this fact in this timeline (a step for
//     the same event again is a duplicate, and wrong). exact.n counts those
//     steps. inferred.precision is the same over the other methods, by_method
//     over each.
//   - by_kind[k]: the same over the steps that meet facts of a kind (ingress,
//     egress, process, …), by whatever method, and of these facts the recall.
//   - exact.recall: of the facts for which the written evidence makes an exact
//     rung possible, the share that is right. inferred.recall: of the facts for
//     which only inferred rungs are possible. by_method[m].recall: of the facts
//     for which m is among the possible rungs (right by whatever method).
//   - mis_stitch: mis-stitched facts over the facts of requests.
//   - orphan, ambiguous: over the facts of requests for which anything is
//     possible.
//   - calibration: the steps that an inferred method joined and that meet a
//     fact, sorted by confidence and cut into ten bins of equal size; each has
//     its mean confidence, the share that is right, and its size. ece is the
//     expected calibration error: the mean of their distances, weighted by size
//     (Naeini, Cooper, Hauskrecht, AAAI 2015).
//   - fragmented: requests with facts in more than one timeline they own.
//
// A figure with nothing to count is 1 for a precision or recall and 0 for a
// rate; its n says so.
package score
