package config

import (
	"fmt"
	"regexp"
	"strings"
)

// Apply sets the flags of a verb that were not given: from the environment (in the
// form of os.Environ), else from the file (nil for none), else they keep their
// default. Keys of other verbs are passed over.
func Apply(v Verb, file *File, environ []string) error {
	if file != nil {
		for _, s := range file.settings {
			f := v.find(s.key)
			if f == nil || f.Changed {
				continue
			}
			if err := set(f, s.values); err != nil { // Read has tried it
				return fmt.Errorf("%s: %s: %w", file.path, s.key, err)
			}
			mark(f, fmt.Sprintf("%s:%d", file.path, s.line))
		}
	}
	for name, text := range variables(environ) {
		f := v.find(keyOf(name))
		if f == nil || f.Changed || Variable(f.Name) != name {
			continue
		}
		values, err := split(f, text)
		if err == nil {
			err = set(f, values)
		}
		if err != nil {
			return fmt.Errorf("read the environment: %s: %w", name, err)
		}
		mark(f, name)
	}
	return nil
}

func variables(environ []string) map[string]string {
	out := map[string]string{}
	for _, v := range environ {
		if name, value, ok := strings.Cut(v, "="); ok && strings.HasPrefix(name, "SENNIT_") {
			out[name] = value
		}
	}
	return out
}

// kubernetes are the variables that it sets in every pod for a service that is
// called sennit or sennit-something.
var kubernetes = regexp.MustCompile(`_SERVICE_(HOST|PORT)(_|$)|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$`)

// Unknown returns a warning for each variable that begins as those of Sennit do
// and is none.
func Unknown(s Schema, environ []string) (warnings []string) {
	known := map[string]bool{}
	var names []string
	for _, key := range append(s.keys(), "config") {
		known[Variable(key)] = true
		names = append(names, Variable(key))
	}
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "SENNIT_") || known[name] || kubernetes.MatchString(name) {
			continue
		}
		w := name + " in the environment is not a setting"
		if near := nearest(name, names); near != "" {
			w += ", did you mean " + near + "?"
		}
		warnings = append(warnings, w)
	}
	return warnings
}
