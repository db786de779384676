package live

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
)

var (
	metricName = regexp.MustCompile(`sennit_[a-z_]+`)
	fqName     = regexp.MustCompile(`fqName: "(sennit_[a-z_]+)"`)
)

// TestDocumentedMetrics: what alerting rules and the page for operators name is there.
func TestDocumentedMetrics(t *testing.T) {
	known := map[string]bool{}
	ch := make(chan *prometheus.Desc, 100)
	NewMetrics(prometheus.NewRegistry()).Describe(ch)
	close(ch)
	for d := range ch {
		known[fqName.FindStringSubmatch(d.String())[1]] = true
	}
	check := func(where, text string) (n int) {
		for _, name := range metricName.FindAllString(text, -1) {
			n++
			if !known[name] && !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
		return n
	}
	page, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	check("docs/operations.md", string(page))
	b, err := os.ReadFile("../../../deploy/alerts/sennit.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions(b, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || seen[r.Alert] || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || check(r.Alert, r.Expr) == 0 {
				t.Errorf("rule %+v lacks something, or is there twice", r)
			}
			seen[r.Alert] = true
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d rules", len(seen))
	}
}
