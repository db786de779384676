package pods

import (
	"strings"
	"testing"
)

const (
	podUID      = "1ae86db6-9561-44b4-b6a5-f4e6f7d621d9"
	containerID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	nodeID      = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
)

func TestParseCgroup(t *testing.T) {
	f := func(path, uid, id string) {
		t.Helper()
		if got := ParseCgroup(path); got != (Container{uid, id}) {
			t.Errorf("%s: got %+v", path, got)
		}
	}
	slice := strings.ReplaceAll(podUID, "-", "_")
	f("/kubepods/burstable/pod"+podUID+"/"+containerID, podUID, containerID)
	f("/kubepods/pod"+podUID, podUID, "")
	f("/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod"+slice+".slice/cri-containerd-"+containerID+".scope", podUID, containerID)
	f("/kubepods.slice/kubepods-pod"+slice+".slice/crio-"+containerID+".scope/init.scope", podUID, containerID)
	f("/kubelet.slice/kubelet-kubepods.slice/kubepods-pod"+slice+".slice", podUID, "")
	f("/kubepods/podb2f3c4d5e6f708192a3b4c5d6e7f8091/x", "b2f3c4d5e6f708192a3b4c5d6e7f8091", "") // static
	f("/system.slice/docker-"+containerID+".scope", "", containerID)
	f("/system.slice/ssh.service", "", "")
	f("/user.slice/pod"+podUID, "", "") // anybody may call a cgroup so
	f("/user.slice/kubepods/pod"+podUID, "", "")
	// Runtimes and drivers.
	f("/kubepods/besteffort/pod"+podUID+"/crio-"+containerID, podUID, containerID)
	f("/kubepods.slice/kubepods-pod"+slice+".slice/docker-"+containerID+".scope", podUID, containerID)
	f("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod"+slice+".slice/crio-conmon-"+containerID+".scope", podUID, containerID)
	f("/system.slice/containerd.service/kubepods-burstable-pod"+slice+".slice:cri-containerd:"+containerID, podUID, containerID)
	f("/kubepods-burstable-pod"+slice+".slice:cri-containerd:"+containerID, podUID, containerID)
	f("/k8s.io/"+containerID, "", containerID)
	f("/machine.slice/libpod-"+containerID+".scope/container", "", containerID)
	// Nodes that are containers: Kind, k3d, minikube.
	f("/docker/"+nodeID+"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod"+slice+".slice/cri-containerd-"+containerID+".scope", podUID, containerID)
	f("/system.slice/docker-"+nodeID+".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod"+slice+".slice", podUID, "")
	f("/docker/"+nodeID+"/kubepods/besteffort/pod"+podUID+"/"+containerID, podUID, containerID)
	f("/machine.slice/libpod-"+nodeID+".scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod"+slice+".slice/crio-"+containerID+".scope", podUID, containerID)
	f("/docker/"+nodeID+"/kubelet.slice/kubelet.service", "", "")
	f("/docker/"+nodeID+"/init.scope", "", nodeID)
	f("/docker/"+nodeID+"/x/kubepods/pod"+podUID, "", nodeID)
	// What may be anybody's.
	f("/user.slice/user-1000.slice/user@1000.service/kubepods-burstable-pod"+slice+".slice:cri-containerd:"+containerID, "", "")
	f("/user.slice/user-1000.slice/docker-"+nodeID+".scope/kubepods/pod"+podUID+"/"+containerID, "", nodeID)
	f("/system.slice/cron.service/kubepods/pod"+podUID, "", "")
	f("/kubepods/poda2f3c4d5e6f708192a3b4c5d6e7f8091/"+containerID+"/kubepods.slice/kubepods-pod"+slice+".slice/pod"+podUID, "a2f3c4d5e6f708192a3b4c5d6e7f8091", containerID)
	f("/kubepods/podx"+podUID+"/y", "", "")
	f("", "", "")
}
