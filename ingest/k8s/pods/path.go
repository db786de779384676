package pods

import "strings"

// ParseCgroup reads the pod's uid and the container's id from the path of a
// cgroup below the root of its hierarchy (of cgroup2, or any of cgroup v1: the
// paths are the same). It knows the forms of
//
//	cgroupfs   /kubepods/burstable/pod<uid>/<id>, of CRI-O crio-<id>
//	systemd    /kubepods.slice/…-pod<uid with _>.slice/<runtime>-<id>.scope
//	both       /system.slice/containerd.service/kubepods-…-pod<uid with _>.slice:cri-containerd:<id>,
//	           where kubelet and runtime are told different drivers
//	Docker     /docker/<id>, /system.slice/docker-<id>.scope; Podman: libpod-<id>.scope
//	Kind, k3d  any of the first after one of Docker, for the node is a container
//
// What is below a container is the container's. Below its own cgroup a container
// or a user may make others and call them as it likes, so the first name counts,
// and a pod's only below the kubelet's root. That root may be in a container of
// no pod, as Kind's nodes are: only one that is privileged can make cgroups there.
func ParseCgroup(path string) (c Container) {
	kubelet := false // below the kubelet's root
	trusted := true  // it can be one
	node := false    // c.ID is of a container that may be a node
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if kubepods, rest, ok := strings.Cut(part, ":"); ok && (kubelet || trusted) && strings.HasPrefix(kubepods, "kubepods") {
			if _, id, ok := strings.Cut(rest, ":"); ok && isID(id) {
				return Container{uidOfSlice(strings.TrimSuffix(kubepods, ".slice")), id}
			}
		}
		if !kubelet && trusted && (strings.HasPrefix(part, "kubepods") || strings.HasPrefix(part, "kubelet")) {
			kubelet = true
			if node { // its containers are those that count
				c, node = Container{}, false
			}
		}
		if c.ID != "" && !node {
			return c
		}
		name, slice := strings.CutSuffix(part, ".slice")
		switch {
		case kubelet && slice:
			if c.PodUID == "" {
				c.PodUID = uidOfSlice(name)
			}
		case kubelet && strings.HasPrefix(name, "pod"):
			if c.PodUID == "" {
				c.PodUID = uid(name[len("pod"):])
			}
		case node: // what a container calls its own
			return c
		default:
			name = strings.TrimSuffix(name, ".scope")
			if name = name[strings.LastIndexByte(name, '-')+1:]; isID(name) {
				c.ID, node = name, !kubelet && trusted
			}
		}
		// The kubelet's root is at the top, in a container that is, or where the
		// runtime puts what it does not understand.
		trusted = trusted && (node || part == "docker" || part == "machine.slice" || part == "system.slice" || part == "containerd.service")
	}
	return c
}

// uidOfSlice reads the uid from the name of a pod's slice, without ".slice".
func uidOfSlice(name string) string {
	if i := strings.LastIndex(name, "-pod"); i >= 0 {
		return uid(strings.ReplaceAll(name[i+len("-pod"):], "_", "-"))
	}
	return ""
}

// uid returns what can be a pod's uid: of static pods it has no dashes.
func uid(s string) string {
	if plain := strings.ReplaceAll(s, "-", ""); len(plain) != 32 || !isHex(plain) {
		return ""
	}
	return s
}

// isID reports whether s is the id of a container.
func isID(s string) bool { return len(s) == 64 && isHex(s) }

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
