package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/nats-io/nats-server/v2/server"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const manifests = "../../deploy/kubernetes"

// strictly decodes one document of YAML as a type of Kubernetes; a member that the
// type does not have is an error, as kubectl --validate=strict has it.
func strictly(doc []byte, into any) error {
	b, err := yaml.YAMLToJSON(doc)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// podInManifest decodes a document and returns its pod, nil for what has none, and the names
// of the volumes that are made for it.
func podInManifest(doc []byte) (name string, pod *corev1.PodSpec, claims []string, err error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		return "", nil, nil, err
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "apps/v1 StatefulSet":
		var s appsv1.StatefulSet
		err = strictly(doc, &s)
		for _, c := range s.Spec.VolumeClaimTemplates {
			claims = append(claims, c.Name)
		}
		if err == nil && !matches(s.Spec.Selector, s.Spec.Template.Labels) {
			err = fmt.Errorf("its selector does not choose its pods")
		}
		return s.Name, &s.Spec.Template.Spec, claims, err
	case "apps/v1 DaemonSet":
		var d appsv1.DaemonSet
		err = strictly(doc, &d)
		if err == nil && !matches(d.Spec.Selector, d.Spec.Template.Labels) {
			err = fmt.Errorf("its selector does not choose its pods")
		}
		return d.Name, &d.Spec.Template.Spec, nil, err
	case "v1 Service":
		return "", nil, nil, strictly(doc, &corev1.Service{})
	case "v1 ServiceAccount":
		return "", nil, nil, strictly(doc, &corev1.ServiceAccount{})
	case "rbac.authorization.k8s.io/v1 ClusterRole":
		return "", nil, nil, strictly(doc, &rbacv1.ClusterRole{})
	case "rbac.authorization.k8s.io/v1 ClusterRoleBinding":
		return "", nil, nil, strictly(doc, &rbacv1.ClusterRoleBinding{})
	case "v1 Namespace":
		return "", nil, nil, strictly(doc, &corev1.Namespace{})
	case "policy/v1 PodDisruptionBudget":
		return "", nil, nil, strictly(doc, &policyv1.PodDisruptionBudget{})
	}
	return "", nil, nil, fmt.Errorf("%s %s is not known to this test", kind.APIVersion, kind.Kind)
}

func matches(s *metav1.LabelSelector, labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		if labels[k] != v {
			return false
		}
	}
	return len(s.MatchLabels) > 0
}

var variable = regexp.MustCompile(`\$\((\w+)\)`)

// TestManifests: the manifests are what Kubernetes takes, and what they say to sennit
// is what it takes.
func TestManifests(t *testing.T) {
	var k struct {
		APIVersion         string `yaml:"apiVersion"`
		Kind, Namespace    string
		Resources          []string
		ConfigMapGenerator []struct {
			Name  string
			Files []string
		} `yaml:"configMapGenerator"`
	}
	b, err := os.ReadFile(filepath.Join(manifests, "kustomization.yaml"))
	if err == nil {
		err = yaml.UnmarshalWithOptions(b, &k, yaml.Strict())
	}
	if err != nil {
		t.Fatal(err)
	}
	pods := 0
	for _, file := range k.Resources {
		b, err := os.ReadFile(filepath.Join(manifests, file))
		if err != nil {
			t.Fatal(err)
		}
		for i, doc := range strings.Split(string(b), "\n---\n") {
			name, pod, claims, err := podInManifest([]byte(doc))
			if err != nil {
				t.Errorf("%s, document %d: %v", file, i+1, err)
				continue
			}
			if pod == nil {
				continue
			}
			pods++
			var volumes []string
			for _, v := range pod.Volumes {
				volumes = append(volumes, v.Name)
				if m := v.ConfigMap; m != nil && (len(k.ConfigMapGenerator) != 1 || k.ConfigMapGenerator[0].Name != m.Name) {
					t.Errorf("%s: nobody makes the config map %s", name, m.Name)
				}
			}
			checkContainer(t, name, &pod.Containers[0], append(volumes, claims...))
		}
	}
	if pods != 3 {
		t.Errorf("%d pods are described", pods)
	}
}

func checkContainer(t *testing.T, name string, c *corev1.Container, volumes []string) {
	t.Helper()
	if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation {
		t.Errorf("%s may write to its root, or gain privileges", name)
	}
	var mounted []string
	for _, m := range c.VolumeMounts {
		mounted = append(mounted, m.MountPath)
		if !slices.Contains(volumes, m.Name) {
			t.Errorf("%s mounts %s, which is no volume", name, m.Name)
		}
	}
	ports := map[string]int32{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	for _, p := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if p != nil && ports[p.HTTPGet.Port.StrVal] == 0 {
			t.Errorf("%s is probed at %s, which is no port", name, p.HTTPGet.Port.StrVal)
		}
	}
	if c.Image != "sennit" {
		return
	}
	for _, arg := range c.Args {
		for _, m := range variable.FindAllStringSubmatch(arg, -1) {
			if !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == m[1] }) {
				t.Errorf("%s: %s names a variable that is not set", name, arg)
			}
		}
		_, path, _ := strings.Cut(arg, "=/")
		if path != "" && !slices.ContainsFunc(mounted, func(m string) bool { return strings.HasPrefix("/"+path, m) }) {
			t.Errorf("%s: %s is not mounted", name, arg)
		}
	}
	cmd, rest, err := newRoot().Find(c.Args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil || cmd.Name() != c.Args[0] || cmd.Flags().NArg() > 0 {
		t.Fatalf("%s: sennit %s: %v, left are %v", name, strings.Join(c.Args, " "), err, cmd.Flags().Args())
	}
	if listen := cmd.Flag("http").Value.String(); !strings.HasSuffix(listen, fmt.Sprint(":", ports["metrics"])) {
		t.Errorf("%s listens on %s, its port is %d", name, listen, ports["metrics"])
	}
}

// TestManifestOfTheBus: nats-server takes the configuration, with the users that
// nats-config makes, and an envelope fits.
func TestManifestOfTheBus(t *testing.T) {
	dir := t.TempDir()
	conf, err := os.ReadFile(filepath.Join(manifests, "nats.conf"))
	if err != nil {
		t.Fatal(err)
	}
	sennit(t, "nats-config", "--nodes", "a", "--out", filepath.Join(dir, "users"))
	if err := os.Mkdir(filepath.Join(dir, "tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	newAuthority(t, dir).issue(t, filepath.Join(dir, "tls", "tls.crt"))
	if err := os.Rename(filepath.Join(dir, "tls", "tls.crt.key"), filepath.Join(dir, "tls", "tls.key")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, bytes.ReplaceAll(conf, []byte("/etc/nats/"), []byte(dir+"/")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POD_NAME", "nats-0")
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !opts.SyncAlways || opts.MaxPayload != 2<<20 && opts.MaxPayload != 2_000_000 || opts.TLSConfig == nil || len(opts.Nkeys) != 5 || opts.ServerName != "nats-0" {
		t.Errorf("sync %v, max_payload %d, TLS %v, %d users, name %s", opts.SyncAlways, opts.MaxPayload, opts.TLSConfig != nil, len(opts.Nkeys), opts.ServerName)
	}
	t.Logf("max_payload %d, sync %v, %d users", opts.MaxPayload, opts.SyncAlways, len(opts.Nkeys))
}
