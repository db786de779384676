/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Sockets: from connect or accept to the end, and who uses them. */
#pragma once
#include "early.h"

static __always_inline void tell(__u32 kind, struct sock *sk, struct conn *c)
{
	struct socket_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		drop(kind);
		return;
	}
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->time = bpf_ktime_get_boot_ns();
	r->cookie = c->cookie;
	r->opened = c->opened;
	r->role = c->role;
	r->established = c->established;
	r->owner = c->owner;
	r->progress = c->progress;
	r->turn = c->turn;
	r->asked = c->asked;
	r->address = (__u64)sk;
	r->error = sk->sk_err;
	r->cgroup = sk->sk_cgrp_data.cgroup->kn->id;
	r->netns = sk->__sk_common.skc_net.net->ns.inum;
	r->family = sk->__sk_common.skc_family;
	r->local_port = sk->__sk_common.skc_num;
	if (!r->local_port)
		r->local_port = c->local_port;
	r->peer_port = __builtin_bswap16(sk->__sk_common.skc_dport);
	if (r->family == AF_INET6) {
		__builtin_memcpy(r->local, &sk->__sk_common.skc_v6_rcv_saddr, 16);
		__builtin_memcpy(r->peer, &sk->__sk_common.skc_v6_daddr, 16);
	} else {
		__be32 local = sk->__sk_common.skc_rcv_saddr, peer = sk->__sk_common.skc_daddr;
		__builtin_memcpy(r->local, &local, 4);
		__builtin_memcpy(r->peer, &peer, 4);
	}
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	if (tp) {
		r->bytes_out = tp->bytes_acked;
		r->bytes_in = tp->bytes_received;
		r->retransmits = tp->total_retrans;
		r->srtt_us = tp->srtt_us >> 3;
	}
	bpf_ringbuf_submit(r, wake());
}

static __always_inline struct conn *remember(struct sock *sk)
{
	struct conn *c = bpf_sk_storage_get(&conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (c && !c->cookie)
		c->cookie = bpf_get_socket_cookie(sk);
	return c;
}

/* The address that was given to connect(): what balances at the sockets (Cilium) has
 * written another into the socket by now. A program can change it meanwhile, and so
 * lie about itself; a hook of cgroups would be asked after the balancer's, which
 * older kernels cannot turn round. */
static __always_inline void ask(struct conn *c)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	unsigned long call = 0, at = 0;
	struct {
		__u16 family;
		__be16 port;
		__u8 four[4];
	} a;
	c->asked.family = 0;
	if (bpf_probe_read_kernel(&call, sizeof(call), &SYSCALL(regs)) || (__u32)call != SYSCALL_CONNECT)
		return; /* by io_uring, or with the first data */
	if (bpf_probe_read_kernel(&at, sizeof(at), &ARG2(regs)) || bpf_probe_read_user(&a, sizeof(a), (void *)at))
		return;
	if (a.family == AF_INET6) {
		if (bpf_probe_read_user(c->asked.address, 16, (void *)(at + 8)))
			return;
	} else if (a.family == AF_INET) {
		__builtin_memcpy(c->asked.address, a.four, 4);
	} else {
		return;
	}
	c->asked.port = __builtin_bswap16(a.port);
	c->asked.family = a.family;
}

SEC("tp_btf/inet_sock_set_state")
int socket_state(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int before = ctx[1], now = ctx[2];
	struct conn *c;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (now == TCP_SYN_SENT) {
		c = remember(sk);
		if (!c)
			return 0;
		/* A socket may connect again after it failed. */
		__builtin_memset(&c->progress, 0, sizeof(c->progress));
		__builtin_memset(&c->turn, 0, sizeof(c->turn));
		c->http = c->dirty = c->established = c->h2 = c->tls = 0;
		c->local_port = 0;
		c->opened = bpf_ktime_get_boot_ns();
		c->role = ROLE_CLIENT;
		c->told = 1;
		describe(&c->owner, bpf_get_current_task_btf());
		ask(c);
	} else if (now == TCP_ESTABLISHED) {
		c = remember(sk);
		if (!c)
			return 0;
		if (before == TCP_SYN_RECV) {
			c->role = ROLE_SERVER;
			c->opened = bpf_ktime_get_boot_ns();
		}
		c->established = 1;
		c->local_port = sk->__sk_common.skc_num;
		struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
		if (tp) {
			c->first[OUT] = tp->snd_nxt;
			c->first[IN] = tp->rcv_nxt;
			c->numbered = 1;
		}
		tell(KIND_OPEN, sk, c);
		if (before == TCP_SYN_RECV)
			take(sk, c);
	} else if (now == TCP_CLOSE) {
		c = bpf_sk_storage_get(&conns, sk, 0, 0);
		if (c && before != TCP_LISTEN && before != TCP_CLOSE)
			tell(KIND_CLOSE, sk, c);
	}
	return 0;
}

/* sock_send_length and sock_recv_length fire in the process that sends and
 * receives: the first one tells who accepted. Most calls of event loops find nothing
 * there to receive, and most sockets are told of: that is left at once. */
static __always_inline int used(struct sock *sk, int direction, int passed)
{
	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	struct conn *c = bpf_sk_storage_get(&conns, sk, 0, 0);
	if (!c || !c->told)
		c = remember(sk);
	if (!c)
		return 0;
	if (inside_tls)
		within(c->cookie, c->role);
	/* Of HTTP/1 whose heads are in packets: of others nobody asks. */
	if (passed > 0 && !c->h2 && !c->tls) {
		struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
		if (tp) {
			c->progress.thread[direction] = bpf_get_current_pid_tgid();
			c->progress.upto[direction] = direction == OUT ? tp->write_seq : tp->copied_seq;
		}
	}
	if (c->told)
		return 0;
	c->told = 1;
	if (!c->established) { /* it is older than this program */
		c->established = 1;
		c->local_port = sk->__sk_common.skc_num;
	}
	describe(&c->owner, bpf_get_current_task_btf());
	tell(KIND_OWNER, sk, c);
	return 0;
}

SEC("tp_btf/sock_send_length")
int socket_send(__u64 *ctx) { return used((void *)ctx[0], OUT, ctx[1]); }

SEC("tp_btf/sock_recv_length")
int socket_receive(__u64 *ctx) { return used((void *)ctx[0], IN, ctx[1]); }

/* Where those tracepoints are missing (before Linux 6.3), the ends of the functions
 * within, in the same process. */
SEC("fexit/tcp_sendmsg")
int socket_sent(__u64 *ctx) { return used((void *)ctx[0], OUT, 1); }

SEC("fexit/tcp_recvmsg")
int socket_received(__u64 *ctx) { return used((void *)ctx[0], IN, 1); }

/* The last exchange of a connection that is kept alive has no successor to
 * end it: the reader sweeps over what has been silent for QUIET. */
#define QUIET 100000000

static __always_inline int swept(struct conn *c)
{
	if (!c->dirty)
		return 0;
	__u64 now = bpf_ktime_get_boot_ns();
	if (now - c->progress.last[OUT] < QUIET || now - c->progress.last[IN] < QUIET)
		return 0;
	if (c->tls && c->progress.last[asks(c)] > c->progress.last[!asks(c)])
		return 0; /* an answer is to come */
	/* Without room it is told by the next sweep, and not lost. */
	if (stand(c->tls ? KIND_BURST : KIND_QUIET, now, c))
		c->dirty = 0;
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int socket_sweep(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct conn *c = ctx->value;
	return ctx->sk && c ? swept(c) : 0;
}

static __always_inline struct sock *socket_of(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct socket *socket = ctx->task && file ? bpf_sock_from_file(file) : 0;
	struct sock *sk = socket ? socket->sk : 0;
	if (!sk || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	return sk;
}

/* Some kernels refuse iterators over values of maps: there all files of all
 * processes are gone through. */
SEC("iter/task_file")
int socket_sweep_file(struct bpf_iter__task_file *ctx)
{
	struct sock *sk = socket_of(ctx);
	struct conn *c = sk ? bpf_sk_storage_get(&conns, sk, 0, 0) : 0;
	return c ? swept(c) : 0;
}

/* What is open, of all processes: one record a socket. Whoever has the socket of
 * one that nobody has used since the start of the program is taken for its owner;
 * its first use says better. */
SEC("iter/task_file")
int socket_list(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct sock *sk = socket_of(ctx);
	if (!sk || !task)
		return 0;
	__u16 family = sk->__sk_common.skc_family;
	__u8 state = sk->__sk_common.skc_state;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (state == TCP_LISTEN || state == TCP_CLOSE || state == TCP_SYN_SENT || state == TCP_SYN_RECV)
		return 0;
	struct conn *c = remember(sk);
	__u32 inventory = ctx->meta->session_id + 1;
	if (!c || c->listed == inventory)
		return 0;
	c->listed = inventory;
	if (!c->told)
		describe(&c->owner, task);
	if (!c->established) { /* it is older than this program */
		c->established = 1;
		c->local_port = sk->__sk_common.skc_num;
	}
	tell(KIND_STANDING, sk, c);
	return 0;
}
