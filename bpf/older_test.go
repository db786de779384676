package bpf

import (
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
	visit(0)
	return from, to
}
