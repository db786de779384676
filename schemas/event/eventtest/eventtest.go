// Package eventtest makes events for tests that must not forget a field.
package eventtest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sennit-io/sennit/schemas/event"
)

// Equal makes go-cmp compare addresses as values.
var Equal = cmp.Options{
	cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}),
}

// Kinds returns every kind there is.
func Kinds() []event.Kind {
	var out []event.Kind
	for k := event.Kind(1); event.NewPayload(k) != nil; k++ {
		out = append(out, k)
	}
	return out
}

// Fill returns an event of the kind. Seed 0 has a time and nothing else; seed 1
// has every field of head and payload set, lists with two elements; any other
// seed sets each field or not, by chance. Values are legal: what was written
// from them reads back equal.
func Fill(k event.Kind, seed uint64) *event.Event {
	e := &event.Event{Kind: k, Time: 1, Payload: event.NewPayload(k)}
	if seed == 0 {
		e.ID[0] = 1
		return e
	}
	f := filler{rand.New(rand.NewPCG(seed, uint64(k))), seed == 1}
	f.fill(reflect.ValueOf(e).Elem())
	e.Kind = k
	e.ID[0] |= 1 // an event without an id is given one
	e.Time |= 1  // one without a time is refused
	return e
}

// Value fills any value of package event or timeline in the same way.
func Value(ptr any, seed uint64) {
	f := filler{rand.New(rand.NewPCG(seed, 1)), seed == 1}
	f.fill(reflect.ValueOf(ptr).Elem())
}

type filler struct {
	*rand.Rand
	all bool
}

// enums are the named numbers with the count of their values; those of Proto
// are no run of numbers.
var enums = map[reflect.Type]uint64{
	reflect.TypeFor[event.Source]():   uint64(event.Sources),
	reflect.TypeFor[event.Verdict]():  uint64(event.VerdictReset) + 1,
	reflect.TypeFor[event.Role]():     uint64(event.RoleServer) + 1,
	reflect.TypeFor[event.SpanKind](): uint64(event.SpanKindConsumer) + 1,
	reflect.TypeFor[event.Stage]():    uint64(event.StageToolGroup) + 1,
	reflect.TypeFor[event.Status]():   uint64(event.StatusKilled) + 1,
	reflect.TypeFor[event.Proof]():    uint64(event.ProofSocket) + 1,
	reflect.TypeFor[event.Proto]():    256,
}

var texts = []string{
	"invoice-agent", `quote " and \ back`, "tab\tnewline\n\x00\x1f", "<a href='x'>&</a>", "日本語 🙂", "\u2028\u2029\x7f",
}

func (f *filler) fill(v reflect.Value) {
	if !f.all && v.Kind() != reflect.Struct && v.Kind() != reflect.Interface && f.IntN(3) == 0 {
		return
	}
	switch v.Interface().(type) {
	case netip.Addr:
		v.Set(reflect.ValueOf(f.addr()))
		return
	case netip.AddrPort:
		v.Set(reflect.ValueOf(netip.AddrPortFrom(f.addr(), uint16(f.Uint64()))))
		return
	case event.Time:
		v.SetInt(1 + f.Int64N(7_000_000_000_000_000_000))
		return
	case event.Kind:
		return
	}
	if n, ok := enums[v.Type()]; ok {
		v.SetUint(1 + f.Uint64N(n-1))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	case reflect.Interface:
		f.fill(v.Elem().Elem())
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		n := 2
		if !f.all {
			n = f.IntN(4)
		}
		for range n {
			e := reflect.New(v.Type().Elem()).Elem()
			f.fill(e)
			v.Set(reflect.Append(v, e))
		}
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.String:
		v.SetString(fmt.Sprint(texts[f.IntN(len(texts))], f.IntN(1000)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1 + f.Uint64()>>(64-v.Type().Bits())%(1<<(v.Type().Bits()-1)))
	case reflect.Int64:
		v.SetInt(f.Int64() - 1<<62 | 1)
	case reflect.Float64:
		v.SetFloat(float64(1+f.IntN(1000)) / 1000)
	default:
		panic(fmt.Sprintf("eventtest: no value for a %s", v.Type()))
	}
}

func (f *filler) addr() netip.Addr {
	if f.IntN(2) == 0 {
		var a [4]byte
		for i := range a {
			a[i] = byte(1 + f.IntN(255))
		}
		return netip.AddrFrom4(a)
	}
	a := [16]byte{0x20, 1}
	for i := 8; i < 16; i++ {
		a[i] = byte(f.IntN(256))
	}
	return netip.AddrFrom16(a)
}
