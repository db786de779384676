package bpf

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// Linux before 6.3 refuses a loop that the compiler ends by falling through to its
// beginning, with "back-edge from insn"; it follows what falls through first, as
// this does. Loops that end with a jump are fine.
func TestNoFallingLoops(t *testing.T) {
	spec, err := loadShim()
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range spec.Programs {
		if i, j := fallingLoop(p.Instructions); i >= 0 {
			t.Errorf("%s: instruction %d falls through to %d, which is in a loop of both", name, i, j)
		}
	}
	// What it must find, it finds.
	loop := asm.Instructions{
		asm.Mov.Imm(asm.R1, 0),
		asm.Ja.Label("in"),
		asm.Add.Imm(asm.R1, 1).WithSymbol("latch"),
		asm.Mov.Reg(asm.R2, asm.R1).WithSymbol("in"),
		asm.JLT.Imm(asm.R2, 3, "latch"),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
	if i, j := fallingLoop(loop); i != 2 || j != 3 {
		t.Errorf("found %d to %d", i, j)
	}
}

// fallingLoop returns an instruction that falls through to one from which it is
// reached, -1 for none.
func fallingLoop(list asm.Instructions) (from, to int) {
	labels, slots, at := map[string]int{}, map[int]int{}, make([]int, len(list))
	for i, slot := 0, 0; i < len(list); i++ {
		if s := list[i].Symbol(); s != "" {
			labels[s] = i
		}
		slots[slot], at[i] = i, slot
		slot += int(list[i].Width()) // a wide load has two
	}
	const open, done = 1, 2
	state := make([]int, len(list))
	from, to = -1, -1
	var visit func(i int)
	next := func(i, j int, falls bool) {
		switch {
		case j >= len(list) || from >= 0:
		case state[j] == 0:
			visit(j)
		case state[j] == open && falls:
			from, to = i, j
		}
	}
	visit = func(i int) {
		state[i] = open
		op := list[i].OpCode
		jumps := op.Class().IsJump() && op.JumpOp() != asm.Call && op.JumpOp() != asm.Exit
		if !jumps && op.JumpOp() != asm.Exit || jumps && op.JumpOp() != asm.Ja {
			next(i, i+1, !jumps)
		}
		j, named := labels[list[i].Reference()]
		if !named {
			j = slots[at[i]+1+int(list[i].Offset)]
		}
		if jumps {
			next(i, j, false)
		}
		state[i] = done
	}
	for i := range list { // what is called is reached from nowhere
		if state[i] == 0 {
			visit(i)
		}
	}
	return from, to
}

// Linux allows 512 bytes of stack to a program and all that it calls; older ones round
// what each function takes up to 32.
func TestStack(t *testing.T) {
	spec, err := loadShim()
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range spec.Programs {
		if n, path := stack(p.Instructions); n > 512 {
			t.Errorf("%s: %d bytes of stack: %v", name, n, path)
		}
	}
	// What it must count, it counts.
	n, _ := stack(asm.Instructions{
		asm.Mov.Reg(asm.R2, asm.R10).WithSymbol("main"),
		asm.Add.Imm(asm.R2, -40),
		asm.Call.Label("small"),
		asm.Call.Label("large"),
		asm.Return(),
		asm.StoreMem(asm.R10, -8, asm.R1, asm.DWord).WithSymbol("small"),
		asm.Return(),
		asm.LoadMem(asm.R0, asm.R10, -72, asm.DWord).WithSymbol("large"),
		asm.Return(),
	})
	if n != 64+96 {
		t.Errorf("%d bytes of stack, want %d", n, 64+96)
	}
}

// stack returns the most that a program takes, in bytes, and by which calls. Its
// first function is the program.
func stack(list asm.Instructions) (most int, path []string) {
	type function struct {
		takes int
		calls map[string]bool
	}
	called := map[string]bool{}
	for _, in := range list {
		if in.IsFunctionCall() {
			called[in.Reference()] = true
		}
	}
	functions, first, f := map[string]*function{}, list[0].Symbol(), (*function)(nil)
	var based [11]bool // registers that hold the frame's address
	for i, in := range list {
		if s := in.Symbol(); s != "" && (i == 0 || called[s]) {
			f = &function{calls: map[string]bool{}}
			functions[s] = f
		}
		op, offset := in.OpCode, 0
		switch class := op.Class(); {
		case class.IsLoad() && in.Src == asm.R10, class.IsStore() && in.Dst == asm.R10:
			offset = int(in.Offset)
		case class.IsALU() && op.ALUOp() == asm.Add && op.Source() == asm.ImmSource && based[in.Dst]:
			offset = int(in.Constant)
		case in.IsFunctionCall():
			f.calls[in.Reference()] = true
		}
		f.takes = max(f.takes, -offset)
		if op.Class().IsALU() || op.Class().IsLoad() {
			based[in.Dst] = op.Class().IsALU() && op.ALUOp() == asm.Mov && op.Source() == asm.RegSource && in.Src == asm.R10
		}
	}
	var visit func(name string) (int, []string)
	visit = func(name string) (most int, path []string) {
		f := functions[name]
		for callee := range f.calls {
			if n, p := visit(callee); n > most {
				most, path = n, p
			}
		}
		takes := (max(f.takes, 1) + 31) &^ 31
		return most + takes, append([]string{fmt.Sprintf("%s %d", name, f.takes)}, path...)
	}
	return visit(first)
}
