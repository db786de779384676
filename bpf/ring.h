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

/* The reader looks every 10 ms, so a wake-up (6 us here) is due only when the
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

static __always_inline void describe(struct process *p, struct task_struct *task)
{
	p->pid = task->tgid;
	p->tid = task->pid;
	p->start = task->group_leader->start_boottime;
}
