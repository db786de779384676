// Package pods knows the pods of a node or of a cluster, and tells whose a
// cgroup, a container, an address or the far end of a connection is.
//
//	Cgroups    cgroup id of the kernel → container of a pod
//	Directory  uid, container or address → namespace, name, container's name
//	Prover     connection → whose it is, and what others may claim
//
// It asks nobody: package watch fills the Directory.
package pods
