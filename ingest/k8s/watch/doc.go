// Package watch follows the pods of a node, or of a cluster, and fills a
// pods.Directory with them: from the API server, from the node's kubelet, or from
// a file. Every change of a pod is an event too, and so is, every ten minutes,
// each pod that is there.
//
//	s, err := watch.API(watch.Config{Node: "gke-node-1", Directory: &d}, watch.Connection{})
//	…
//	err = s.Run(ctx, sink) // until ctx ends
//
// A source that is away is tried again; meanwhile what was known stays known.
package watch
