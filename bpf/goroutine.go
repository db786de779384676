package bpf

import (
	"debug/buildinfo"
	"debug/dwarf"
	"debug/elf"
	"strings"
)

// goroutineOffsets says where the runtime of a Go program keeps the number of a
// goroutine (in the low 16 bits) and of the one that started it (above), within
// what the register of goroutines points to. 0 is not known: a number that might
// be another would join what does not belong together.
func goroutineOffsets(file string) uint64 {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return 0
	}
	// Stripped programs do not say, but their version does, where it was read from
	// one that is not.
	if rest, ok := strings.CutPrefix(info.GoVersion, "go1.26"); ok && (rest == "" || rest[0] == '.') {
		return 152 | 280<<16
	}
	return offsetsOfDebugger(file)
}

// offsetsOfDebugger asks what a program says to debuggers.
func offsetsOfDebugger(file string) uint64 {
	f, err := elf.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	d, err := f.DWARF()
	if err != nil {
		return 0
	}
	for r := d.Reader(); ; {
		e, err := r.Next()
		if e == nil || err != nil {
			return 0
		}
		switch e.Tag {
		case dwarf.TagCompileUnit:
			if name, _ := e.Val(dwarf.AttrName).(string); name != "runtime" {
				r.SkipChildren()
			}
		case dwarf.TagStructType:
			if name, _ := e.Val(dwarf.AttrName).(string); name == "runtime.g" {
				return fieldsOfG(d, e.Offset)
			}
			r.SkipChildren()
		default:
			r.SkipChildren()
		}
	}
}

func fieldsOfG(d *dwarf.Data, at dwarf.Offset) uint64 {
	t, err := d.Type(at)
	g, ok := t.(*dwarf.StructType)
	if err != nil || !ok {
		return 0
	}
	var id, parent uint64
	for _, f := range g.Field {
		switch f.Name {
		case "goid":
			id = uint64(f.ByteOffset)
		case "parentGoid":
			parent = uint64(f.ByteOffset)
		}
	}
	if id == 0 || parent == 0 || id > 1<<15 || parent > 1<<15 {
		return 0
	}
	return id | parent<<16
}
