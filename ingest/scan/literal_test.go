package scan

import (
	"fmt"
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	f := func(text, want string, wantOK bool) {
		t.Helper()
		var s JSON
		s.Reset([]byte(text))
		got, ok := s.Plain()
		if string(got) != want || ok != wantOK {
			t.Errorf("Plain of %q: got %q, %v; want %q, %v", text, got, ok, want, wantOK)
		}
		if !ok && s.Pos() != 0 {
			t.Errorf("Plain of %q: moved to %d without success", text, s.Pos())
		}
	}
	for n := range 40 {
		x := strings.Repeat("x", n)
		f(x+`"tail and more of it`, x, true)
		f(x+`"`, x, true)
		f(x, "", false)
		f(x+`\n"`, "", false)
		f(x+"\x1f\"", "", false)
		f(x+"\x00\"", "", false)
		f(x+"\xc3\xa4\"", x+"\xc3\xa4", true)
		f(x+"\xa2\xdc\x80\xff\"", x+"\xa2\xdc\x80\xff", true)
	}
}

func TestQuotedUint(t *testing.T) {
	f := func(text string, want uint64, wantOK bool) {
		t.Helper()
		var s JSON
		s.Reset([]byte(text))
		got, ok := s.QuotedUint()
		if got != want || ok != wantOK {
			t.Errorf("QuotedUint of %q: got %d, %v; want %d, %v", text, got, ok, want, wantOK)
		}
		if moved := s.Pos() != 0; moved != wantOK {
			t.Errorf("QuotedUint of %q: at byte %d", text, s.Pos())
		}
	}
	v := uint64(0)
	for n := 1; n <= 19; n++ {
		v = v*10 + uint64(n%10)
		f(fmt.Sprintf(`"%d"`, v), v, true)
		f(fmt.Sprintf(`"%d",`, v), v, true)
		f(fmt.Sprintf(`"%d"  ,"and more"`, v), v, true)
		f(fmt.Sprintf(`"%d`, v), 0, false)
		f(fmt.Sprintf(`"%dx"`, v), 0, false)
		f(fmt.Sprintf(`"%d:345678"`, v), 0, false)
	}
	f(`"9999999999999999999"`, 9999999999999999999, true)
	f(`"18446744073709551615"`, 0, false)
	f(`""`, 0, false)
	f(`"-1"`, 0, false)
	f(`12345`, 0, false)
	f(`"1234567/"`, 0, false)
}

func TestRewind(t *testing.T) {
	var s JSON
	s.Reset([]byte(`{"late":[1,{"a":"wrong"}],"early":7,"end":true}`))
	var late Mark
	var sum, early uint64
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "late":
			late = s.Mark()
			s.Skip()
		case "early":
			early = s.Uint64()
		default:
			s.Skip()
		}
	}
	after := s.Mark()
	s.Rewind(late)
	for s.Array(); s.Next(); {
		if s.Peek() != '{' {
			sum += s.Uint64()
			continue
		}
		element := s.Mark()
		for s.Object(); s.Next(); {
			s.Uint64() // "wrong" is none
		}
		if s.Err() == nil {
			t.Fatal("a wrong type went unnoticed")
		}
		s.Rewind(element)
		s.Skip()
	}
	s.Rewind(after)
	if err := s.End(); err != nil || sum != 1 || early != 7 {
		t.Errorf("sum %d, early %d, %v; want 1, 7, nil", sum, early, err)
	}
}

func TestBytesIn(t *testing.T) {
	var s JSON
	var arena []byte
	s.Reset([]byte(`["a\tb","plain","c\u0041d","","e\"f"]`))
	var got [][]byte
	for s.Array(); s.Next(); {
		got = append(got, s.BytesIn(&arena))
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%q", got); s != `["a\tb" "plain" "cAd" "" "e\"f"]` {
		t.Errorf("got %s", s)
	}
}
