/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Calls into TLS that are under way (tls.h, gotls.h): the send or receive that
 * happens within tells which socket they are about. */
#pragma once
#include "frames.h"

/* Registers in the kernel's own order. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs { unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax; };
#define ARG1(ctx) ((ctx)->di)
#define ARG2(ctx) ((ctx)->si)
#define ARG3(ctx) ((ctx)->dx)
#define ARG4(ctx) ((ctx)->cx)
#define RESULT(ctx) ((ctx)->ax)
#define GOROUTINE(ctx) ((ctx)->r14)
#define SYSCALL(ctx) ((ctx)->orig_ax)
#define SYSCALL_CONNECT 42
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs { unsigned long regs[31], sp, pc, pstate, orig_x0; int syscallno; };
#define ARG1(ctx) ((ctx)->regs[0])
#define ARG2(ctx) ((ctx)->regs[1])
#define ARG3(ctx) ((ctx)->regs[2])
#define ARG4(ctx) ((ctx)->regs[3])
#define RESULT(ctx) ((ctx)->regs[0])
#define GOROUTINE(ctx) ((ctx)->regs[28])
#define SYSCALL(ctx) ((ctx)->syscallno)
#define SYSCALL_CONNECT 203
#endif

struct call {
	__u64 ssl, buffer, size, time, cookie, goroutine, parent;
	__u8 direction, role, told;
};

struct goroutine {
	__u64 pid;
	__u64 g;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct goroutine);
	__type(value, struct call);
} go_calls SEC(".maps");

/* Handshakes of Go that have not sent or received yet, by goroutine: which TLS
 * connection. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct goroutine);
	__type(value, __u64);
} go_handshakes SEC(".maps");

struct session {
	__u64 pid;
	__u64 ssl;
};

/* The plain text of one TLS connection; next counts bytes. */
struct plain {
	__u64 cookie;
	struct progress progress;
	__u8 role, http, h2, post;
	__u8 first; /* read alone, 0 for none */
	__u32 allowed; /* bytes of answers, at the time of filled */
	__u64 filled;
	struct walk walks[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct session);
	__type(value, struct plain);
} sessions SEC(".maps");

const struct plain nothing; /* too large for a stack */

static __always_inline struct plain *bind(struct session *key, __u64 cookie, __u8 role)
{
	bpf_map_update_elem(&sessions, key, &nothing, 0);
	struct plain *c = bpf_map_lookup_elem(&sessions, key);
	if (c) {
		c->cookie = cookie;
		c->role = role;
	}
	return c;
}

/* Set before loading: only then does anybody call. */
volatile const _Bool inside_tls;

/* A socket sends or receives. */
static __always_inline void within(__u64 cookie, __u8 role)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	if (call) {
		call->cookie = cookie;
		call->role = role;
	}
	struct goroutine key = {.pid = thread >> 32};
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	if (bpf_probe_read_kernel(&key.g, sizeof(key.g), &GOROUTINE(regs)))
		return;
	call = bpf_map_lookup_elem(&go_calls, &key);
	if (call) {
		call->cookie = cookie;
		call->role = role;
	}
	__u64 *shakes = bpf_map_lookup_elem(&go_handshakes, &key);
	if (shakes) {
		struct session session = {.pid = key.pid, .ssl = *shakes};
		bind(&session, cookie, role);
		bpf_map_delete_elem(&go_handshakes, &key);
	}
}
