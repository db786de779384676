package otlp

import (
	"math"
	"strconv"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/jsontext"
)

// attributesJSON reads a list of attributes into a.
func (d *Decoder) attributesJSON(a *attrs) {
	s := &d.json
	for s.Array(); s.Next(); {
		if a.count++; a.count > MaxAttributes {
			s.Fail(errAttributes)
			return
		}
		if !d.attributeFast(a) {
			d.attributeJSON(a)
		}
	}
}

// attributeFast reads an attribute in the spelling of the collector and of
// every SDK that writes compact JSON. Where it says false nothing has moved.
func (d *Decoder) attributeFast(a *attrs) bool {
	s := &d.json
	start := s.Mark()
	if s.Literal(`{"key":"`) {
		if key, ok := s.Plain(); ok {
			k := lookup(key)
			var v value
			switch {
			case s.Literal(`,"value":{"stringValue":"`):
				if v.text, ok = s.Plain(); ok && s.Literal("}}") {
					if v.kind = valueText; k != nil {
						a.put(k, v)
					}
					return true
				}
			case s.Literal(`,"value":{"intValue":`):
				var n uint64
				if n, ok = s.QuotedUint(); ok && s.Literal("}}") && n <= math.MaxInt64 {
					if k != nil {
						a.put(k, value{num: int64(n), kind: valueNumber})
					}
					return true
				}
			}
		}
	}
	s.Rewind(start)
	return false
}

func (d *Decoder) attributeJSON(a *attrs) {
	s := &d.json
	var k *alias
	var late scan.Mark
	var named, waiting bool
	for s.Object(); s.Next(); {
		switch string(s.Key()) {
		case "key":
			k, named = lookup(s.Bytes()), true
		case "value":
			if named {
				d.valueJSON(a, k)
				continue
			}
			late, waiting = s.Mark(), true
			s.Skip()
		default:
			s.Skip()
		}
	}
	if waiting && s.Err() == nil {
		after := s.Mark()
		s.Rewind(late)
		if d.valueJSON(a, k); s.Err() == nil {
			s.Rewind(after)
		}
	}
}

// valueJSON reads the AnyValue of an attribute as far as its slot can use it.
func (d *Decoder) valueJSON(a *attrs, k *alias) {
	s := &d.json
	if k == nil {
		s.Skip()
		return
	}
	structured := k.slot == slotToolArgs
	for s.Object(); s.Next(); {
		var v value
		switch string(s.Key()) {
		case "stringValue", "string_value":
			v = value{text: s.BytesIn(&d.arena), kind: valueText}
		case "intValue", "int_value":
			v = value{num: s.Int64(), kind: valueNumber}
		case "doubleValue", "double_value":
			v = wholeNumber(float(s))
		case "arrayValue", "array_value", "kvlistValue", "kvlist_value":
			switch {
			case structured:
				v = value{text: d.renderListJSON(), kind: valueText}
			case k.slot == slotFinish && s.Key()[0] == 'a':
				v = d.firstTextJSON()
			default:
				s.Skip()
			}
		default:
			s.Skip()
		}
		if s.Err() == nil {
			a.put(k, v)
		}
	}
}

// wholeNumber is for writers whose numbers are all floating-point.
func wholeNumber(f float64) value {
	if f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return value{}
	}
	return value{num: int64(f), kind: valueNumber}
}

// float reads a number, bare or in quotes, NaN and infinities included.
func float(s *scan.JSON) float64 {
	b := s.Raw()
	if n := len(b); n > 1 && b[0] == '"' {
		b = b[1 : n-1]
	} else if n > 0 && b[0] == 'n' {
		return 0
	}
	if s.Err() != nil {
		return 0
	}
	f, err := strconv.ParseFloat(view(b), 64)
	if err != nil && !math.IsInf(f, 0) {
		s.Fail(scan.Impossible("want a number"))
		return 0
	}
	return f
}

// firstTextJSON reads an ArrayValue and returns its first text.
func (d *Decoder) firstTextJSON() (first value) {
	s := &d.json
	for s.Object(); s.Next(); {
		if string(s.Key()) != "values" {
			s.Skip()
			continue
		}
		for s.Array(); s.Next(); {
			for s.Object(); s.Next(); {
				if key := s.Key(); first.kind == valueNone && (string(key) == "stringValue" || string(key) == "string_value") {
					if b := s.BytesIn(&d.arena); len(b) > 0 {
						first = value{text: b, kind: valueText}
					}
					continue
				}
				s.Skip()
			}
		}
	}
	return first
}

// renderListJSON reads an ArrayValue or KeyValueList and returns it as JSON in
// the arena.
func (d *Decoder) renderListJSON() []byte {
	n := len(d.arena)
	if d.json.Key()[0] == 'a' {
		d.arena = d.renderArrayJSON(d.arena)
	} else {
		d.arena = d.renderMapJSON(d.arena)
	}
	return d.arena[n:len(d.arena):len(d.arena)]
}

// renderJSON appends an AnyValue as JSON. The JSON and the protobuf form of one
// value give the same bytes. Bytes, and values of no type, are null.
func (d *Decoder) renderJSON(dst []byte) []byte {
	s := &d.json
	n := len(dst)
	for s.Object(); s.Next(); { // of two values the last counts
		switch key := s.Key(); string(key) {
		case "stringValue", "string_value":
			dst = jsontext.String(dst[:n], view(s.Bytes()))
		case "intValue", "int_value":
			dst = strconv.AppendInt(dst[:n], s.Int64(), 10)
		case "boolValue", "bool_value":
			dst = strconv.AppendBool(dst[:n], s.Bool())
		case "doubleValue", "double_value":
			dst = jsontext.Float(dst[:n], float(s))
		case "arrayValue", "array_value":
			dst = d.renderArrayJSON(dst[:n])
		case "kvlistValue", "kvlist_value":
			dst = d.renderMapJSON(dst[:n])
		default:
			s.Skip()
		}
	}
	if len(dst) == n {
		dst = append(dst, "null"...)
	}
	return dst
}

func (d *Decoder) renderArrayJSON(dst []byte) []byte {
	s := &d.json
	dst = append(dst, '[')
	n := len(dst)
	for s.Object(); s.Next(); {
		if string(s.Key()) != "values" {
			s.Skip()
			continue
		}
		for s.Array(); s.Next(); {
			if len(dst) > n {
				dst = append(dst, ',')
			}
			dst = d.renderJSON(dst)
		}
	}
	return append(dst, ']')
}

func (d *Decoder) renderMapJSON(dst []byte) []byte {
	s := &d.json
	n := len(dst)
	for s.Object(); s.Next(); {
		if string(s.Key()) == "values" && len(dst) == n {
			dst = d.renderPairsJSON(dst)
			continue
		}
		s.Skip()
	}
	if len(dst) == n {
		dst = append(dst, "{}"...)
	}
	return dst
}

// renderPairsJSON appends a list of KeyValue as a JSON object, in its order.
func (d *Decoder) renderPairsJSON(dst []byte) []byte {
	s := &d.json
	dst = append(dst, '{')
	n := len(dst)
	for s.Array(); s.Next(); {
		if len(dst) > n {
			dst = append(dst, ',')
		}
		// The key first, wherever it stands.
		var val scan.Mark
		var valued bool
		at := len(dst)
		for s.Object(); s.Next(); {
			switch string(s.Key()) {
			case "key":
				dst = jsontext.String(dst[:at], view(s.Bytes()))
			case "value":
				val, valued = s.Mark(), true
				s.Skip()
			default:
				s.Skip()
			}
		}
		if s.Err() != nil {
			return dst
		}
		after := s.Mark()
		if len(dst) == at {
			dst = append(dst, `""`...)
		}
		dst = append(dst, ':')
		if !valued {
			dst = append(dst, "null"...)
			continue
		}
		s.Rewind(val)
		if dst = d.renderJSON(dst); s.Err() != nil {
			return dst
		}
		s.Rewind(after)
	}
	return append(dst, '}')
}
