package eventtest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/sennit-io/sennit/schemas/event"
)

func TestSeedOneSetsEveryField(t *testing.T) {
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if v.IsZero() {
			t.Errorf("%s is not set", path)
			return
		}
		switch v.Kind() {
		case reflect.Interface, reflect.Pointer:
			walk(path, v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.IsExported() {
					walk(path+"."+f.Name, v.Field(i))
				}
			}
		case reflect.Slice:
			if v.Len() != 2 {
				t.Errorf("%s has %d elements, want 2", path, v.Len())
			}
			for i := range v.Len() {
				walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
			}
		}
	}
	for _, k := range Kinds() {
		walk(k.String(), reflect.ValueOf(Fill(k, 1)))
	}
	if n := len(Kinds()); n != int(event.KindAlias) {
		t.Errorf("%d kinds, want %d", n, event.KindAlias)
	}
}

func TestSameSeedSameEvent(t *testing.T) {
	for _, k := range Kinds() {
		for seed := range uint64(3) {
			if a, b := Fill(k, seed).AppendJSON(nil), Fill(k, seed).AppendJSON(nil); string(a) != string(b) {
				t.Errorf("%s, seed %d: %s, then %s", k, seed, a, b)
			}
		}
	}
}
