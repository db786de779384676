// Package tetragon turns the JSON records of Tetragon into events: the export
// file of the agent and the output of `tetra getevents -o json`, in snake_case
// or camelCase. What comes over gRPC is read as protobuf and gives the same events.
//
//	process_exec, process_exit              process_exec, process_exit
//	process_kprobe, _tracepoint, _uprobe,   syscall, or enforcement when an
//	_usdt, _lsm, _loader                    action of the policy stopped it
//	process_throttle, rate_limit_info       loss
//
// Everything else, and the events of the enterprise edition (process_connect,
// process_close, process_listen), is of unknown type.
//
// What Tetragon calls sock_arg.cookie is the kernel address of the struct sock
// (cilium/tetragon bpf/process/types/sock.h) and becomes a SockAddr. Its
// start_time is converted from the kernel's clock anew for every event, so it
// only informs; the start time that identifies a process is the one inside
// exec_id.
package tetragon
