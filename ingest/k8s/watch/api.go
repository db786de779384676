package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Connection says how to reach an API server or kubelet, and who asks. What is
// empty is that of the service account of the pod this runs in, if there is one.
type Connection struct {
	URL string
	// CA is the file of certificates to trust, ServerName the name that the
	// server's has if it is not the URL's.
	CA, ServerName string
	// TokenFile is read anew as tokens are replaced. A token is sent over TLS alone.
	TokenFile string
}

// account is the folder of the pod's service account.
const account = "/var/run/secrets/kubernetes.io/serviceaccount"

func (c Connection) config() (*rest.Config, error) {
	if c.URL == "" {
		cfg, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("this runs in no pod of Kubernetes: say where the API server is, and with which certificates and token it is asked")
		} else if err != nil {
			return nil, fmt.Errorf("read the pod's service account: %w", err)
		}
		c.URL = cfg.Host
	}
	cfg := &rest.Config{Host: c.URL, UserAgent: "sennit"}
	if !strings.HasPrefix(c.URL, "https://") {
		if c.TokenFile != "" {
			return nil, fmt.Errorf("%s is not https: a token is not sent in plain text", c.URL)
		}
		return cfg, nil
	}
	cfg.BearerTokenFile, cfg.CAFile, cfg.ServerName = c.TokenFile, c.CA, c.ServerName
	for file, path := range map[*string]string{&cfg.BearerTokenFile: account + "/token", &cfg.CAFile: account + "/ca.crt"} {
		if _, err := os.Stat(path); *file == "" && err == nil {
			*file = path
		}
	}
	if cfg.BearerTokenFile != "" {
		token, err := os.ReadFile(cfg.BearerTokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the token: %w", err)
		}
		if cfg.BearerToken = strings.TrimSpace(string(token)); cfg.BearerToken == "" {
			return nil, fmt.Errorf("read the token: %s is empty", cfg.BearerTokenFile)
		}
	}
	if cfg.CAFile != "" {
		if _, err := os.Stat(cfg.CAFile); err != nil {
			return nil, fmt.Errorf("read the certificates to trust: %w", err)
		}
	}
	return cfg, nil
}

// api lists and watches the pods of the API server.
type api struct {
	pods    cache.ListWatch
	backoff wait.Backoff
}

// API follows the pods that an API server knows; it needs get, list and watch of
// pods. It connects in Run: what is wrong with the files or the URL is known here.
func API(cfg Config, c Connection) (*Source, error) {
	conn, err := c.config()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("prepare to read pods: %w", err)
	}
	conn.APIPath, conn.GroupVersion = "/api", &corev1.SchemeGroupVersion
	conn.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(conn)
	if err != nil {
		return nil, fmt.Errorf("prepare to ask the API server: %w", err)
	}
	a := &api{backoff: wait.Backoff{Duration: time.Second, Cap: 30 * time.Second, Steps: 30, Factor: 2, Jitter: 1}}
	s := newSource(cfg, a)
	ask := func(options *metav1.ListOptions) *rest.Request {
		if cfg.Node != "" {
			options.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", cfg.Node).String()
		}
		return client.Get().Resource("pods").VersionedParams(options, metav1.ParameterCodec)
	}
	a.pods = cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			var list corev1.PodList
			err := ask(&options).Do(ctx).Into(&list)
			s.connected(err)
			return &list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
			options.Watch = true
			w, err := ask(&options).Watch(ctx)
			if err != nil && options.SendInitialEvents != nil { // an older server; it is asked for a list next
				return w, err
			}
			s.connected(err)
			return w, err
		},
	}
	return s, nil
}

func (a *api) follow(ctx context.Context, s *Source) {
	quiet := logr.Discard() // what there is to say, Config.Connected hears
	r := cache.NewReflectorWithOptions(&a.pods, &corev1.Pod{}, (*store)(s), cache.ReflectorOptions{Name: "pods", Logger: &quiet, Backoff: &a.backoff})
	r.RunWithContext(klog.NewContext(ctx, quiet))
}

// store is a cache.ReflectorStore.
type store Source

func encode(object any) ([]byte, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("%T is no pod", object)
	}
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"} // what a list has not
	return json.Marshal(pod)
}

func (s *store) one(object any, ended bool) error {
	text, err := encode(object)
	if err == nil {
		(*Source)(s).take(text, ended)
	}
	return err
}

func (s *store) Add(object any) error    { return s.one(object, false) }
func (s *store) Update(object any) error { return s.one(object, false) }
func (s *store) Delete(object any) error { return s.one(object, true) }
func (s *store) Resync() error           { return nil }

func (s *store) Replace(objects []any, _ string) error {
	texts := make([][]byte, 0, len(objects))
	for _, o := range objects {
		text, err := encode(o)
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	(*Source)(s).replace(texts...)
	return nil
}
