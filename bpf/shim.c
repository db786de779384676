//go:build ignore

/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#include "packet.h"
#include "socket.h"
#include "process.h"
#include "gotls.h"

/* Some of the kernel's helpers are for programs that may be combined with it. */
char __license[] SEC("license") = "Dual BSD/GPL";

/* Types that Go shares, which only local variables use. */
struct head_record *unused_head __attribute__((unused));
struct frame_record *unused_frame __attribute__((unused));
struct socket_record *unused_socket __attribute__((unused));
struct process_record *unused_process __attribute__((unused));
enum kind *unused_kind __attribute__((unused));
