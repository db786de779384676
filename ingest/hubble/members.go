package hubble

import (
	"slices"

	"github.com/sennit-io/sennit/ingest/scan"
)

// The members of a flow in the order in which protojson writes them, those that
// are passed over included. The constants are places in that list.
const (
	flowTime             = iota // time
	flowUUID                    // uuid
	_                           // emitter
	flowVerdict                 // verdict
	flowDropReason              // drop_reason
	_                           // auth_type
	_                           // ethernet
	flowIP                      // IP
	flowL4                      // l4
	_                           // tunnel
	flowSource                  // source
	flowDestination             // destination
	_                           // Type
	flowNodeName                // node_name
	_                           // node_labels
	flowSourceNames             // source_names
	flowDestinationNames        // destination_names
	flowL7                      // l7
	flowReply                   // reply
	flowEventType               // event_type
	_                           // source_service
	_                           // destination_service
	flowTrafficDirection        // traffic_direction
	_                           // policy_match_type
	flowPoint                   // trace_observation_point
	_                           // trace_reason
	_                           // file
	_                           // ip_trace_id
	flowDropReasonDesc          // drop_reason_desc
	flowIsReply                 // is_reply
	_                           // interface
	_                           // proxy_port
	flowTraceContext            // trace_context
	flowXlatePoint              // sock_xlate_point
	flowCookie                  // socket_cookie
	flowCgroup                  // cgroup_id
	_                           // Summary
	flowEgressAllowed           // egress_allowed_by
	flowIngressAllowed          // ingress_allowed_by
	flowEgressDenied            // egress_denied_by
	flowIngressDenied           // ingress_denied_by
	_                           // policy_log
	flowAggregate               // aggregate
	flowMembers
)

// flowNames are the names of the members in snake_case, which the exporter
// writes, and behind them those in camelCase.
var flowNames = scan.NewNames(flowNameList...)

var flowNameList = []string{
	"time", "uuid", "emitter", "verdict", "drop_reason", "auth_type", "ethernet", "IP", "l4", "tunnel",
	"source", "destination", "Type", "node_name", "node_labels", "source_names", "destination_names", "l7",
	"reply", "event_type", "source_service", "destination_service", "traffic_direction", "policy_match_type",
	"trace_observation_point", "trace_reason", "file", "ip_trace_id", "drop_reason_desc", "is_reply",
	"interface", "proxy_port", "trace_context", "sock_xlate_point", "socket_cookie", "cgroup_id", "Summary",
	"egress_allowed_by", "ingress_allowed_by", "egress_denied_by", "ingress_denied_by", "policy_log",
	"aggregate",

	"dropReason", "authType", "nodeName", "nodeLabels", "sourceNames", "destinationNames", "eventType",
	"sourceService", "destinationService", "trafficDirection", "policyMatchType", "traceObservationPoint",
	"traceReason", "ipTraceId", "dropReasonDesc", "isReply", "proxyPort", "traceContext", "sockXlatePoint",
	"socketCookie", "cgroupId", "egressAllowedBy", "ingressAllowedBy", "egressDeniedBy", "ingressDeniedBy",
	"policyLog",
}

// flowPlace returns the place of a name in flowNames, -1 for one that is not there.
func flowPlace(name []byte) int {
	return slices.IndexFunc(flowNameList, func(known string) bool { return known == string(name) })
}

// flowAlias returns the place of a member that stands at i under its name in
// camelCase, flowMembers for one that is not there.
func flowAlias(i int) int {
	if i -= flowMembers; i < len(flowAliases) {
		return flowAliases[i]
	}
	return flowMembers
}

var flowAliases = [...]int{4, 5, 13, 14, 15, 16, 19, 20, 21, 22, 23, 24, 25, 27, 28, 29, 31, 32, 33, 34, 35, 37, 38, 39, 40, 41}
