package config

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Schema are the flags of all verbs that one configuration may serve, in the order
// of their help.
type Schema []Verb

// Verb is a verb with its flags.
type Verb struct {
	Name   string
	Groups []Group
}

// Group is a titled part of a verb's flags.
type Group struct {
	Title string
	Flags *pflag.FlagSet
}

// find returns the verb's flag of a name, nil if it has none.
func (v Verb) find(key string) *pflag.Flag {
	for _, g := range v.Groups {
		if f := g.Flags.Lookup(key); f != nil {
			return f
		}
	}
	return nil
}

// find returns the flags of a name, one for each verb that has it.
func (s Schema) find(key string) (out []*pflag.Flag) {
	for _, v := range s {
		if f := v.find(key); f != nil {
			out = append(out, f)
		}
	}
	return out
}

// keys are the names of all flags, each once.
func (s Schema) keys() (out []string) {
	seen := map[string]bool{}
	for _, v := range s {
		for _, g := range v.Groups {
			g.Flags.VisitAll(func(f *pflag.Flag) {
				if !seen[f.Name] {
					seen[f.Name] = true
					out = append(out, f.Name)
				}
			})
		}
	}
	return out
}

// Variable is the name of a key in the environment.
func Variable(key string) string {
	return "SENNIT_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// keyOf is the key that a variable of the environment is for.
func keyOf(variable string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, "SENNIT_"), "_", "-"))
}

// set gives a flag its value: a list where the flag may be given several times,
// else one text.
func set(f *pflag.Flag, values []string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(values)
	}
	return f.Value.Set(values[0])
}

// split reads a list of the environment: commas between, quotes around what has
// commas itself.
func split(f *pflag.Flag, text string) ([]string, error) {
	if _, ok := f.Value.(pflag.SliceValue); !ok {
		return []string{text}, nil
	}
	if text == "" {
		return []string{}, nil
	}
	r := csv.NewReader(strings.NewReader(text))
	fields, err := r.Read()
	if err != nil {
		var parse *csv.ParseError
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return nil, fmt.Errorf("want a list with commas between: %w", err)
	}
	return fields, nil
}

// where a flag's value comes from is kept with the flag.
const annotation = "sennit_origin"

func mark(f *pflag.Flag, origin string) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[annotation] = []string{origin}
}

// Origin says where a flag's value comes from: "default", a file with its line, or
// a variable of the environment.
func Origin(f *pflag.Flag) string {
	if o := f.Annotations[annotation]; len(o) > 0 && !f.Changed {
		return o[0]
	}
	if f.Changed {
		return "flag"
	}
	return "default"
}

// nearest is the word of a list that is most like another, "" if none is like it.
func nearest(to string, words []string) (best string) {
	limit := max(2, len(to)/3)
	for _, w := range words {
		if d := distance(to, w); d <= limit {
			best, limit = w, d-1
		}
	}
	return best
}

// distance is how many letters must be changed, added or left out.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
