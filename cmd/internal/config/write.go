package config

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/pflag"
)

// Init writes a file with every key, its help and its default, commented out.
func Init(w io.Writer, s Schema) error {
	var b strings.Builder
	comment(&b, "Settings of "+verbs(s, func(Verb) bool { return true })+". A key is a flag without its dashes; as it stands here, behind one #, it has its default. In the environment it is SENNIT_ and its name in capitals, with _ for -, and lists have commas between. A flag wins over the environment, the environment over this file. 'sennit config check FILE' says whether a file is right.")
	seen := map[string]bool{}
	for _, title := range s.titles() {
		fmt.Fprintf(&b, "\n# ---- %s ----\n", title)
		for _, v := range s {
			for _, g := range v.Groups {
				if g.Title != title {
					continue
				}
				g.Flags.VisitAll(func(f *pflag.Flag) {
					if !seen[f.Name] {
						seen[f.Name] = true
						s.describe(&b, f)
					}
				})
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Schema) titles() (out []string) {
	for _, v := range s {
		for _, g := range v.Groups {
			if !slices.Contains(out, g.Title) {
				out = append(out, g.Title)
			}
		}
	}
	return out
}

// describe writes one key. Where verbs differ about it, each has its say.
func (s Schema) describe(b *strings.Builder, first *pflag.Flag) {
	b.WriteString("\n")
	type saying struct{ usage, value string }
	var said []saying
	for _, f := range s.find(first.Name) {
		one := saying{usageOf(f), value(f)}
		if slices.Contains(said, one) {
			continue
		}
		said = append(said, one)
		mine := func(v Verb) bool {
			f := v.find(first.Name)
			if f == nil {
				return false
			}
			return saying{usageOf(f), value(f)} == one
		}
		of := verbs(s, mine)
		text := strings.ToUpper(one.usage[:1]) + one.usage[1:] + "."
		switch {
		case len(said) > 1 && one.usage == said[0].usage:
			text = "For " + of + " the default is " + one.value + "."
		case len(said) > 1 && one.value != said[0].value:
			text += " For " + of + ", and there the default is " + one.value + "."
		case of != verbs(s, func(Verb) bool { return true }):
			text += " For " + of + "."
		}
		comment(b, text)
	}
	fmt.Fprintf(b, "#%s: %s\n", first.Name, said[0].value)
}

// usageOf is the help of a flag, with the words that it takes if these are few.
func usageOf(f *pflag.Flag) string {
	_, usage := pflag.UnquoteUsage(f)
	if typ := f.Value.Type(); strings.Contains(typ, "|") && !strings.Contains(usage, typ) {
		usage += " (" + typ + ")"
	}
	return usage
}

func verbs(s Schema, which func(Verb) bool) string {
	var names []string
	for _, v := range s {
		if which(v) {
			names = append(names, "'sennit "+v.Name+"'")
		}
	}
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " and " + names[n]
	}
	return strings.Join(names, "")
}

// comment writes text in lines of at most 88.
func comment(b *strings.Builder, text string) {
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 88 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// value is a flag's value in YAML.
func value(f *pflag.Flag) string {
	var v any = f.Value.String()
	if list, ok := f.Value.(pflag.SliceValue); ok {
		v = list.GetSlice()
		if len(list.GetSlice()) == 0 {
			return "[]"
		}
	}
	if typ := f.Value.Type(); typ == "bool" || typ == "int" {
		return f.Value.String()
	}
	out, err := yaml.MarshalWithOptions(v, yaml.Flow(true))
	if err != nil { // of text and lists of text: never
		panic(err)
	}
	return strings.TrimSpace(string(out))
}

// password is what stands before the host of a URL.
var password = regexp.MustCompile(`://[^@/,]*@`)

// HidePasswords leaves out users and passwords of the URLs in a text.
func HidePasswords(text string) string { return password.ReplaceAllString(text, "://xxxxx@") }

// Show writes all keys with their values, and where each comes from. Passwords in
// URLs are left out.
func Show(w io.Writer, s Schema) error {
	for _, key := range s.keys() {
		flags := s.find(key)
		line := fmt.Sprintf("%s: %s", key, HidePasswords(value(flags[0])))
		origin := Origin(flags[0])
		for _, f := range flags[1:] {
			if origin == "default" && value(f) != value(flags[0]) {
				other := verbs(s, func(v Verb) bool { return v.find(key) == f })
				origin += fmt.Sprintf("; for %s %s", other, value(f))
			}
		}
		if _, err := fmt.Fprintf(w, "%-39s # %s\n", line, origin); err != nil {
			return err
		}
	}
	return nil
}
