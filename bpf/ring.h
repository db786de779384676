/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* One ring for everything, and what did not fit, per kind. */
#pragma once
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include "record.h"

#define RING (8 << 20)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KINDS);
	__type(key, __u32);
	__type(value, __u64);
} dropped SEC(".maps");

/* The reader looks every 50 ms, so a wake-up (6 us here) is due only when the
 * ring fills faster than that: at the record that crosses the mark. */
#define MARK (1 << 20)
#define LARGEST 4608

static __always_inline __u64 wake(void)
{
	__u64 fill = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	return fill >= MARK && fill < MARK + LARGEST ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void drop(__u32 kind)
{
	__u64 *n = bpf_map_lookup_elem(&dropped, &kind);
	if (n)
		__sync_fetch_and_add(n, 1);
}

/* n is between 1 and limit for both the compiler, which must not fold the
 * tests away, and every verifier. */
static __always_inline __u32 clamp(__u32 n, __u32 limit)
{
	asm volatile("if %[n] <= %[limit] goto +1\n"
		     "%[n] = %[limit]\n"
		     : [n] "+r"(n)
		     : [limit] "i"(limit));
	asm volatile("if %[n] >= 1 goto +1\n"
		     "%[n] = 1\n"
		     : [n] "+r"(n));
	return n;
}

/* Tells a record, which fill makes at head, with up to size bytes behind it, which
 * read puts at data; it returns not 0 if it cannot. Says whether there was room and
 * it could. */
#define TELL(size, type, fill, read)                                             \
	({                                                                       \
		struct { type head; __u8 data[size]; } *r;                       \
		r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);                   \
		int told = 0;                                                    \
		if (r) {                                                         \
			type *head = &r->head;                                   \
			__u8 *data = r->data;                                    \
			fill;                                                    \
			told = !(read);                                          \
			if (told)                                                \
				bpf_ringbuf_submit(r, wake());                   \
			else                                                     \
				bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);        \
		}                                                                \
		told;                                                            \
	})

static __always_inline void describe(struct process *p, struct task_struct *task)
{
	p->pid = task->tgid;
	p->tid = task->pid;
	p->start = task->group_leader->start_boottime;
}
