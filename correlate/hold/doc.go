// Package hold keeps the events that wait: packed, in chunks of bytes that a
// collection does not look into, of which the newest leave the memory when a
// budget is used up.
package hold
