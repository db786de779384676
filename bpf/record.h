/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The records of the ring. Each begins with its kind, then its time. */
#pragma once

enum kind {
	KIND_OPEN = 1, /* connected or accepted */
	KIND_OWNER,    /* a process uses a socket for the first time */
	KIND_CLOSE,    /* the end, or a connect that failed */
	KIND_QUIET,    /* how far a connection got that fell silent */
	KIND_REQUEST,  /* a packet that begins like a request head */
	KIND_RESPONSE, /* ... like a response head */
	KIND_HELLO,    /* ... like a TLS ClientHello */
	KIND_EXEC,
	KIND_RUNNING, /* a process that was there before */
	KIND_EXIT,
	KIND_PLAIN, /* how far the plain text of a TLS connection got */
	KIND_FRAME, /* of HTTP/2: a frame, or a piece of its payload */
	KIND_STANDING, /* a socket that is open */
	KIND_FORK, /* a process that runs the same program as its parent */
	KIND_BODY,  /* of HTTP/1 within TLS: a piece of what answers a client */
	KIND_BURST, /* what went over a TLS connection, both ways, before it begins anew */
	KINDS
};

enum role { ROLE_UNKNOWN, ROLE_CLIENT, ROLE_SERVER };
enum { OUT, IN };

/* A process, by its leader's start: pids are used again. */
struct process {
	__u64 start; /* ns since boot */
	__u32 pid, tid;
};

/* How far a connection got in each direction, OUT and IN. */
struct progress {
	__u64 last[2]; /* ns since boot of the last packet with data */
	__u32 next[2]; /* sequence number after the last byte */
	__u8 ended[2]; /* the last packet ended a chunked body */
	__u8 known[2]; /* next is valid */
	__u32 thread[2]; /* that sent and received last, 0 if not known */
	__u32 upto[2];   /* sequence number after what it sent or took */
	__u32 gaps;    /* packets that did not follow what came before */
};

/* What went over a connection since this was told last, OUT and IN. */
struct turn {
	__u64 begun[2]; /* ns since boot of the first packet, 0 for none */
	__u32 from[2];	/* its sequence number */
};

/* Where a process wanted to connect to, by what it called connect() with. */
struct asked {
	__u8 address[16];
	__u16 port, family; /* family is 0 where that is not known */
};

struct socket_record {
	__u32 kind;
	__u8 role, family, established, error; /* error: errno of the end */
	__u64 time, cookie, address, cgroup, opened;
	struct process owner;
	struct progress progress;
	__u64 bytes_out, bytes_in;
	struct turn turn; /* of a TLS connection, not told yet */
	__u32 netns, retransmits, srtt_us;
	__u16 local_port, peer_port;
	__u8 local[16], peer[16];
	struct asked asked;
};

struct head_record {
	__u32 kind;
	__u8 role, direction;
	__u16 captured; /* bytes of the packet that follow */
	__u8 plain;     /* of the plain text of a TLS connection, not of packets */
	__u32 tid;      /* the thread that reads or writes it, if plain */
	__u64 time, cookie;
	struct progress before; /* without this packet */
	__u32 seq, length;      /* of the packet's data */
	__u64 goroutine, parent; /* of who called Go's crypto/tls, 0 if not known */
};

/* Nothing came before in this direction; nothing of this frame was told. */
enum { FIRST_OF_ALL = 1, FIRST_OF_FRAME = 2 };

struct frame_record {
	__u32 kind;
	__u8 role, direction;
	__u16 captured; /* bytes of the payload that follow */
	__u8 plain, type, flags;
	__u8 first; /* FIRST_OF_ALL, FIRST_OF_FRAME */
	__u32 stream;
	__u64 time, cookie;
	__u32 length, passed; /* of the payload; passed is with this piece */
	__u32 from, to;	      /* what it accounts for, in sequence numbers */
	__u64 goroutine, parent;
	__u32 tid; /* as in head_record */
};

struct process_record {
	__u32 kind;
	__u32 uid;
	__u64 time, cgroup;
	struct process self, parent; /* the parent's tid is the thread that forked */
	__u32 exit_code, args_length; /* args_length is what there was, cut or not */
	char binary[256];
};
