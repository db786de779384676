/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Processes: what they run, and their ends. */
#pragma once
#include "ring.h"

#define ARGS 1024

struct exec_record {
	struct process_record process;
	char args[ARGS];
};

static __always_inline void fill(struct process_record *r, __u32 kind, struct task_struct *task)
{
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->time = bpf_ktime_get_boot_ns();
	r->cgroup = task->cgroups->dfl_cgrp->kn->id;
	r->uid = task->cred->uid.val;
	describe(&r->self, task);
	describe(&r->parent, task->real_parent);
}

SEC("tp_btf/sched_process_exec")
int process_exec(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct linux_binprm *bprm = (void *)ctx[2];
	struct exec_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		drop(KIND_EXEC);
		return 0;
	}
	fill(&r->process, KIND_EXEC, task);
	bpf_probe_read_kernel_str(r->process.binary, sizeof(r->process.binary), bprm->filename);
	struct mm_struct *mm = task->mm;
	if (mm) {
		__u64 start = mm->arg_start, length = mm->arg_end - start;
		r->process.args_length = length;
		if (length > ARGS - 1)
			length = ARGS - 1;
		asm volatile("" : "+r"(length));
		if (bpf_probe_read_user(r->args, length & (ARGS - 1), (void *)start))
			r->process.args_length = 0;
	}
	bpf_ringbuf_submit(r, wake());
	return 0;
}

SEC("tp_btf/sched_process_exit")
int process_exit(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	if (task->signal->live.counter > 0)
		return 0; /* other threads of it live */
	struct process_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		drop(KIND_EXIT);
		return 0;
	}
	fill(r, KIND_EXIT, task);
	r->exit_code = task->signal->group_exit_code;
	if (!r->exit_code)
		r->exit_code = task->exit_code;
	bpf_ringbuf_submit(r, wake());
	return 0;
}

/* Not of threads. */
SEC("tp_btf/sched_process_fork")
int process_fork(__u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	if (child->pid != child->tgid)
		return 0;
	struct process_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		drop(KIND_FORK);
		return 0;
	}
	fill(r, KIND_FORK, child);
	describe(&r->parent, parent); /* the thread too */
	bpf_ringbuf_submit(r, wake());
	return 0;
}

/* What runs when the shim starts. */
SEC("iter/task")
int process_running(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task || task->pid != task->tgid || !task->mm)
		return 0;
	struct process_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);
	if (!r) {
		drop(KIND_RUNNING);
		return 0;
	}
	fill(r, KIND_RUNNING, task);
	bpf_ringbuf_submit(r, wake());
	return 0;
}
