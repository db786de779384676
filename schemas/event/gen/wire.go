package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	sennitv1 "github.com/sennit-io/sennit/schemas/proto/sennit/v1"
)

// emitWire writes the protobuf codec of package event. The numbers and wire
// types are those of event.proto.
func emitWire(w *bytes.Buffer, m *model) error {
	fmt.Fprintf(w, header, "event")
	w.WriteString("import \"net/netip\"\n\n")

	root := (*sennitv1.Event)(nil).ProtoReflect().Descriptor()
	w.WriteString("// payloadNumber is the place of a kind's payload in the message Event, 0 for a\n// kind that does not exist.\n")
	w.WriteString("func payloadNumber(k Kind) uint32 {\n\tswitch k {\n")
	for _, p := range m.payloads {
		number, err := payloadField(root, p.name)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "\tcase %s:\n\t\treturn %d\n", strings.Join(kindNames(kindsOf(m, p.name)), ", "), number)
	}
	w.WriteString("\t}\n\treturn 0\n}\n\n")

	w.WriteString("func appendPayloadWire(b []byte, k Kind, p Payload) []byte {\n\ttag := payloadNumber(k)<<3 | wireBytes\n\tswitch v := p.(type) {\n")
	for _, p := range m.payloads {
		fmt.Fprintf(w, "\tcase *%s:\n\t\tb, at := openWire(b, tag)\n\t\treturn closeWire(v.appendWire(b), at)\n", p.name)
	}
	w.WriteString("\t}\n\treturn b\n}\n\n")

	w.WriteString("// payload reads the payload of a kind that a sender may make.\n")
	w.WriteString("func (r *WireReader) payload(k Kind, data []byte, b *Batch) Payload {\n\tswitch k {\n")
	for _, p := range m.payloads {
		ks := slices.DeleteFunc(kindsOf(m, p.name), func(k kind) bool { return k.derived })
		if len(ks) > 0 {
			fmt.Fprintf(w, "\tcase %s:\n\t\tv := b.New%s()\n\t\tr.read%s(v, data, b)\n\t\treturn v\n", strings.Join(kindNames(ks), ", "), p.name, p.name)
		}
	}
	w.WriteString("\t}\n\tr.fail(\"a kind that no sender makes\")\n\treturn nil\n}\n\n")

	for _, o := range slices.Concat(m.payloads, m.parts, []*object{m.event}) {
		desc := root
		if o != m.event {
			desc = sennitv1.File_sennit_v1_event_proto.Messages().ByName(protoreflect.Name(o.name))
		}
		if desc == nil {
			return fmt.Errorf("event.proto has no message %s", o.name)
		}
		if err := emitWireObject(w, m, o, desc); err != nil {
			return err
		}
	}
	return nil
}

func kindNames(ks []kind) []string {
	var names []string
	for _, k := range ks {
		names = append(names, k.name)
	}
	return names
}

func payloadField(root protoreflect.MessageDescriptor, name string) (protoreflect.FieldNumber, error) {
	fields := root.Oneofs().ByName("payload").Fields()
	for i := range fields.Len() {
		if string(fields.Get(i).Message().Name()) == name {
			return fields.Get(i).Number(), nil
		}
	}
	return 0, fmt.Errorf("Event.payload has no %s", name)
}

// numbered is a field with its place on the wire.
type numbered struct {
	field
	number protoreflect.FieldNumber
}

func emitWireObject(w *bytes.Buffer, m *model, o *object, desc protoreflect.MessageDescriptor) error {
	var fields []numbered
	for _, f := range o.fields {
		if f.typ.form == formPayload {
			continue
		}
		d := desc.Fields().ByName(protoreflect.Name(f.key))
		if d == nil {
			return fmt.Errorf("event.proto: %s has no field %s", o.name, f.key)
		}
		fields = append(fields, numbered{f, d.Number()})
	}
	slices.SortFunc(fields, func(a, b numbered) int { return int(a.number - b.number) })

	name := "appendWire"
	if o == m.event {
		name = "appendWireHead"
	}
	fmt.Fprintf(w, "func (v *%s) %s(b []byte) []byte {\n", o.name, name)
	for _, f := range fields {
		x := "v." + f.goName
		if f.typ.form == formList {
			appendWireList(w, f, x)
			continue
		}
		fmt.Fprintf(w, "\tif %s {\n", notZero(f.typ, x))
		appendWireValue(w, f.typ, uint32(f.number), x)
		w.WriteString("\t}\n")
	}
	w.WriteString("\treturn b\n}\n\n")
	if o == m.event {
		return emitWireHead(w, m, fields)
	}
	if !slices.Contains(m.parts, o) && !slices.ContainsFunc(kindsOf(m, o.name), func(k kind) bool { return !k.derived }) {
		return nil // nobody sends it
	}
	batch := needsBatch(m, o)
	arg := ""
	if !slices.Contains(m.parts, o) {
		arg = ", _ *Batch"
		if batch {
			arg = ", b *Batch"
		}
	} else if batch {
		return fmt.Errorf("%s is a part with a list, which the reader's lists do not support", o.name)
	}
	fmt.Fprintf(w, "func (r *WireReader) read%s(v *%s, data []byte%s) {\n", o.name, o.name, arg)
	for _, f := range fields {
		if f.typ.form == formList {
			scratch, _ := listNames(f.typ)
			fmt.Fprintf(w, "\tr.%s = r.%s[:0]\n", scratch, scratch)
		}
	}
	w.WriteString("\tfor f := (wireField{}); ; {\n\t\tif data = r.next(data, &f); f.number == 0 {\n\t\t\tbreak\n\t\t}\n\t\tswitch f.number {\n")
	for _, f := range fields {
		fmt.Fprintf(w, "\t\tcase %d: // %s\n", f.number, f.key)
		readWireValue(w, f.typ, "v."+f.goName)
	}
	w.WriteString("\t\t}\n\t}\n")
	for _, f := range fields {
		if f.typ.form == formList {
			scratch, copyTo := listNames(f.typ)
			fmt.Fprintf(w, "\tv.%s = b.%s(r.%s)\n", f.goName, copyTo, scratch)
		}
	}
	w.WriteString("}\n\n")
	return nil
}

func emitWireHead(w *bytes.Buffer, _ *model, fields []numbered) error {
	w.WriteString("// readHead reads one field of an event's head.\nfunc (r *WireReader) readHead(v *Event, f *wireField) {\n\tswitch f.number {\n")
	for _, f := range fields {
		fmt.Fprintf(w, "\tcase %d: // %s\n", f.number, f.key)
		var one bytes.Buffer
		readWireValue(&one, f.typ, "v."+f.goName)
		w.WriteString(strings.ReplaceAll(one.String(), "&f", "f"))
	}
	w.WriteString("\t}\n}\n\n")
	return nil
}

func listNames(t shape) (scratch, copyTo string) {
	switch {
	case t.elem.form == formAddr:
		return "addrs", "CopyAddrs"
	case t.elem.form == formAddrPort:
		return "addrPorts", "CopyAddrPorts"
	case t.elem.form == formUint16:
		return "ports", "CopyPorts"
	case t.elem.name == "SpanLink":
		return "links", "CopyLinks"
	}
	return "containers", "CopyContainers"
}

func appendWireList(w *bytes.Buffer, f numbered, x string) {
	if f.typ.elem.form == formUint16 {
		fmt.Fprintf(w, "\tif len(%s) > 0 {\n\t\tc, at := openWire(b, %d)\n\t\tfor _, n := range %s {\n\t\t\tc = appendVarint(c, uint64(n))\n\t\t}\n\t\tb = closeWire(c, at)\n\t}\n", x, tag(f.number, wireBytes), x)
		return
	}
	fmt.Fprintf(w, "\tfor i := range %s {\n", x)
	appendWireValue(w, *f.typ.elem, uint32(f.number), x+"[i]")
	w.WriteString("\t}\n")
}

// Wire types of protobuf.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
)

func tag(n protoreflect.FieldNumber, typ uint32) uint32 { return uint32(n)<<3 | typ }

func appendWireValue(w *bytes.Buffer, t shape, number uint32, x string) {
	put := func(typ uint32, format string, args ...any) {
		fmt.Fprintf(w, "\tb = "+format+"\n", append([]any{number<<3 | typ}, args...)...)
	}
	switch t.form {
	case formString:
		if t.name != "" {
			x = "string(" + x + ")"
		}
		put(wireBytes, "appendStringWire(b, %d, %s)", x)
	case formBool:
		put(wireVarint, "append(appendVarint(b, %d), 1)")
	case formCookie:
		if t.name == "SockAddr" {
			put(wireFixed64, "appendFixedWire(b, %d, uint64(%s))", x)
			return
		}
		put(wireVarint, "appendUintWire(b, %d, uint64(%s))", x)
	case formUint16, formUint32, formUint64, formEnum:
		put(wireVarint, "appendUintWire(b, %d, uint64(%s))", x)
	case formInt64:
		put(wireVarint, "appendUintWire(b, %d, uint64(%s<<1)^uint64(%s>>63))", x, x)
	case formTime:
		put(wireFixed64, "appendFixedWire(b, %d, uint64(%s))", x)
	case formHex:
		put(wireBytes, "appendBytesWire(b, %d, %s[:])", x)
	case formHashes:
		put(wireBytes, "%[2]s.appendWire(b, %[1]d)", x)
	case formAddr:
		put(wireBytes, "appendAddrWire(b, %d, netip.AddrPortFrom(%s, 0), false)", x)
	case formAddrPort:
		put(wireBytes, "appendAddrWire(b, %d, %s, true)", x)
	case formStruct:
		fmt.Fprintf(w, "\tc, at := openWire(b, %d)\n\tb = closeWire(%s.appendWire(c), at)\n", number<<3|wireBytes, x)
	}
}

func readWireValue(w *bytes.Buffer, t shape, x string) {
	put := func(format string, args ...any) { fmt.Fprintf(w, "\t\t\t"+format+"\n", args...) }
	switch t.form {
	case formString:
		if t.name != "" {
			put("%s = %s(r.string(&f))", x, t.name)
		} else {
			put("%s = r.string(&f)", x)
		}
	case formBool:
		put("%s = r.uint(&f, 1) == 1", x)
	case formUint16:
		put("%s = uint16(r.uint(&f, 1<<16-1))", x)
	case formUint32:
		put("%s = uint32(r.uint(&f, 1<<32-1))", x)
	case formUint64:
		put("%s = r.uint(&f, 1<<64-1)", x)
	case formInt64:
		put("%s = r.sint(&f)", x)
	case formEnum:
		limit := strings.ToLower(t.name[:1]) + t.name[1:] + "Count-1"
		if t.name == "Proto" {
			limit = "1<<8-1"
		}
		put("%s = %s(r.uint(&f, uint64(%s)))", x, t.name, limit)
	case formCookie:
		if t.name == "SockAddr" {
			put("%s = %s(r.fixed(&f))", x, t.name)
		} else {
			put("%s = %s(r.uint(&f, 1<<64-1))", x, t.name)
		}
	case formTime:
		put("%s = Time(r.fixed(&f))", x)
	case formHex:
		put("r.hex(&f, %s[:])", x)
	case formHashes:
		put("r.hashes(&f, &%s)", x)
	case formAddr:
		put("%s = r.addr(&f)", x)
	case formAddrPort:
		put("%s = r.addrPort(&f)", x)
	case formStruct:
		put("r.read%s(&%s, r.bytes(&f))", t.name, x)
	case formList:
		scratch, _ := listNames(t)
		switch {
		case t.elem.form == formStruct:
			put("f.again = false\n\t\t\tvar e %s\n\t\t\tr.read%s(&e, r.bytes(&f))\n\t\t\tr.%s = append(r.%s, e)", t.elem.name, t.elem.name, scratch, scratch)
		case t.elem.form == formUint16:
			put("r.packedPorts(&f)")
		default:
			var one bytes.Buffer
			readWireValue(&one, *t.elem, "e")
			put("f.again = false\n\t\t\tr.%s = append(r.%s, %s)", scratch, scratch, strings.TrimPrefix(strings.TrimSpace(one.String()), "e = "))
		}
	}
}
