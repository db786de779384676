package main

import (
	"bytes"
	"fmt"
	"slices"
)

// emitPack writes the packed codec of package event: for each struct a set of
// bits that says which fields are there, then their values in the order of the
// declaration.
func emitPack(w *bytes.Buffer, m *model) error {
	fmt.Fprintf(w, header, "event")
	w.WriteString("import \"net/netip\"\n\n")

	w.WriteString("func (p *Packer) payload(v Payload) {\n\tswitch v := v.(type) {\n")
	for i, o := range m.payloads {
		fmt.Fprintf(w, "\tcase *%s:\n\t\tp.buf = append(p.buf, %d)\n\t\tv.pack(p)\n", o.name, i+1)
	}
	w.WriteString("\tdefault:\n\t\tp.buf = append(p.buf, 0)\n\t}\n}\n\n")

	w.WriteString("func (u *unpacker) payload(b *Batch) Payload {\n\tswitch u.byte() {\n")
	for i, o := range m.payloads {
		made := "new(" + o.name + ")"
		if slices.ContainsFunc(kindsOf(m, o.name), func(k kind) bool { return !k.derived }) {
			made = "b.New" + o.name + "()"
		}
		fmt.Fprintf(w, "\tcase %d:\n\t\tv := %s\n\t\tv.unpack(u)\n\t\treturn v\n", i+1, made)
	}
	w.WriteString("\t}\n\treturn nil\n}\n\n")

	w.WriteString("// Clone returns a copy of the event with a payload of its own. Lists are shared:\n// nobody changes them.\nfunc (e *Event) Clone() *Event {\n\tc := *e\n\tswitch v := e.Payload.(type) {\n")
	for _, o := range m.payloads {
		fmt.Fprintf(w, "\tcase *%s:\n\t\tp := *v\n\t\tc.Payload = &p\n", o.name)
	}
	w.WriteString("\t}\n\treturn &c\n}\n\n")

	for _, o := range slices.Concat(m.payloads, m.parts, []*object{m.event}) {
		if err := emitPackObject(w, o); err != nil {
			return err
		}
	}
	return nil
}

func emitPackObject(w *bytes.Buffer, o *object) error {
	fields := slices.DeleteFunc(slices.Clone(o.fields), func(f field) bool {
		return f.typ.form == formPayload || o.name == "Event" && f.goName == "Time" // written first
	})
	if len(fields) > 64 {
		return fmt.Errorf("%s has more fields than the codec has bits", o.name)
	}
	fmt.Fprintf(w, "func (v *%s) pack(p *Packer) {\n\tvar set uint64\n", o.name)
	for i, f := range fields {
		there := notZero(f.typ, "v."+f.goName)
		if f.typ.form == formList {
			there = "len(v." + f.goName + ") > 0"
		}
		fmt.Fprintf(w, "\tif %s {\n\t\tset |= 1 << %d\n\t}\n", there, i)
	}
	w.WriteString("\tp.uint(set)\n")
	for i, f := range fields {
		if f.typ.form == formBool {
			continue // the bit says it
		}
		fmt.Fprintf(w, "\tif set&(1<<%d) != 0 {\n", i)
		packValue(w, f.typ, "v."+f.goName)
		w.WriteString("\t}\n")
	}
	fmt.Fprintf(w, "}\n\nfunc (v *%s) unpack(u *unpacker) {\n\tset := u.uint()\n", o.name)
	for i, f := range fields {
		if f.typ.form == formBool {
			fmt.Fprintf(w, "\tv.%s = set&(1<<%d) != 0\n", f.goName, i)
			continue
		}
		fmt.Fprintf(w, "\tif set&(1<<%d) != 0 {\n", i)
		unpackValue(w, f.typ, "v."+f.goName)
		w.WriteString("\t}\n")
	}
	w.WriteString("}\n\n")
	return nil
}

func packValue(w *bytes.Buffer, t shape, x string) {
	put := func(format string, args ...any) { fmt.Fprintf(w, "\t\t"+format+"\n", args...) }
	switch t.form {
	case formString:
		if t.name != "" {
			x = "string(" + x + ")"
		}
		put("p.string(%s)", x)
	case formUint16, formUint32, formUint64, formCookie:
		put("p.uint(uint64(%s))", x)
	case formInt64:
		put("p.int(%s)", x)
	case formEnum:
		put("p.buf = append(p.buf, byte(%s))", x)
	case formTime:
		put("p.time(%s)", x)
	case formHex:
		put("p.buf = append(p.buf, %s[:]...)", x)
	case formHashes:
		put("p.hashes(&%s)", x)
	case formAddr:
		put("p.addr(%s)", x)
	case formAddrPort:
		put("p.addr(%s.Addr())\n\t\tp.uint(uint64(%s.Port()))", x, x)
	case formStruct:
		put("%s.pack(p)", x)
	case formList:
		put("p.uint(uint64(len(%s)))\n\t\tfor i := range %s {", x, x)
		packValue(w, *t.elem, x+"[i]")
		put("}")
	}
}

func unpackValue(w *bytes.Buffer, t shape, x string) {
	put := func(format string, args ...any) { fmt.Fprintf(w, "\t\t"+format+"\n", args...) }
	switch t.form {
	case formString:
		if t.name != "" {
			put("%s = %s(u.string())", x, t.name)
		} else {
			put("%s = u.string()", x)
		}
	case formUint16:
		put("%s = uint16(u.uint())", x)
	case formUint32:
		put("%s = uint32(u.uint())", x)
	case formUint64:
		put("%s = u.uint()", x)
	case formCookie:
		put("%s = %s(u.uint())", x, t.name)
	case formInt64:
		put("%s = u.int()", x)
	case formEnum:
		put("%s = %s(u.byte())", x, t.name)
	case formTime:
		put("%s = u.time()", x)
	case formHex:
		put("u.raw(%s[:])", x)
	case formHashes:
		put("u.hashes(&%s)", x)
	case formAddr:
		put("%s = u.addr()", x)
	case formAddrPort:
		put("ip := u.addr()\n\t\t%s = netip.AddrPortFrom(ip, uint16(u.uint()))", x)
	case formStruct:
		put("%s.unpack(u)", x)
	case formList:
		name := t.elem.name
		switch t.elem.form {
		case formAddr:
			name = "netip.Addr"
		case formAddrPort:
			name = "netip.AddrPort"
		case formUint16:
			name = "uint16"
		}
		put("%s = make([]%s, u.uint())\n\t\tfor i := range %s {", x, name, x)
		unpackValue(w, *t.elem, x+"[i]")
		put("}")
	}
}
