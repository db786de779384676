// Package wiretest writes protobuf messages as no generated code does, for tests
// of what reads them.
package wiretest

import (
	"math/rand/v2"

	"google.golang.org/protobuf/encoding/protowire"
)

// Mangle returns a message that has been written in a strange way: fields in
// another order, twice, in pieces, as another wire type, with unknown ones
// between, numbers longer than they need be; within embedded messages, too. What
// it says may be another thing than before: generated code has to judge.
func Mangle(r *rand.Rand, msg []byte) []byte {
	list := fields(msg)
	for i := range list {
		f := &list[i]
		if f.kind != protowire.BytesType {
			continue
		}
		sub := fields(f.body)
		if len(sub) == 0 {
			continue
		}
		if r.IntN(3) == 0 {
			f.body = Mangle(r, f.body)
		}
		if r.IntN(6) == 0 {
			cut := r.IntN(len(sub) + 1)
			f.body = join(sub[:cut])
			list = append(list, field{f.num, f.kind, join(sub[cut:]), 0})
		}
	}
	if len(list) == 0 {
		return msg
	}
	for range r.IntN(4) {
		i, j := r.IntN(len(list)), r.IntN(len(list))
		switch r.IntN(6) {
		case 0:
			list[i], list[j] = list[j], list[i]
		case 1:
			list = append(list, list[i])
		case 2: // a value for another field
			list = append(list, field{list[i].num, list[j].kind, list[j].body, list[j].n})
		case 3:
			list = append(list, field{1<<29 - 1, protowire.StartGroupType, list[i].append(nil), 0})
		case 4: // a oneof's other choice, perhaps
			list = append(list, field{protowire.Number(1 + r.IntN(40)), list[i].kind, list[i].body, list[i].n})
		case 5:
			list = append(list, field{list[i].num, protowire.VarintType, nil, r.Uint64() >> r.IntN(64)})
		}
	}
	return join(list)
}

type field struct {
	num  protowire.Number
	kind protowire.Type
	body []byte // of a length-delimited field, the fields of a group
	n    uint64
}

// fields returns those of a message, none for what is no message.
func fields(msg []byte) (list []field) {
	for len(msg) > 0 {
		f := field{}
		n := 0
		f.num, f.kind, n = protowire.ConsumeTag(msg)
		if n < 0 {
			return nil
		}
		msg = msg[n:]
		switch f.kind {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(msg)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(msg)
			f.n = uint64(v)
		case protowire.Fixed64Type:
			f.n, n = protowire.ConsumeFixed64(msg)
		case protowire.BytesType:
			f.body, n = protowire.ConsumeBytes(msg)
		case protowire.StartGroupType:
			f.body, n = protowire.ConsumeGroup(f.num, msg)
		default:
			return nil
		}
		if n < 0 {
			return nil
		}
		msg = msg[n:]
		list = append(list, f)
	}
	return list
}

func join(list []field) []byte {
	msg := []byte{}
	for _, f := range list {
		msg = f.append(msg)
	}
	return msg
}

func (f field) append(msg []byte) []byte {
	msg = protowire.AppendTag(msg, f.num, f.kind)
	switch f.kind {
	case protowire.VarintType:
		msg = protowire.AppendVarint(msg, f.n)
		if f.n%5 == 1 && f.n < 1<<40 { // longer than it need be
			msg[len(msg)-1] |= 0x80
			msg = append(msg, 0x80, 0)
		}
	case protowire.Fixed32Type:
		msg = protowire.AppendFixed32(msg, uint32(f.n))
	case protowire.Fixed64Type:
		msg = protowire.AppendFixed64(msg, f.n)
	case protowire.BytesType:
		msg = protowire.AppendBytes(msg, f.body)
	case protowire.StartGroupType:
		msg = protowire.AppendTag(append(msg, f.body...), f.num, protowire.EndGroupType)
	}
	return msg
}
