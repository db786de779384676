/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#pragma once
#include "frames.h"

/* What is remembered of a socket, with the socket. */
struct conn {
	__u64 cookie, opened;
	struct process owner;
	struct progress progress;
	__u16 local_port; /* the kernel's own is gone at the end */
	__u8 role, told, established, http, dirty, h2, numbered, tls;
	__u32 listed;	/* by which inventory */
	__u32 first[2]; /* sequence numbers of the first bytes, if numbered */
	struct turn turn;
	struct asked asked;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct conn);
} conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct http2);
} http2s SEC(".maps");
