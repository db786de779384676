package webhook_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sennit-io/sennit/sinks"
	"github.com/sennit-io/sennit/sinks/webhook"
)

// The programs of the receiver's guide take what this package sends, signed with two
// secrets of which they know one, and nothing that is not signed or is old.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct{ language, file, tool string }{
		{"go", "main.go", "go build -o receiver main.go"}, {"python", "main.py", "python3"}, {"js", "main.js", "node"},
	} {
		t.Run(p.language, func(t *testing.T) {
			_, rest, ok := strings.Cut(string(guide), "```"+p.language+"\n")
			program, _, ok2 := strings.Cut(rest, "```")
			if !ok || !ok2 {
				t.Fatal("the guide has no such program")
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, p.file), []byte(program), 0o600); err != nil {
				t.Fatal(err)
			}
			words := strings.Fields(p.tool)
			tool, err := exec.LookPath(words[0])
			if err != nil {
				t.Skipf("SKIPPED: this machine has no %s", words[0])
			}
			run := []string{tool, filepath.Join(dir, p.file)}
			if len(words) > 1 { // it is compiled
				build := exec.Command(tool, words[1:]...)
				build.Dir = dir
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				run = []string{filepath.Join(dir, "receiver")}
			}
			addr := freeAddress(t)
			cmd := exec.Command(run[0], append(run[1:], addr)...)
			cmd.Env, cmd.Stderr = append(os.Environ(), "SENNIT_SECRET="+oldSecret), os.Stderr
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
				c, err := net.Dial("tcp", addr)
				if err == nil {
					c.Close()
					break
				}
				if time.Now().After(deadline) {
					t.Fatal(err)
				}
			}

			url := "http://" + addr + "/sennit"
			a := sample()
			a.Title = "a tool asked for “credentials”"
			if err := open(t, webhook.Config{URL: url, Secrets: secrets(t, newSecret+"\n"+oldSecret)}).Write(t.Context(), []sinks.Record{record(a)}); err != nil {
				t.Fatal(err)
			}
			said, err := bufio.NewReader(out).ReadString('\n')
			if want := "io.sennit.alert.opened 9f2c 1 High " + a.Title; err != nil || strings.TrimSpace(said) != want {
				t.Errorf("it printed %q, want %q: %v", said, want, err)
			}
			for name, list := range map[string][]webhook.Secret{"another secret": secrets(t, newSecret), "no secret": nil} {
				var failed sinks.Failures
				err := open(t, webhook.Config{URL: url, Secrets: list}).Write(t.Context(), []sinks.Record{record(a)})
				if !errors.As(err, &failed) || !failed[0].Permanent || !strings.Contains(err.Error(), "401") {
					t.Errorf("%s: %v, want it refused", name, err)
				}
			}
			for age, want := range map[time.Duration]int{time.Minute: http.StatusNoContent, 10 * time.Minute: http.StatusUnauthorized, -10 * time.Minute: http.StatusUnauthorized} {
				if got := postSigned(t, url, time.Now().Add(-age)); got != want {
					t.Errorf("a request that is %v old is answered with %d, want %d", age, got, want)
				}
			}
		})
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// postSigned posts an event that the library signed at a time.
func postSigned(t *testing.T, url string, at time.Time) (code int) {
	t.Helper()
	const body = `{"type":"t","data":{"severity":"s","message":"m","finding_info":{"uid":"u"},"unmapped":{"sennit":{"revision":1}}}}`
	signer, err := standardwebhooks.NewWebhook(oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign("id", at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Webhook-Id": "id", "Webhook-Timestamp": strconv.FormatInt(at.Unix(), 10), "Webhook-Signature": fmt.Sprint("v1,AAAA ", signature)} {
		req.Header.Set(name, value)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	return r.StatusCode
}
