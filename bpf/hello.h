/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* TLS whose program keeps OpenSSL off its socket (Node, Python's asyncio): OpenSSL
 * writes into memory, and the program sends that later, from whatever thread. What
 * both have is the hello: the random in it that OpenSSL wrote is the one that the
 * socket sends. */
#pragma once
#include "call.h"

enum { CLIENT_HELLO = 1, SERVER_HELLO = 2 };
enum { HELLO_RANDOM = 11 }; /* after the heads of record and message, and the version */

struct random {
	__u8 bytes[32];
};

/* Hellos that were written and not sent yet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct random);
	__type(value, struct session);
} hellos SEC(".maps");

static __always_inline int is_hello(const __u8 *b)
{
	return b[0] == 0x16 && b[1] == 3 && (b[5] == CLIENT_HELLO || b[5] == SERVER_HELLO);
}

/* A server that asks for another hello has the same "random" as all that do. */
static __always_inline int asks_again(const struct random *r)
{
	return r->bytes[0] == 0xcf && r->bytes[1] == 0x21 && r->bytes[2] == 0xad && r->bytes[3] == 0x74 &&
	       r->bytes[4] == 0xe5 && r->bytes[5] == 0x9a && r->bytes[6] == 0x61 && r->bytes[7] == 0x11;
}

/* OpenSSL writes, within a call about a connection. */
SEC("uprobe")
int bio_write(struct pt_regs *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);
	if (!call || (__s32)ARG3(ctx) < HELLO_RANDOM + (__s32)sizeof(struct random))
		return 0;
	__u8 b[6];
	struct random random;
	if (bpf_probe_read_user(b, sizeof(b), (void *)ARG2(ctx)) || !is_hello(b))
		return 0;
	if (bpf_probe_read_user(&random, sizeof(random), (void *)(ARG2(ctx) + HELLO_RANDOM)) || asks_again(&random))
		return 0;
	struct session session = {.pid = thread >> 32, .ssl = call->ssl};
	bpf_map_update_elem(&hellos, &random, &session, 0);
	return 0;
}

/* A socket sends a hello. */
static __always_inline void sent_hello(struct __sk_buff *skb, __u32 offset, __u64 cookie, __u8 role)
{
	struct random random;
	if (bpf_skb_load_bytes(skb, offset + HELLO_RANDOM, &random, sizeof(random)))
		return;
	struct session *written = bpf_map_lookup_elem(&hellos, &random);
	if (!written)
		return;
	struct session session = *written;
	bind(&session, cookie, role);
	bpf_map_delete_elem(&hellos, &random);
}
