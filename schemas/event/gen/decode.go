package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// emitDecode writes the readers of package recording.
func emitDecode(w *bytes.Buffer, m *model) error {
	fmt.Fprintf(w, header, "recording")
	w.WriteString("import (\n\t\"math\"\n\n\t\"github.com/sennit-io/sennit/ingest/scan\"\n\t\"github.com/sennit-io/sennit/schemas/event\"\n)\n\n")

	w.WriteString("// kindOf returns the kind of a name, KindNone for one that no sender makes.\n")
	w.WriteString("func kindOf(name []byte) event.Kind {\n\tswitch string(name) {\n")
	for _, k := range m.kinds {
		if !k.derived {
			fmt.Fprintf(w, "\tcase %q:\n\t\treturn event.%s\n", snake(strings.TrimPrefix(k.name, "Kind")), k.name)
		}
	}
	w.WriteString("\t}\n\treturn event.KindNone\n}\n\n")

	w.WriteString("// payload reads the payload of a kind that kindOf returned.\n")
	w.WriteString("func (d *Decoder) payload(k event.Kind, b *event.Batch) event.Payload {\n\tswitch k {\n")
	made := map[string]bool{}
	for _, p := range m.payloads {
		ks := slices.DeleteFunc(kindsOf(m, p.name), func(k kind) bool { return k.derived })
		if len(ks) == 0 {
			continue
		}
		made[p.name] = true
		var names []string
		for _, k := range ks {
			names = append(names, "event."+k.name)
		}
		fmt.Fprintf(w, "\tcase %s:\n\t\tv := b.New%s()\n\t\td.read%s(v, b)\n\t\treturn v\n", strings.Join(names, ", "), p.name, p.name)
	}
	w.WriteString("\t}\n\treturn nil\n}\n\n")

	if err := emitHead(w, m); err != nil {
		return err
	}
	for _, o := range slices.Concat(m.payloads, m.parts) {
		if !made[o.name] && !slices.Contains(m.parts, o) {
			continue
		}
		batch := needsBatch(m, o)
		arg := ""
		if batch || made[o.name] {
			arg = ", b *event.Batch"
			if !batch {
				arg = ", _ *event.Batch"
			}
		}
		names := emitNames(w, o)
		fmt.Fprintf(w, "func (d *Decoder) read%s(v *event.%s%s) {\n\ts := &d.scan\n\ts.Object()\n", o.name, o.name, arg)
		fmt.Fprintf(w, "\tfor i := s.Member(%s, 0); i >= 0; i = s.Member(%s, i+1) {\n\t\tswitch i {\n", names, names)
		for i, f := range o.fields {
			fmt.Fprintf(w, "\t\tcase %d: // %s\n", i, f.key)
			if err := readValue(w, m, f.typ, "v."+f.goName); err != nil {
				return fmt.Errorf("%s.%s: %w", o.name, f.goName, err)
			}
		}
		w.WriteString("\t\tdefault:\n\t\t\ts.Skip()\n\t\t}\n\t}\n}\n\n")
	}
	return nil
}

func emitNames(w *bytes.Buffer, o *object) string {
	names := "names" + o.name
	fmt.Fprintf(w, "var %s = scan.NewNames(", names)
	for _, f := range o.fields {
		fmt.Fprintf(w, "%q, ", f.key)
	}
	w.WriteString(")\n\n")
	return names
}

// emitHead writes what reads the members of Event itself; kind and payload
// belong together and are read by hand.
func emitHead(w *bytes.Buffer, m *model) error {
	emitNames(w, m.event)
	byHand := []string{"kind", "payload"}
	w.WriteString("// Places in namesEvent of what is not read by readEvent.\nconst (\n")
	for i, f := range m.event.fields {
		if slices.Contains(byHand, f.key) {
			fmt.Fprintf(w, "\tevent%s = %d\n", f.goName, i)
		}
	}
	w.WriteString(")\n\n// readEvent reads the head's member at a place in namesEvent.\n")
	w.WriteString("func (d *Decoder) readEvent(i int, v *event.Event) {\n\tswitch i {\n")
	for i, f := range m.event.fields {
		if slices.Contains(byHand, f.key) {
			continue
		}
		fmt.Fprintf(w, "\tcase %d: // %s\n", i, f.key)
		if err := readValue(w, m, f.typ, "v."+f.goName); err != nil {
			return fmt.Errorf("Event.%s: %w", f.goName, err)
		}
	}
	w.WriteString("\tdefault:\n\t\td.scan.Skip()\n\t}\n}\n\n")
	return nil
}

// needsBatch reports whether reading o copies lists into the batch.
func needsBatch(m *model, o *object) bool {
	for _, f := range o.fields {
		if f.typ.form == formList || f.typ.form == formStruct && needsBatch(m, m.part(f.typ.name)) {
			return true
		}
	}
	return false
}

func (m *model) part(name string) *object {
	i := slices.IndexFunc(m.parts, func(o *object) bool { return o.name == name })
	return m.parts[i]
}

func readValue(w *bytes.Buffer, m *model, t shape, x string) error {
	put := func(format string, args ...any) { fmt.Fprintf(w, "\t\t\t"+format+"\n", args...) }
	switch t.form {
	case formString:
		if t.name != "" {
			put("%s = event.%s(d.string())", x, t.name)
		} else {
			put("%s = d.string()", x)
		}
	case formBool:
		put("%s = s.Bool()", x)
	case formUint16:
		put("%s = uint16(d.uint(math.MaxUint16))", x)
	case formUint32:
		put("%s = uint32(d.uint(math.MaxUint32))", x)
	case formUint64:
		put("%s = s.Uint()", x)
	case formInt64:
		put("%s = s.Int64()", x)
	case formHex:
		put("d.hex(%s[:])", x)
	case formCookie:
		put("%s = event.%s(s.Uint())", x, t.name)
	case formEnum, formHashes:
		put("d.text(&%s)", x)
	case formTime:
		put("%s = d.time()", x)
	case formAddr:
		put("%s = d.addr()", x)
	case formAddrPort:
		put("%s = d.addrPort()", x)
	case formStruct:
		if needsBatch(m, m.part(t.name)) {
			put("d.read%s(&%s, b)", t.name, x)
		} else {
			put("d.read%s(&%s)", t.name, x)
		}
	case formList:
		return readList(w, m, t, x)
	default:
		return fmt.Errorf("form %d cannot be read", t.form)
	}
	return nil
}

// readList fills the decoder's scratch list of the element's type and copies it
// into the batch.
func readList(w *bytes.Buffer, m *model, t shape, x string) error {
	put := func(format string, args ...any) { fmt.Fprintf(w, "\t\t\t"+format+"\n", args...) }
	scratch, copyTo := "", ""
	switch {
	case t.elem.form == formAddr:
		scratch, copyTo = "addrs", "CopyAddrs"
	case t.elem.form == formAddrPort:
		scratch, copyTo = "addrPorts", "CopyAddrPorts"
	case t.elem.form == formUint16:
		scratch, copyTo = "ports", "CopyPorts"
	case t.elem.name == "SpanLink":
		scratch, copyTo = "links", "CopyLinks"
	case t.elem.name == "Container":
		scratch, copyTo = "containers", "CopyContainers"
	default:
		return fmt.Errorf("no list of form %d (%s) in Batch", t.elem.form, t.elem.name)
	}
	put("d.%s = d.%s[:0]", scratch, scratch)
	put("for s.Array(); s.Next(); {")
	if t.elem.form == formStruct {
		put("var e event.%s", t.elem.name)
		if err := readValue(w, m, *t.elem, "e"); err != nil {
			return err
		}
		put("d.%s = append(d.%s, e)", scratch, scratch)
	} else {
		var one bytes.Buffer
		if err := readValue(&one, m, *t.elem, "e"); err != nil {
			return err
		}
		put("d.%s = append(d.%s, %s)", scratch, scratch, strings.TrimPrefix(strings.TrimSpace(one.String()), "e = "))
	}
	put("}")
	put("%s = b.%s(d.%s)", x, copyTo, scratch)
	return nil
}

// snake turns the name of a constant into the event's name for it; a test of
// package recording holds the two together.
func snake(s string) string {
	var b strings.Builder
	for i, c := range s {
		upper := c >= 'A' && c <= 'Z'
		if upper && i > 0 {
			prev, next := s[i-1], byte('A')
			if i+1 < len(s) {
				next = s[i+1]
			}
			if prev >= 'a' && prev <= 'z' || next >= 'a' && next <= 'z' {
				b.WriteByte('_')
			}
		}
		if upper {
			c |= 0x20
		}
		b.WriteRune(c)
	}
	return b.String()
}
