/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Data: where heads are, and how far a connection got. What is no head is never
 * copied. */
#pragma once
#include "hello.h"
#include "conn.h"

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

/* What of progress the data changes. */
struct was {
	__u64 last;
	__u32 next, gaps;
	__u8 known;
};

static __always_inline void fill_head(struct head_record *h, __u32 kind, __u32 captured, struct conn *c, struct text *t, __u32 length, struct was *was)
{
	int d = t->direction & 1;
	h->kind = kind;
	h->role = c->role;
	h->direction = d;
	h->captured = captured;
	h->plain = h->tid = 0;
	h->time = t->time;
	h->cookie = c->cookie;
	h->before = c->progress;
	h->before.last[d] = was->last;
	h->before.next[d] = was->next;
	h->before.known[d] = was->known;
	h->before.gaps = was->gaps;
	h->seq = t->seq + t->from;
	h->length = length;
	h->goroutine = h->parent = 0;
}

#define HEAD_OF(size)                                                                       \
	TELL(size, struct head_record, fill_head(head, kind, captured, c, t, length, was),  \
	     load(skb, t, t->from, data, clamp(captured, size)))

static __always_inline void tell_head(struct __sk_buff *skb, __u32 kind, struct conn *c, struct text *t, __u32 length, struct was *was)
{
	__u32 most = kind == KIND_RESPONSE ? 512 : 2048, n = t->end - t->from, captured = n < most ? n : most;
	int told;
	if (captured <= 128)
		told = HEAD_OF(128);
	else if (captured <= 256)
		told = HEAD_OF(256);
	else if (captured <= 512)
		told = HEAD_OF(512);
	else if (captured <= 1024)
		told = HEAD_OF(1024);
	else
		told = HEAD_OF(2048);
	if (!told)
		drop(kind);
}

/* A burst lasts at least as long, unless it ends in silence: who asks more often is
 * told of in bursts of several turns. */
#define BURST 10000000

/* The progress of a connection that nobody reads, and what came since the last of
 * these. Says whether the ring had room. */
static __always_inline int stand(__u32 kind, __u64 time, struct conn *c)
{
	struct socket_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r)
		return 0;
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->time = time;
	r->cookie = c->cookie;
	r->role = c->role;
	r->progress = c->progress;
	r->turn = c->turn;
	bpf_ringbuf_submit(r, wake());
	__builtin_memset(&c->turn, 0, sizeof(c->turn));
	return 1;
}

static __always_inline int asks(struct conn *c) { return c->role == ROLE_SERVER ? IN : OUT; }

/* Of TLS that is all: when bytes went, and how many. A burst ends where the client
 * sends again after the server did; where the ring is full it goes on. */
static __always_inline void turns(struct conn *c, struct text *t, __u32 seq)
{
	int d = t->direction & 1;
	struct turn *turn = &c->turn;
	if (d == asks(c) && turn->begun[!d] && t->time - turn->begun[turn->begun[d] ? d : !d] >= BURST)
		stand(KIND_BURST, t->time, c);
	if (!turn->begun[d]) {
		turn->begun[d] = t->time;
		turn->from[d] = seq;
	}
}

/* Takes in the next bytes of one direction of a connection: those of a packet, or
 * the first ones, that were kept. Length is what there was of them, kept or not. */
static __always_inline void seen(struct __sk_buff *skb, void *sk, struct conn *c, struct text *t, __u32 length)
{
	int direction = t->direction;
	__u32 offset = t->from, seq = t->seq + offset;
	struct progress *p = &c->progress;
	__s32 ahead = seq - p->next[direction];
	int known = p->known[direction], other_known = p->known[!direction];
	int late_start = !known && c->numbered && (__s32)(seq - c->first[direction]) > 0;
	int before = known && (__s32)(seq + length - p->next[direction]) <= 0;
	if (before && !p->gaps)
		return; /* sent again; where packets were overtaken it may be new */

	struct was was = {.last = p->last[direction], .next = p->next[direction], .known = known, .gaps = p->gaps};
	if (!before) {
		if (c->tls)
			turns(c, t, seq);
		p->last[direction] = t->time;
		p->next[direction] = seq + length;
		p->known[direction] = 1;
		if (known ? ahead != 0 : late_start)
			p->gaps++;
		c->dirty = c->http | c->tls;
	}

	__u8 b[HEADER] = {};
	int read = length >= sizeof(b) && !c->h2 && (!c->tls || inside_tls) && !load(skb, t, offset, b, sizeof(b));
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
		t->next = p->next[direction];
		if (p->gaps && skb)
			all_overtaken(skb, t, &x->walks[direction], x->late[direction]);
		if (!before)
			walk(skb, t, &x->walks[direction], skb ? x->late[direction] : 0);
		return;
	}
	if (inside_tls && skb && direction == OUT && read && is_hello(b))
		sent_hello(skb, offset, c->cookie, c->role);
	__u32 kind = read && length >= 16 ? looks_like(b) : 0;
	if (kind) {
		if (kind != KIND_HELLO) {
			c->http = c->dirty = 1;
		} else if (!c->http && !c->tls) {
			if (c->role == ROLE_UNKNOWN)
				c->role = direction == OUT ? ROLE_CLIENT : ROLE_SERVER;
			c->tls = c->dirty = 1;
			turns(c, t, seq);
		}
		tell_head(skb, kind, c, t, length, &was);
	}
	if (!c->http || before)
		return;
	p->ended[direction] = 0;
	if (t->end - offset < length)
		return; /* what is kept is not all */
	if (length >= 7 && !load(skb, t, offset + length - 7, b, 7))
		p->ended[direction] = b[0] == '\r' && b[1] == '\n' && b[2] == '0' && b[3] == '\r' &&
				      b[4] == '\n' && b[5] == '\r' && b[6] == '\n';
	else if (length == 5 && !load(skb, t, offset, b, 5))
		p->ended[direction] = b[0] == '0' && b[1] == '\r' && b[2] == '\n' && b[3] == '\r' && b[4] == '\n';
}
