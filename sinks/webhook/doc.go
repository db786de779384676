// Package webhook posts alerts to a receiver over HTTP: one request a revision,
// signed as Standard Webhooks says (https://www.standardwebhooks.com), with a
// CloudEvent whose data is an OCSF Detection Finding. docs/webhooks.md is the
// receiver's guide.
package webhook
