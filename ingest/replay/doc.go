// Package replay turns recorded files into one sequence of events. It finds the
// files, unpacks them, cuts them into records, sniffs what wrote each record,
// lets the source's own decoder read it, and hands the events on in canonical
// order or in the order in which they would have arrived live.
//
// Nothing is lost silently: Result counts every record of every source
// (In = events + Bad + UnknownType) and names the first unreadable ones.
package replay
