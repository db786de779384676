/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Packets with data: where heads are, and how far a connection got. What is no
 * head is never copied. */
#pragma once
#include "socket.h"

#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)

static __always_inline __u32 looks_like(const __u8 *b)
{
	switch (WORD(b[0], b[1], b[2], b[3])) {
	case WORD('G', 'E', 'T', ' '):
	case WORD('P', 'O', 'S', 'T'):
	case WORD('P', 'U', 'T', ' '):
	case WORD('H', 'E', 'A', 'D'):
	case WORD('D', 'E', 'L', 'E'):
	case WORD('P', 'A', 'T', 'C'):
	case WORD('O', 'P', 'T', 'I'):
	case WORD('C', 'O', 'N', 'N'):
	case WORD('T', 'R', 'A', 'C'):
		return KIND_REQUEST;
	case WORD('H', 'T', 'T', 'P'):
		return b[4] == '/' && b[5] == '1' ? KIND_RESPONSE : 0;
	}
	return b[0] == 0x16 && b[1] == 3 && b[5] == 1 ? KIND_HELLO : 0;
}

#define COPY(size)                                                                              \
	do {                                                                                    \
		struct { struct head_record head; __u8 data[size]; } *r;                        \
		r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);                                  \
		if (!r) {                                                                       \
			drop(h->kind);                                                          \
			return;                                                                 \
		}                                                                               \
		r->head = *h;                                                                   \
		__u32 n = clamp(h->length, size);                                               \
		r->head.captured = n;                                                           \
		if (bpf_skb_load_bytes(skb, offset, r->data, n)) {                              \
			bpf_ringbuf_discard(r, BPF_RB_NO_WAKEUP);                               \
			drop(h->kind);                                                          \
			return;                                                                 \
		}                                                                               \
		bpf_ringbuf_submit(r, wake());                                                  \
	} while (0)

static __always_inline void copy(struct __sk_buff *skb, __u32 offset, struct head_record *h)
{
	if (h->length <= 256)
		COPY(256);
	else if (h->length <= 512 || h->kind == KIND_RESPONSE)
		COPY(512);
	else if (h->length <= 1024)
		COPY(1024);
	else
		COPY(2048);
}

static __always_inline void packet(struct __sk_buff *skb, int direction)
{
	__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 ip = 40;

	if (data + 20 > end)
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
	__u16 from = (__u16)tcp[0] << 8 | tcp[1];

	struct bpf_sock *sk = skb->sk;
	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->state == TCP_LISTEN)
		return;
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

	struct progress *p = &c->progress;
	__s32 ahead = seq - p->next[direction];
	int known = p->known[direction], other_known = p->known[!direction];
	int late_start = !known && c->numbered && (__s32)(seq - c->first[direction]) > 0;
	int before = known && (__s32)(seq + length - p->next[direction]) <= 0;
	if (before && !p->gaps)
		return; /* sent again; where packets were overtaken it may be new */

	struct head_record h = {.time = bpf_ktime_get_boot_ns(), .before = *p};
	if (!before) {
		p->last[direction] = h.time;
		p->next[direction] = seq + length;
		p->known[direction] = 1;
		if (known ? ahead != 0 : late_start)
			p->gaps++;
		c->dirty = c->http;
	}

	__u8 b[HEADER] = {};
	int read = length >= sizeof(b) && !c->h2 && !bpf_skb_load_bytes(skb, offset, b, sizeof(b));
	int found = read && !c->http ? http2(b, length, known, !c->opened || late_start) : NOT_HTTP2;
	if (found)
		c->h2 = 1;
	if (c->h2) {
		struct http2 *x = bpf_sk_storage_get(&http2s, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!x)
			return;
		if (found) {
			__builtin_memset(x->late, 0, sizeof(x->late));
			ready(x->walks, found, direction, other_known);
			/* What is known to be the begin may be late itself. */
			if (c->numbered && (!known || seq == c->first[direction]))
				start(&x->walks[direction], c->first[direction], (c->role == ROLE_CLIENT) == (direction == OUT));
			if (c->numbered && !other_known)
				start(&x->walks[!direction], c->first[!direction], (c->role == ROLE_CLIENT) != (direction == OUT));
		}
		struct text t = {
			.cookie = c->cookie, .time = h.time, .seq = seq - offset, .from = offset, .end = offset + length,
			.next = p->next[direction], .role = c->role, .direction = direction,
		};
		if (p->gaps)
			all_overtaken(skb, &t, &x->walks[direction], x->late[direction]);
		if (!before)
			walk(skb, &t, &x->walks[direction], x->late[direction]);
		return;
	}
	h.kind = read && length >= 16 ? looks_like(b) : 0;
	if (h.kind) {
		h.role = c->role;
		h.direction = direction;
		h.cookie = c->cookie;
		h.seq = seq;
		h.length = length;
		if (h.kind != KIND_HELLO)
			c->http = c->dirty = 1;
		else
			c->tls = 1;
		copy(skb, offset, &h);
	}
	if (!c->http || before)
		return;
	p->ended[direction] = 0;
	if (length >= 7 && !bpf_skb_load_bytes(skb, offset + length - 7, b, 7))
		p->ended[direction] = b[0] == '\r' && b[1] == '\n' && b[2] == '0' && b[3] == '\r' &&
				      b[4] == '\n' && b[5] == '\r' && b[6] == '\n';
	else if (length == 5 && !bpf_skb_load_bytes(skb, offset, b, 5))
		p->ended[direction] = b[0] == '0' && b[1] == '\r' && b[2] == '\n' && b[3] == '\r' && b[4] == '\n';
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
