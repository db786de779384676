// Package detect finds in timelines what rules describe.
//
// A rule has a condition in CEL (cel.dev) over one step of a request, over the
// request as a whole, or over several steps that follow one another. It is judged
// on a revision of a timeline as it stands, so an alert says no more than that
// revision does: a later one can bring it or take it back (withdrawn). Alerts name
// the steps they rest on, the least sure of their joins, and the sources that had
// gaps over the request.
//
// Rules are compiled once and their cost is bounded: what a rule may cost at most
// is estimated when it is loaded, and measured when it is judged.
package detect
