package tetragon

import "github.com/sennit-io/sennit/ingest/scan"

// The member names of Tetragon's messages in the order of its writer, then
// those that protobuf's JSON may also spell in camelCase. A constant names the
// place; both spellings of one field lead to the same code.

// kind is the member of the envelope that holds the event, and a hook.
type kind uint8

const (
	kindExec kind = iota
	kindExit
	kindKprobe
	kindTracepoint
	kindLoader
	kindUprobe
	kindThrottle
	kindLSM
	kindUSDT
	kindTest
	kindRateLimit
	kindNone
)

var hookNames = [kindNone]string{
	kindKprobe: "kprobe", kindTracepoint: "tracepoint", kindLoader: "loader", kindUprobe: "uprobe", kindLSM: "lsm", kindUSDT: "usdt",
}

const (
	envNode = int(kindNone) + iota
	envTime
	envAggregation
	envCluster
	envLabels
	envCamel // the kinds again
)

const (
	envNodeC = envCamel + int(kindNone) + iota
	envClusterC
	envAggregationC
	envLabelsC
	envUnknown
)

var envelopeNames = scan.NewNames(
	"process_exec", "process_exit", "process_kprobe", "process_tracepoint", "process_loader", "process_uprobe",
	"process_throttle", "process_lsm", "process_usdt", "test", "rate_limit_info",
	"node_name", "time", "aggregation_info", "cluster_name", "node_labels",
	"processExec", "processExit", "processKprobe", "processTracepoint", "processLoader", "processUprobe",
	"processThrottle", "processLsm", "processUsdt", "test", "rateLimitInfo",
	"nodeName", "clusterName", "aggregationInfo", "nodeLabels",
)

const (
	procExecID = iota
	procPID
	procUID
	procCWD
	procBinary
	procArguments
	procFlags
	procStart
	procAUID
	procPod
	procDocker
	procParentID
	procRefcnt
	procCap
	procNS
	procTID
	procCredentials
	procProperties
	procUser
	procInTree
	procEnv
	procExecIDC
	procStartC
	procParentIDC
	procInTreeC
	procEnvC
)

var processNames = scan.NewNames(
	"exec_id", "pid", "uid", "cwd", "binary", "arguments", "flags", "start_time", "auid", "pod", "docker", "parent_exec_id",
	"refcnt", "cap", "ns", "tid", "process_credentials", "binary_properties", "user", "in_init_tree", "environment_variables",
	"execId", "startTime", "parentExecId", "inInitTree", "environmentVariables",
)

const (
	podNamespace = iota
	podName
	podUID
	podContainer
	podLabels
	podWorkload
	podWorkloadKind
)

var podNames = scan.NewNames("namespace", "name", "uid", "container", "pod_labels", "workload", "workload_kind")

const (
	containerID = iota
	containerName
	containerImage
	containerStart
	containerPID
)

var containerNames = scan.NewNames("id", "name", "image", "start_time", "pid")

const (
	bodyProcess = iota
	bodyParent
	bodyFunction
	bodySubsys
	bodyEvent
	bodyPath
	bodySymbol
	bodyProvider
	bodyName
	bodyArgs
	bodyReturn
	bodySignal
	bodyStatus
	bodyTime
	bodyType
	bodyCgroup
	bodyDropped
	bodyAction
	bodyKernelStack
	bodyPolicy
	bodyReturnAction
	bodyMessage
	bodyTags
	bodyUserStack
	bodyAncestors
	bodyData
	bodyBuildID
	bodyFunctionC
	bodyDroppedC
	bodyPolicyC
	bodyReturnActionC
	bodyCount
)

var bodyNames = scan.NewNames(
	"process", "parent", "function_name", "subsys", "event", "path", "symbol", "provider", "name", "args", "return",
	"signal", "status", "time", "type", "cgroup", "number_of_dropped_process_events",
	"action", "kernel_stack_trace", "policy_name", "return_action", "message", "tags", "user_stack_trace", "ancestors", "data", "buildid",
	"functionName", "numberOfDroppedProcessEvents", "policyName", "returnAction",
)

const (
	hooks = 1<<kindKprobe | 1<<kindTracepoint | 1<<kindUprobe | 1<<kindLSM | 1<<kindUSDT
	procs = hooks | 1<<kindExec | 1<<kindExit | 1<<kindLoader
)

// bodyKinds says in which messages a member is known: elsewhere the same name
// may hold anything.
var bodyKinds = [bodyCount + 1]uint16{
	bodyProcess: procs, bodyParent: procs,
	bodyFunction: 1<<kindKprobe | 1<<kindLSM, bodyFunctionC: 1<<kindKprobe | 1<<kindLSM,
	bodySubsys: 1 << kindTracepoint, bodyEvent: 1 << kindTracepoint,
	bodyPath: 1<<kindUprobe | 1<<kindUSDT | 1<<kindLoader, bodySymbol: 1 << kindUprobe,
	bodyProvider: 1 << kindUSDT, bodyName: 1 << kindUSDT,
	bodyArgs: hooks, bodyReturn: 1 << kindKprobe, bodyData: 1<<kindKprobe | 1<<kindUprobe,
	bodySignal: 1 << kindExit, bodyStatus: 1 << kindExit, bodyTime: 1 << kindExit,
	bodyType: 1 << kindThrottle, bodyCgroup: 1 << kindThrottle,
	bodyDropped: 1 << kindRateLimit, bodyDroppedC: 1 << kindRateLimit,
	bodyAction: hooks, bodyPolicy: hooks, bodyPolicyC: hooks, bodyMessage: hooks,
	bodyReturnAction: 1 << kindKprobe, bodyReturnActionC: 1 << kindKprobe,
	bodyBuildID: 1 << kindLoader,
}

const (
	sockFamily = iota
	sockType
	sockProtocol
	sockMark
	sockPriority
	sockSaddr
	sockDaddr
	sockSport
	sockDport
	sockCookie
	sockState
)

var sockNames = scan.NewNames("family", "type", "protocol", "mark", "priority", "saddr", "daddr", "sport", "dport", "cookie", "state")

// kprobeActions are the numbers of KprobeAction, without their prefix.
var kprobeActions = [...]string{
	"", "post", "followfd", "sigkill", "unfollowfd", "override", "copyfd", "geturl", "dnslookup", "nopost", "signal",
	"tracksock", "untracksock", "notifyenforcer", "cleanupenforcernotification", "set",
}

// enforces reports whether an action changed what the process could do.
func enforces(action string) bool {
	switch action {
	case "sigkill", "signal", "override", "notifyenforcer":
		return true
	}
	return false
}
