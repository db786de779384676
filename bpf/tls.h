/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Inside OpenSSL: heads before they are encrypted and after they are decrypted.
 * Which socket a TLS connection is on is told by the send or receive that
 * happens within the call, on the same thread; else by its hello (hello.h). */
#pragma once
#include "head.h"

static __always_inline int enter(struct pt_regs *ctx, int direction, __u64 size)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call call = {
		.ssl = ARG1(ctx), .buffer = ARG2(ctx), .size = size, .time = bpf_ktime_get_boot_ns(), .direction = direction,
	};
	bpf_map_update_elem(&calls, &thread, &call, 0);
	return 0;
}

#define PLAIN_HEAD 2048

/* The byte that was read alone comes first. */
static __always_inline long read_plain(__u8 *data, __u32 n, __u32 size, struct call *call, __u8 first)
{
	__u32 apart = first != 0;
	data[0] = first;
	n = clamp(n - apart, size - 1);
	return bpf_probe_read_user(data + apart, n, (void *)call->buffer);
}

#define PLAIN_OF(size) TELL(size, struct head_record, *head = *h, read_plain(data, h->captured, size, call, first))

static __always_inline void copy_plain(struct call *call, struct head_record *h, __u8 first)
{
	h->captured = h->length < PLAIN_HEAD ? h->length : PLAIN_HEAD;
	if (!(h->length <= 512 ? PLAIN_OF(512) : PLAIN_OF(PLAIN_HEAD)))
		drop(h->kind);
}

/* What of answers may leave the kernel: those that clients read, ANSWERS bytes at
 * once and as much again each second on one connection, and while the ring has room
 * for everything else. The rest is counted and a hole in the answer. */
#define ANSWERS (4 << 20)

static __always_inline __u32 allowance(struct plain *c, int direction, __u64 now)
{
	if (direction != IN || c->role == ROLE_SERVER)
		return 0;
	__u64 allowed = c->allowed + (now - c->filled) / 1000 * (ANSWERS >> 20);
	if (!c->filled || now < c->filled || allowed > ANSWERS)
		allowed = ANSWERS;
	c->filled = now;
	c->allowed = allowed;
	if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > RING / 2) {
		drop(KIND_BODY);
		return 0;
	}
	return allowed;
}

#define BODY_OF(size) TELL(size, struct head_record, *head = *h, bpf_probe_read_user(data, clamp(h->captured, size), (void *)base))

/* One piece of a body, which is at most BODY_PIECE long. Verified once. */
__noinline int body_of_text(struct head_record *h, __u64 base)
{
	if (!h)
		return 1;
	if (h->captured <= 256)
		return !BODY_OF(256);
	if (h->captured <= 1024)
		return !BODY_OF(1024);
	return !BODY_OF(BODY_PIECE);
}

#define PIECES 5 /* of one call: a record of TLS holds 16 KiB */

/* The bytes of a call from an offset on, as pieces of a body. */
static __always_inline void body(struct plain *c, struct head_record *h, __u64 base, __u32 from, __u32 length)
{
	__u32 allowed = allowance(c, h->direction, h->time);
	h->kind = KIND_BODY;
#pragma clang loop unroll(disable)
	for (int i = 0; i < PIECES && allowed; i++) {
		if (from >= length)
			return;
		__u32 n = clamp(length - from, BODY_PIECE);
		if (n > allowed)
			break;
		h->captured = n;
		h->length = n;
		if (body_of_text(h, base + from))
			break;
		allowed -= n;
		c->allowed = allowed;
		h->seq += n;
		from += n;
	}
	if (allowed && from < length)
		drop(KIND_BODY);
}

static __always_inline void passed(struct progress *p, int d, __u64 time, __u32 length)
{
	p->last[d] = time;
	p->next[d] += length;
	p->known[OUT] = p->known[IN] = 1;
}

static __always_inline void text(struct call *call, __u32 length)
{
	struct session key = {.pid = bpf_get_current_pid_tgid() >> 32, .ssl = call->ssl};
	struct plain *c = bpf_map_lookup_elem(&sessions, &key);
	if (call->cookie && (!c || c->cookie != call->cookie))
		c = bind(&key, call->cookie, call->role);
	if (!c)
		return; /* nobody knows on which socket */

	int d = call->direction & 1;
	__u8 b[HEADER] = {};
	if (length >= sizeof(b) && !c->h2)
		bpf_probe_read_user(b, sizeof(b), (void *)call->buffer);
	__u64 time = d == OUT ? call->time : bpf_ktime_get_boot_ns();
	__u32 seq = c->progress.next[d];
	int known = seq != 0, other_known = c->progress.next[!d] != 0;
	int found = length >= sizeof(b) && !c->h2 && !c->http ? http2(b, length, known, 1) : NOT_HTTP2;
	if (found) {
		c->h2 = 1;
		ready(c->walks, found, d, other_known);
	}
	if (c->h2) {
		passed(&c->progress, d, time, length);
		/* Before h, whose stack it can have. */
		struct text t = {
			.cookie = c->cookie, .time = time, .base = call->buffer, .seq = seq, .end = length, .next = seq + length,
			.role = c->role, .direction = d, .plain = 1, .goroutine = call->goroutine, .parent = call->parent,
			.allowed = allowance(c, d, time), .tid = bpf_get_current_pid_tgid(),
		};
		walk(0, &t, &c->walks[d], 0);
		if (t.allowed)
			c->allowed = t.allowed;
		return;
	}
	struct head_record h = {
		.kind = length >= 16 ? looks_like(b) : 0, .role = c->role, .direction = d, .plain = 1, .cookie = c->cookie,
		.time = time, .before = c->progress, .seq = seq, .length = length, .goroutine = call->goroutine, .parent = call->parent,
		.tid = bpf_get_current_pid_tgid(),
	};
	passed(&c->progress, d, time, length);
	/* Go's server waits for the next request by reading one byte of it. */
	__u8 first = 0;
	if (d == IN) {
		first = c->first;
		c->first = 0;
		if (length == 1)
			bpf_probe_read_user(&c->first, 1, (void *)call->buffer);
	}
	if (first && length >= 16) {
		for (int i = sizeof(b) - 1; i > 0; i--)
			b[i] = b[i - 1];
		b[0] = first;
		if (looks_like(b) == KIND_REQUEST) {
			h.kind = KIND_REQUEST;
			h.seq--;
			h.length++;
			h.before.next[IN]--;
		} else {
			first = 0;
		}
	} else {
		first = 0;
	}
	if (h.kind == KIND_REQUEST || h.kind == KIND_RESPONSE) {
		c->http = 1;
		copy_plain(call, &h, first);
	}
	if (!c->http)
		return;
	if (h.kind == KIND_REQUEST && d == OUT) {
		c->post = b[0] == 'P' && b[1] == 'O';
		if (c->role == ROLE_UNKNOWN)
			c->role = ROLE_CLIENT;
	}
	__u32 told = h.kind == KIND_RESPONSE ? clamp(length, PLAIN_HEAD) : 0;
	if (c->post && d == IN && told < length) {
		h.seq += told;
		body(c, &h, call->buffer, told, length);
	}
	__u8 t[8] = {};
	if (length >= 7)
		bpf_probe_read_user(t, 7, (void *)(call->buffer + length - 7));
	else if (length == 5 && !bpf_probe_read_user(t + 2, 5, (void *)call->buffer))
		t[0] = '\r', t[1] = '\n';
	c->progress.ended[d] = t[0] == '\r' && t[1] == '\n' && t[2] == '0' && t[3] == '\r' && t[4] == '\n' && t[5] == '\r' &&
			       t[6] == '\n';
	h.kind = KIND_PLAIN;
	h.captured = 0;
	h.before = c->progress;
	struct head_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		drop(KIND_PLAIN);
		return;
	}
	*r = h;
	bpf_ringbuf_submit(r, wake());
}

/* The calls return how much they did, the _ex ones where they were told to. */
static __always_inline int leave(struct pt_regs *ctx, int ex)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	if (!call)
		return 0;
	struct call copy = *call;
	bpf_map_delete_elem(&calls, &thread);
	__s32 result = RESULT(ctx);
	__u64 n = result;
	if (result <= 0)
		return 0;
	if (ex && bpf_probe_read_user(&n, sizeof(n), (void *)copy.size))
		return 0;
	if (n == 0 || n >> 31)
		return 0;
	text(&copy, n);
	return 0;
}

SEC("uprobe")
int ssl_write(struct pt_regs *ctx) { return enter(ctx, OUT, 0); }

SEC("uprobe")
int ssl_write_ex(struct pt_regs *ctx) { return enter(ctx, OUT, ARG4(ctx)); }

SEC("uprobe")
int ssl_read(struct pt_regs *ctx) { return enter(ctx, IN, 0); }

SEC("uprobe")
int ssl_read_ex(struct pt_regs *ctx) { return enter(ctx, IN, ARG4(ctx)); }

SEC("uretprobe")
int ssl_done(struct pt_regs *ctx) { return leave(ctx, 0); }

SEC("uretprobe")
int ssl_done_ex(struct pt_regs *ctx) { return leave(ctx, 1); }

SEC("uprobe")
int ssl_handshake(struct pt_regs *ctx) { return enter(ctx, OUT, 0); }

SEC("uretprobe")
int ssl_handshaken(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	bpf_map_delete_elem(&calls, &thread);
	return 0;
}

SEC("uprobe")
int ssl_free(struct pt_regs *ctx)
{
	struct session key = {.pid = bpf_get_current_pid_tgid() >> 32, .ssl = ARG1(ctx)};
	bpf_map_delete_elem(&sessions, &key);
	return 0;
}
