/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The data with which a connection is established. It comes to the listener, whose
 * connection is not there yet: where it overtook the end of the handshake, where
 * servers wait for it (TCP_DEFER_ACCEPT), and with SYN cookies. The kernel then
 * makes the connection of this same packet, before it takes another on this CPU: so
 * one place for each CPU is enough. */
#pragma once
#include "head.h"

#define EARLY 4096

struct early {
	__u32 seq, length, kept; /* length is 0 where there is nothing */
	__u16 local_port, peer_port;
	__u8 data[EARLY];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct early);
} earlies SEC(".maps");

static __always_inline void keep(struct __sk_buff *skb, __u32 offset, __u32 length, __u32 seq, __u16 local_port, __u16 peer_port)
{
	__u32 zero = 0;
	struct early *e = bpf_map_lookup_elem(&earlies, &zero);
	if (!e)
		return;
	__u32 n = clamp(length, EARLY);
	e->length = bpf_skb_load_bytes(skb, offset, e->data, n) ? 0 : length;
	e->kept = n;
	e->seq = seq;
	e->local_port = local_port;
	e->peer_port = peer_port;
}

/* A connection was accepted: its first data may have come already. What was kept of
 * another, which the listener refused, has other numbers. */
static __always_inline void take(struct sock *sk, struct conn *c)
{
	__u32 zero = 0;
	struct early *e = bpf_map_lookup_elem(&earlies, &zero);
	if (!e || !e->length || !c->numbered || e->seq != c->first[IN] || e->local_port != c->local_port ||
	    e->peer_port != __builtin_bswap16(sk->__sk_common.skc_dport))
		return;
	struct text t = {
		.cookie = c->cookie, .time = c->opened, .base = (__u64)e->data, .seq = e->seq, .end = e->kept,
		.role = c->role, .direction = IN,
	};
	seen(0, sk, c, &t, e->length);
	e->length = 0;
}
