/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Packets with data, each with the socket that sends or gets it. */
#pragma once
#include "early.h"

struct bpf_spin_lock {
	__u32 val;
};

/* Packets that a socket gets may be here on two processors at once: a sender that
 * moves to another leaves some behind. The walk over their frames is for one at a
 * time. A spin lock alone will not do: nothing may be called within. */
struct gate {
	struct bpf_spin_lock lock;
	__u32 taken;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct gate);
} gates SEC(".maps");

#define TRIES 4096 /* some 70 us: a walk takes one or two, but the machine may be a virtual one */

static __always_inline int hold(struct gate *g)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < TRIES; i++) {
		bpf_spin_lock(&g->lock);
		__u32 taken = g->taken;
		g->taken = 1;
		bpf_spin_unlock(&g->lock);
		if (!taken)
			return 1;
	}
	return 0;
}

static __always_inline void let_go(struct gate *g)
{
	bpf_spin_lock(&g->lock);
	g->taken = 0;
	bpf_spin_unlock(&g->lock);
}

static __always_inline void packet(struct __sk_buff *skb, int direction)
{
	__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 ip = 40;

	if (!skb || data + 20 > end) /* never: the compiler has to know, and then the verifier does */
		return;
	if (data[0] >> 4 == 4) {
		if (data[9] != IPPROTO_TCP)
			return;
		ip = (data[0] & 15) * 4;
	} else if (data + 48 > end) {
		return;
	} else if (data[6] == 0 && data[40] == IPPROTO_TCP && data[41] == 0) {
		ip = 48; /* the option of packets beyond 64 KiB, as loopback has them */
	} else if (data[6] != IPPROTO_TCP) {
		return;
	}
	__u8 *tcp = data + ip;
	if (tcp + 20 > end)
		return;
	__u32 offset = ip + (tcp[12] >> 4) * 4;
	__u32 length = skb->len - offset;
	int syn = tcp[13] & 2;
	if (skb->len <= offset && !syn)
		return; /* a mere acknowledgement */
	__u32 seq = (__u32)tcp[4] << 24 | (__u32)tcp[5] << 16 | (__u32)tcp[6] << 8 | tcp[7];
	__u16 from = (__u16)tcp[0] << 8 | tcp[1], to = (__u16)tcp[2] << 8 | tcp[3];

	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return;
	if (sk->state == TCP_LISTEN) {
		if (direction == IN && !syn)
			keep(skb, offset, length, seq, to, from);
		return;
	}
	struct conn *c = bpf_sk_storage_get(&conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!c)
		return;
	if (syn) {
		if (direction == OUT)
			c->local_port = from;
		return;
	}
	if (!c->cookie)
		c->cookie = bpf_get_socket_cookie(skb);
	struct text t = {
		.cookie = c->cookie, .time = bpf_ktime_get_boot_ns(), .seq = seq - offset, .from = offset, .end = offset + length,
		.role = c->role, .direction = direction,
	};
	struct gate *g = 0;
	if (direction == IN && c->h2) {
		g = bpf_sk_storage_get(&gates, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!g || !hold(g))
			return; /* what comes next tells that it was missed */
	}
	seen(skb, sk, c, &t, length);
	if (g)
		let_go(g);
}

SEC("cgroup_skb/egress")
int packet_out(struct __sk_buff *skb)
{
	packet(skb, OUT);
	return 1;
}

SEC("cgroup_skb/ingress")
int packet_in(struct __sk_buff *skb)
{
	packet(skb, IN);
	return 1;
}
