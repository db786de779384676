package bpf

import (
	"debug/elf"
	"debug/gosym"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/link"
	"golang.org/x/arch/x86/x86asm"
)

// goPrograms are loaded only where TLS is looked into.
var goPrograms = map[string]bool{"go_write": true, "go_read": true, "go_done": true, "go_handshake": true}

// goFunctions are those of Go's crypto/tls that have plain text, or tell the
// socket. A linker leaves out what a program does not use.
var goFunctions = [...]struct{ name, enter, leave string }{
	{"crypto/tls.(*Conn).Write", "go_write", "go_done"},
	{"crypto/tls.(*Conn).Read", "go_read", "go_done"},
	{"crypto/tls.(*Conn).clientHandshake", "go_handshake", ""},
	{"crypto/tls.(*Conn).serverHandshake", "go_handshake", ""},
}

// errNotGo is about a file without Go's crypto/tls.
var errNotGo = errors.New("it has no crypto/tls of Go")

// attachGo puts probes on the functions of crypto/tls in a Go program.
func (s *Shim) attachGo(file string) ([]link.Link, error) {
	places, err := goPlaces(file)
	if err != nil {
		return nil, err
	}
	x, err := link.OpenExecutable(file)
	if err != nil {
		return nil, err
	}
	var links []link.Link
	var cookie uint64
	if s.goroutines {
		cookie = goroutineOffsets(file)
	}
	attach := func(program string, offset uint64) error {
		l, err := x.Uprobe("", s.programs.Programs[program], &link.UprobeOptions{Address: offset, Cookie: cookie})
		if err == nil {
			links = append(links, l)
		}
		return err
	}
	for _, p := range places {
		// The returns first: a call that is entered is always left.
		for _, ret := range p.returns {
			err = errors.Join(err, attach(p.leave, ret))
		}
		if err = errors.Join(err, attach(p.enter, p.entry)); err != nil {
			return nil, errors.Join(err, closeAll(links))
		}
	}
	return links, nil
}

// place is where a function begins and is left, as offsets in its file, and the
// programs for that.
type place struct {
	enter, leave string
	entry        uint64
	returns      []uint64
}

// goPlaces finds goFunctions in a Go program, which may be stripped.
func goPlaces(file string) ([]place, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Section(".go.buildinfo") == nil {
		return nil, errNotGo
	}
	find, err := goSymbols(f)
	if err != nil {
		return nil, err
	}
	var places []place
	for _, function := range goFunctions {
		from, to := find(function.name)
		if from >= to || to-from > 1<<16 {
			if function.leave != "" {
				return nil, errNotGo
			}
			continue
		}
		code, offset, err := text(f, from, to)
		if err != nil {
			return nil, err
		}
		p := place{enter: function.enter, leave: function.leave, entry: offset}
		if p.leave != "" {
			if p.returns, err = returnsOf(f.Machine, code); err != nil {
				return nil, fmt.Errorf("read %s: %w", function.name, err)
			}
		}
		for i := range p.returns {
			p.returns[i] += offset
		}
		places = append(places, p)
	}
	return places, nil
}

// goSymbols returns what finds the begin and end of a function: by the symbol
// table, or by the one that Go needs itself and that is never stripped.
func goSymbols(f *elf.File) (find func(name string) (from, to uint64), err error) {
	if all, err := f.Symbols(); err == nil {
		return func(name string) (from, to uint64) {
			for i := range all {
				if all[i].Name == name {
					return all[i].Value, all[i].Value + all[i].Size
				}
			}
			return 0, 0
		}, nil
	}
	section := f.Section(".gopclntab")
	if section == nil {
		section = f.Section(".data.rel.ro.gopclntab")
	}
	code := f.Section(".text")
	if section == nil || code == nil {
		return nil, errNotGo
	}
	lines, err := section.Data()
	if err != nil {
		return nil, err
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(lines, code.Addr))
	if err != nil {
		return nil, err
	}
	return func(name string) (from, to uint64) {
		if fn := table.LookupFunc(name); fn != nil {
			return fn.Entry, fn.End
		}
		return 0, 0
	}, nil
}

// text reads code and returns its offset in the file.
func text(f *elf.File, from, to uint64) (code []byte, offset uint64, err error) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && p.Vaddr <= from && to <= p.Vaddr+p.Filesz {
			code = make([]byte, to-from)
			_, err := p.ReadAt(code, int64(from-p.Vaddr))
			return code, from - p.Vaddr + p.Off, err
		}
	}
	return nil, 0, errNotGo
}

// returnsOf finds the return instructions of a function.
func returnsOf(machine elf.Machine, code []byte) (offsets []uint64, err error) {
	switch machine {
	case elf.EM_X86_64:
		for at := 0; at < len(code); {
			in, err := x86asm.Decode(code[at:], 64)
			if err != nil {
				return nil, fmt.Errorf("instruction at %#x: %w", at, err)
			}
			if in.Op == x86asm.RET {
				offsets = append(offsets, uint64(at))
			}
			at += in.Len
		}
	case elf.EM_AARCH64:
		const ret = 0xd65f03c0
		for at := 0; at+4 <= len(code); at += 4 {
			if binary.LittleEndian.Uint32(code[at:]) == ret {
				offsets = append(offsets, uint64(at))
			}
		}
	}
	if len(offsets) == 0 {
		return nil, errors.New("it has no return")
	}
	return offsets, nil
}

func closeAll(links []link.Link) (err error) {
	for _, l := range links {
		err = errors.Join(err, l.Close())
	}
	return err
}
