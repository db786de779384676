// Package bench measures the live path with its real parts in one process:
// senders, a bus with a file store that syncs every message, a processor with
// its state on the disk, the outbox, and a reader of the stream OUT.
package bench
