// Package extsort sorts more records than fit in memory. A record is a key and
// a payload, both plain bytes; records come out in the order of bytes.Compare
// on their keys, and records of equal keys in the order they were added (or, on
// request, in the order of their payloads, so that the result does not depend
// on the order of adding at all).
//
// What does not fit is written to temporary files as sorted, S2-compressed
// runs, which are merged at the end. The files are unlinked as soon as they
// are open where the system allows it, so that not even a killed process leaves
// any behind.
package extsort
