// Package gcp turns Google Cloud's logs into events: LogEntry JSON, as gcloud,
// Pub/Sub sinks and the API give it, of
//
//   - external Application Load Balancers, with Cloud Armor's decision
//     (resource types http_load_balancer and http_external_regional_lb_rule),
//   - Cloud DNS (log dns.googleapis.com/dns_queries),
//   - GKE Dataplane V2 network policy logging (log policy-action), also as the
//     bare lines of the nodes' policy_action.log,
//   - VPC flows (log …/vpc_flows).
//
// Every other LogEntry is of unknown type. Member names are read in camelCase and
// snake_case; what is below jsonPayload is spelled as its service spells it.
//
// Sources: LogEntry and HttpRequest in the Cloud Logging API v2; the logging pages
// of Cloud Load Balancing, Cloud Armor, Cloud DNS, VPC and GKE.
package gcp
