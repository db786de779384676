// Package detect finds in events and timelines what rules describe.
//
// A rule has a condition in CEL (cel.dev) over one event, one step of a request, the
// request as a whole, or several steps that follow one another. A Watch judges a
// stream by them (docs/adr/0023): what nothing later can refute is found as soon as it
// holds, the rest when its request has closed, and a later revision can take it back
// (withdrawn). Alerts name the steps they rest on, the least sure of their joins, and
// the sources that had gaps over the request.
//
// Rules are compiled once and their cost is bounded: what a rule may cost at most
// is estimated when it is loaded, and measured when it is judged. A condition is asked
// only of the events and steps that its comparisons with constants let through.
package detect
