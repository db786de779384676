package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Secret is a key that requests are signed with. It does not show itself.
type Secret struct{ key []byte }

// String hides the key from logs and messages.
func (Secret) String() string { return "whsec_…" }

// GoString hides the key from %#v.
func (s Secret) GoString() string { return s.String() }

const secretPrefix = "whsec_"

// Lengths of a key that Standard Webhooks allows, in bytes.
const (
	shortestKey = 24
	longestKey  = 64
)

// ParseSecrets reads secrets, one a line: whsec_ and the key in base64. Empty lines
// and those that begin with # are passed over. Requests are signed with each of
// them, so that receivers can go from an old one to a new one.
func ParseSecrets(text string) ([]Secret, error) {
	var list []Secret
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		coded, ok := strings.CutPrefix(line, secretPrefix)
		if !ok {
			return nil, fmt.Errorf("line %d: a secret begins with %s", i+1, secretPrefix)
		}
		key, err := base64.StdEncoding.DecodeString(coded)
		switch {
		case err != nil: // the error would quote the secret
			return nil, fmt.Errorf("line %d: what follows %s is not base64", i+1, secretPrefix)
		case len(key) < shortestKey || len(key) > longestKey:
			return nil, fmt.Errorf("line %d: the key has %d bytes, it must have %d to %d: make one with 'echo %s$(openssl rand -base64 32)'", i+1, len(key), shortestKey, longestKey, secretPrefix)
		}
		list = append(list, Secret{key})
	}
	if len(list) == 0 {
		return nil, errors.New("there is no secret")
	}
	return list, nil
}

// signatures is the header webhook-signature: one for each secret.
func signatures(secrets []Secret, id string, at time.Time, body []byte) string {
	var out []string
	for _, s := range secrets {
		mac := hmac.New(sha256.New, s.key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(out, " ")
}
