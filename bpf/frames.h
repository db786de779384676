/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* HTTP/2: the frames of a connection are walked here, so that header blocks and
 * the ends of streams are all that leaves; bodies are stepped over and not
 * copied, but for answers within TLS (tls.h) as far as they are allowed. Source: RFC 9113, 4.1 and 6. */
#pragma once
#include "ring.h"

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION };
enum { END_STREAM = 1, END_HEADERS = 4, PADDED = 8, PRIORITISED = 32 };
enum { LOST, SYNCED, AT_START };

#define HEADER 9
#define PREFACE 24
#define FRAMES 256 /* at most, in one packet */
#define LARGE_PIECE 1024
#define SMALL_PIECE 128
#define BODY_PIECE 4096

/* One direction of a connection, between two packets. */
struct walk {
	__u8 head[24]; /* the header of a frame, of which have bytes are there */
	__u32 at;      /* sequence number of the next byte */
	__u32 left;    /* bytes of the payload that are to come */
	__u32 length, stream;
	__u32 told; /* up to where records account for everything */
	__u8 type, flags, have, state;
	__u8 tells; /* the end of a payload ends its stream */
	__u8 start; /* no record was made yet, and nothing was missed */
};

/* A walk that waits for a packet which others have overtaken. */
struct late {
	struct walk walk;
	__u32 until; /* where the other walk went on, if it did */
	__u8 open, resumed;
};

#define LATE 3 /* holes at once */

struct http2 {
	struct walk walks[2];
	struct late late[2][LATE];
};

/* Where the bytes are: in a packet; without one, plain text in the memory of a
 * process, else in the kernel's (early.h). */
struct text {
	__u64 cookie, time, base, goroutine, parent;
	__u32 seq, from, end; /* from and end are offsets, seq is of offset 0 */
	__u32 next;	      /* sequence number after all that was seen */
	__u32 allowed;	      /* bytes of bodies that may be copied */
	__u32 tid;
	__u8 role, direction, plain;
};

static __always_inline long load(struct __sk_buff *skb, struct text *t, __u32 offset, void *to, __u32 n)
{
	if (skb)
		return bpf_skb_load_bytes(skb, offset, to, n);
	void *from = (void *)(t->base + offset);
	return t->plain ? bpf_probe_read_user(to, n, from) : bpf_probe_read_kernel(to, n, from);
}

/* Where bytes were missed that may be headers. */
static __always_inline void lose(struct walk *w)
{
	w->state = LOST;
	w->start = 0;
}

static __always_inline int copied(__u8 type)
{
	return type == HEADERS || type == CONTINUATION || type == PUSH_PROMISE;
}

/* The rules for frames that every sender keeps. */
static __always_inline int sound(struct walk *w)
{
	switch (w->type) {
	case DATA:
	case HEADERS:
	case CONTINUATION:
	case PUSH_PROMISE:
		return w->stream != 0 && w->length <= 1 << 20;
	case PRIORITY:
		return w->length == 5;
	case RST_STREAM:
		return w->stream && w->length == 4;
	case SETTINGS:
		return !w->stream && w->length % 6 == 0;
	case PING:
		return !w->stream && w->length == 8;
	case GOAWAY:
		return !w->stream && w->length >= 8;
	case WINDOW_UPDATE:
		return w->length == 4;
	}
	return 1; /* an extension */
}

static __always_inline void parse(struct walk *w)
{
	__u8 *h = w->head;
	w->length = (__u32)h[0] << 16 | (__u32)h[1] << 8 | h[2];
	w->type = h[3];
	w->flags = h[4];
	w->stream = (__u32)(h[5] & 0x7f) << 24 | (__u32)h[6] << 16 | (__u32)h[7] << 8 | h[8];
	w->left = w->length;
	w->have = w->tells = 0;
}

/* Whether a packet that begins so begins with a frame, for one who does not
 * know where frames begin: stricter than sound. */
static __always_inline int begins(struct walk *w)
{
	parse(w);
	w->left = 0;
	if (!sound(w) || w->head[5] & 0x80 || w->length > 1 << 16)
		return 0;
	switch (w->type) {
	case DATA:
		return !(w->flags & ~(END_STREAM | PADDED));
	case HEADERS:
		return w->stream & 1 && !(w->flags & ~(END_STREAM | END_HEADERS | PADDED | PRIORITISED));
	case SETTINGS:
	case PING:
		return w->flags <= 1;
	case RST_STREAM:
	case WINDOW_UPDATE:
	case GOAWAY:
		return !w->flags;
	}
	return 0;
}

#define PIECE_OF(size) TELL(size, struct frame_record, *head = f, load(skb, t, offset, data, clamp(n, size)))

/* Tells of the frame, with n bytes of its payload from an offset; fresh says that
 * it was not told of before. A piece of a body that is lost is a hole in the body
 * and not in the stream: what comes next accounts for it. */
static __always_inline int piece(struct __sk_buff *skb, struct text *t, struct walk *w, __u32 offset, __u32 n, __u32 fresh)
{
	int body = n && w->type == DATA;
	struct frame_record f = {
		.kind = KIND_FRAME, .role = t->role, .direction = t->direction, .captured = n, .plain = t->plain,
		.type = w->type, .flags = w->flags, .stream = w->stream, .time = t->time, .cookie = t->cookie,
		.first = (w->start ? FIRST_OF_ALL : 0) | (fresh ? FIRST_OF_FRAME : 0), .length = w->length, .passed = w->length - w->left,
		.from = w->told, .to = t->seq + offset + n, .goroutine = t->goroutine, .parent = t->parent,
		.tid = t->tid,
	};
	if (!body) {
		w->told = f.to;
		w->start = 0;
	}
	int told;
	if (!n) {
		struct frame_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
		told = r != 0;
		if (r) {
			*r = f;
			bpf_ringbuf_submit(r, wake());
		}
	} else if (n <= SMALL_PIECE) {
		told = PIECE_OF(SMALL_PIECE);
	} else if (n <= LARGE_PIECE) {
		told = PIECE_OF(LARGE_PIECE);
	} else {
		told = PIECE_OF(BODY_PIECE);
	}
	if (!told) {
		drop(body ? KIND_BODY : KIND_FRAME);
		return 0;
	}
	w->told = f.to;
	w->start = 0;
	return 1;
}

/* Finds where in a packet to go on, or returns 0. */
static __always_inline int resume(struct __sk_buff *skb, struct text *t, struct walk *w, struct late *late)
{
	__s32 hole = t->seq + t->from - w->at;
	if (w->state == SYNCED && hole < 0) { /* some of it was there before */
		if (t->end - t->from <= (__u32)-hole)
			return 0;
		t->from -= hole;
	} else if (w->state == SYNCED && hole > 0) {
		/* A hole in a body is none. */
		if (!copied(w->type) && (__u32)hole < w->left) {
			w->left -= hole;
		} else {
			for (int i = 0; late && i < LATE; i++)
				if (!late[i].open) {
					late[i].walk = *w;
					late[i].open = 1;
					late[i].resumed = 0;
					break;
				}
			lose(w);
		}
	}
	if (w->state != SYNCED) {
		if (t->end - t->from < HEADER || load(skb, t, t->from, w->head, HEADER))
			return 0;
		w->start = w->state == AT_START;
		if (w->start && w->head[0] == 'P' && w->head[1] == 'R') {
			if (t->end - t->from < PREFACE)
				return 0; /* nobody splits it */
			t->from += PREFACE;
		} else if (!begins(w)) {
			return 0;
		}
		w->left = w->have = 0;
		w->state = SYNCED;
		w->told = t->seq + t->from;
		for (int i = 0; late && i < LATE; i++)
			if (late[i].open && !late[i].resumed) {
				late[i].resumed = 1;
				late[i].until = w->told;
			}
	}
	return 1;
}

/* Goes over one frame, or as much of it as is there. Returns whether to go on. */
static __always_inline int frame(struct __sk_buff *skb, struct text *t, struct walk *w)
{
	__u32 room = t->end - t->from, n = 0, fresh = 0;
	if (t->from >= t->end)
		return 0;
	if (!w->left) {
		n = HEADER - w->have;
		if (n > room)
			n = room;
		n = clamp(n, HEADER);
		if (load(skb, t, t->from, w->head + (w->have & 15), n)) {
			lose(w);
			return 0;
		}
		w->have += n;
		t->from += n;
		room -= n;
		if (w->have < HEADER)
			return 0;
		parse(w);
		if (!sound(w)) {
			lose(w);
			return 0;
		}
		fresh = w->type == DATA || w->type == RST_STREAM || !w->length;
	}
	n = w->left;
	if (n > room)
		n = room;
	if (copied(w->type)) {
		if (n > LARGE_PIECE)
			n = LARGE_PIECE;
		w->left -= n;
		if (n || fresh)
			piece(skb, t, w, t->from, n, fresh);
	} else {
		int body = t->allowed && n && w->type == DATA;
		if (body && n > BODY_PIECE)
			n = BODY_PIECE;
		w->left -= n;
		if (body && n > t->allowed) {
			drop(KIND_BODY);
			body = 0;
		}
		if (body && piece(skb, t, w, t->from, n, fresh))
			t->allowed -= n;
		else if (w->tells ? !w->left : fresh && w->type <= RST_STREAM)
			piece(skb, t, w, t->from, 0, fresh);
		if (fresh && w->type == DATA && w->left)
			w->tells = w->flags & END_STREAM;
	}
	t->from += n;
	return 1;
}

/* Functions that are verified once and not for each turn of the loop. */
__noinline int frame_of_packet(struct __sk_buff *skb, struct text *t, struct walk *w)
{
	return t && w ? frame(skb, t, w) : 0;
}

__noinline int frame_of_text(struct text *t, struct walk *w)
{
	return t && w ? frame(0, t, w) : 0;
}

static __always_inline void steps(struct __sk_buff *skb, struct text *t, struct walk *w)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < FRAMES; i++)
		if (!(skb ? frame_of_packet(skb, t, w) : frame_of_text(t, w)))
			return;
	if (t->from < t->end)
		lose(w);
}

static __always_inline void walk(struct __sk_buff *skb, struct text *t, struct walk *w, struct late *late)
{
	if (!resume(skb, t, w, late))
		return;
	w->at = t->seq + t->end;
	steps(skb, t, w);
}

/* Goes over what of a packet was overtaken and is waited for. */
static __always_inline void overtaken(struct __sk_buff *skb, struct text *t, struct walk *w, struct late *late)
{
	struct walk *l = &late->walk;
	__u32 start = t->seq + t->from, end = t->seq + t->end;
	if (!late->open)
		return;
	if (late->resumed && (__s32)(end - late->until) > 0)
		end = late->until; /* sent again together with what came */
	if ((__s32)(end - l->at) <= 0)
		return;
	if ((__s32)(start - l->at) > 0) {
		/* Of another hole, or not even these come in order. */
		return;
	}
	t->from = l->at - t->seq;
	t->end = end - t->seq;
	l->at = end;
	steps(skb, t, l);
	if (l->state != SYNCED) {
		late->open = 0;
		return;
	}
	/* The rest, if anything, must be of one body. */
	__u32 rest = (late->resumed ? late->until : t->next) - l->at;
	if (rest && (copied(l->type) || rest > l->left || l->have))
		return;
	l->left -= rest;
	l->at += rest;
	if (!late->resumed) {
		*w = *l;
		late->open = 0;
	} else if (!l->left && !l->have) {
		/* Told is where the other walk went on. */
		if (!l->tells) {
			l->type = 255;
			l->length = 0;
		}
		piece(skb, t, l, l->at - t->seq, 0, 0);
		late->open = 0;
	}
}

static __always_inline void all_overtaken(struct __sk_buff *skb, struct text *t, struct walk *w, struct late *late)
{
	__u32 from = t->from, end = t->end;
	/* No loop: where the compiler ends one by falling through to its beginning,
	 * Linux 6.1 refuses it as a back-edge. */
#pragma clang loop unroll(full)
	for (int i = 0; i < LATE; i++) {
		overtaken(skb, t, w, &late[i]);
		t->from = from;
		t->end = end;
	}
}

enum { NOT_HTTP2, FROM_START, FROM_MIDDLE };

/* Whether a connection that nothing is known of turns out to be HTTP/2 with
 * this packet: by the client's preface, by the first frame of the server, or,
 * where it may be older than this program, by a request or response. */
static __always_inline int http2(const __u8 *b, __u32 length, int known, int older)
{
	if (length >= PREFACE && b[0] == 'P' && b[1] == 'R' && b[2] == 'I' && b[3] == ' ' && b[4] == '*' && b[5] == ' ' && b[6] == 'H' &&
	    b[7] == 'T')
		return FROM_START;
	if (length < HEADER || b[0] || b[5] & 0x80)
		return NOT_HTTP2;
	__u32 size = (__u32)b[1] << 8 | b[2];
	if (b[3] == SETTINGS && !known && !b[4] && !b[5] && !b[6] && !b[7] && !b[8] && size % 6 == 0)
		return FROM_START;
	if (b[3] == HEADERS && older && b[4] & END_HEADERS && !(b[4] & ~(END_STREAM | END_HEADERS | PADDED | PRIORITISED)) && b[8] & 1 &&
	    size && HEADER + size <= length)
		return FROM_MIDDLE;
	return NOT_HTTP2;
}

/* Makes the walks of such a connection ready. At its start no header block can
 * have passed in the other direction either. */
static __always_inline void ready(struct walk *walks, int found, int d, int other_known)
{
	walks[d & 1].state = found == FROM_START ? AT_START : LOST;
	walks[!d].state = found == FROM_START && !other_known ? AT_START : LOST;
}

/* Begins a walk with the first byte of its direction: a client's is its
 * preface's. */
static __always_inline void start(struct walk *w, __u32 seq, int client)
{
	__builtin_memset(w, 0, sizeof(*w));
	w->state = SYNCED;
	w->start = 1;
	w->at = w->told = seq;
	w->type = 255; /* no frame */
	w->left = w->length = client ? PREFACE : 0;
}
