/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Inside Go's crypto/tls. A goroutine may change its thread within a call, so
 * calls are kept by goroutine; its address is in a register of its own
 * (go.dev/s/regabi), at the system calls too. Functions are left at every RET:
 * a return probe would change the stack, which Go moves. */
#pragma once
#include "tls.h"

#if defined(__TARGET_ARCH_x86)
#define GO_ARG1(ctx) ((ctx)->ax)
#define GO_ARG2(ctx) ((ctx)->bx)
#define GO_ARG3(ctx) ((ctx)->cx)
#elif defined(__TARGET_ARCH_arm64)
#define GO_ARG1(ctx) ((ctx)->regs[0])
#define GO_ARG2(ctx) ((ctx)->regs[1])
#define GO_ARG3(ctx) ((ctx)->regs[2])
#endif

/* Set before loading: probes have cookies here. */
volatile const _Bool goroutines;

static __always_inline int go_enter(struct pt_regs *ctx, int direction)
{
	struct goroutine key = {.pid = bpf_get_current_pid_tgid() >> 32, .g = GOROUTINE(ctx)};
	struct call call = {
		.ssl = GO_ARG1(ctx), .buffer = GO_ARG2(ctx), .size = GO_ARG3(ctx), .time = bpf_ktime_get_boot_ns(), .direction = direction,
	};
	/* A function whose stack must grow begins anew. */
	struct call *under_way = bpf_map_lookup_elem(&go_calls, &key);
	if (under_way && under_way->ssl == call.ssl && under_way->buffer == call.buffer && under_way->size == call.size &&
	    under_way->direction == direction)
		return 0;
	/* Where the runtime of this program keeps the numbers of a goroutine, if that
	 * is known. */
	__u64 offsets = goroutines ? bpf_get_attach_cookie(ctx) : 0;
	if (offsets) {
		bpf_probe_read_user(&call.goroutine, sizeof(call.goroutine), (void *)(key.g + (offsets & 0xffff)));
		bpf_probe_read_user(&call.parent, sizeof(call.parent), (void *)(key.g + (offsets >> 16 & 0xffff)));
	}
	struct session session = {.pid = key.pid, .ssl = call.ssl};
	/* What is written is told before it is sent, or the answer might be read
	 * first. */
	if (direction == OUT && call.size && call.size >> 31 == 0 && bpf_map_lookup_elem(&sessions, &session)) {
		text(&call, call.size);
		call.told = 1;
	}
	bpf_map_update_elem(&go_calls, &key, &call, 0);
	return 0;
}

/* What comes first may be read together with the handshake, so that no call
 * receives it: the handshake tells the socket. What is known of another
 * connection at the same address is over. */
SEC("uprobe")
int go_handshake(struct pt_regs *ctx)
{
	struct goroutine key = {.pid = bpf_get_current_pid_tgid() >> 32, .g = GOROUTINE(ctx)};
	struct session session = {.pid = key.pid, .ssl = GO_ARG1(ctx)};
	bpf_map_delete_elem(&sessions, &session);
	bpf_map_update_elem(&go_handshakes, &key, &session.ssl, 0);
	return 0;
}

SEC("uprobe")
int go_write(struct pt_regs *ctx) { return go_enter(ctx, OUT); }

SEC("uprobe")
int go_read(struct pt_regs *ctx) { return go_enter(ctx, IN); }

SEC("uprobe")
int go_done(struct pt_regs *ctx)
{
	struct goroutine key = {.pid = bpf_get_current_pid_tgid() >> 32, .g = GOROUTINE(ctx)};
	struct call *call = bpf_map_lookup_elem(&go_calls, &key);
	if (!call)
		return 0;
	struct call copy = *call;
	bpf_map_delete_elem(&go_calls, &key);
	__s64 n = GO_ARG1(ctx);
	if (!copy.told && n > 0 && n <= (__s64)copy.size && n >> 31 == 0)
		text(&copy, n);
	return 0;
}
