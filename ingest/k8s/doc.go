// Package k8s turns Kubernetes API objects in files into events: what
// `kubectl get pods,services,endpointslices -o json` prints, bare objects, and
// the lines of a watch.
//
//	Pod                     pod
//	Service, EndpointSlice  service
//	List, PodList, …        one record for each item
//	{"type":…,"object":…}   the object, as the watch saw it
//
// Every other kind, entries of the audit log included, is of unknown type.
//
// An EndpointSlice is a service event that has endpoints and no addresses of its
// own; a Service is one that has addresses and no endpoints. Both have the
// service's namespace and name, and what is known of a service is what all of
// its events say together.
package k8s
