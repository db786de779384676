package otlp

import (
	"fmt"
	"math"
	"strconv"

	"github.com/sennit-io/sennit/ingest/scan"
	"github.com/sennit-io/sennit/schemas/jsontext"
)

var errDepth = fmt.Errorf("%w: nesting of an attribute over %d", scan.ErrLimit, maxValueDepth)

// maxValueDepth is the nesting of arrays and maps in one value: what fits
// scan.MaxDepth when written as JSON.
const maxValueDepth = 16

// attributeProto reads one KeyValue into a. The error is errWire, or a limit.
func (d *Decoder) attributeProto(a *attrs, msg []byte) error {
	a.count++
	// Fast path: key, then a text or a small number, each in its usual spelling.
	if n := len(msg); n > 2 && msg[0] == tagKey && msg[1] < 0x80 && int(msg[1])+6 < n && a.count <= MaxAttributes {
		key, rest := msg[2:2+msg[1]], msg[2+msg[1]:]
		if m := len(rest); rest[0] == tagValue && int(rest[1]) == m-2 && rest[1] < 0x80 {
			switch {
			case rest[2] == tagStringValue && int(rest[3]) == m-4:
				if k := lookup(key); k != nil {
					a.put(k, value{text: rest[4:m:m], kind: valueText})
				}
				return nil
			case rest[2] == tagIntValue && m == 5 && rest[3] >= 0x80 && rest[4] < 0x80:
				if k := lookup(key); k != nil {
					a.put(k, value{num: int64(rest[3]&0x7f) | int64(rest[4])<<7, kind: valueNumber})
				}
				return nil
			}
		}
	}
	if a.count > MaxAttributes {
		return errAttributes
	}
	var key, val []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagKey:
			key = w.Bytes
		case tagValue:
			val = w.Bytes
		}
	}
	if w.Bad {
		return errWire
	}
	k := lookup(key)
	if k == nil {
		return nil
	}
	v, err := d.valueProto(k, val)
	if err == nil {
		a.put(k, v)
	}
	return err
}

// valueProto reads an AnyValue as far as the slot of k can use it.
func (d *Decoder) valueProto(k *alias, msg []byte) (v value, err error) {
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagStringValue:
			v = value{text: w.Bytes, kind: valueText}
		case tagIntValue:
			v = value{num: int64(w.Num), kind: valueNumber}
		case tagDoubleValue:
			v = wholeNumber(math.Float64frombits(w.Num))
		case tagArrayValue, tagKvlistValue:
			v = value{}
			switch {
			case k.slot == slotToolArgs:
				n := len(d.arena)
				if w.Tag == tagArrayValue {
					d.arena, err = renderArrayProto(d.arena, w.Bytes, 0)
				} else {
					d.arena, err = renderMapProto(d.arena, w.Bytes, 0)
				}
				if err != nil {
					return v, err
				}
				v = value{text: d.arena[n:len(d.arena):len(d.arena)], kind: valueText}
			case k.slot == slotFinish && w.Tag == tagArrayValue:
				if v, err = firstTextProto(w.Bytes); err != nil {
					return v, err
				}
			}
		case tagBoolValue, tagBytesValue:
			v = value{}
		}
	}
	if w.Bad {
		return value{}, errWire
	}
	return v, nil
}

// firstTextProto returns the first text of an ArrayValue.
func firstTextProto(msg []byte) (first value, err error) {
	w := scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag != tagValues {
			continue
		}
		e := scan.Wire{Buf: w.Bytes}
		var text []byte
		for e.Next() {
			if text = nil; e.Tag == tagStringValue {
				text = e.Bytes
			}
		}
		if e.Bad {
			return first, errWire
		}
		if first.kind == valueNone && len(text) > 0 {
			first = value{text: text, kind: valueText}
		}
	}
	if w.Bad {
		return first, errWire
	}
	return first, nil
}

// renderProto appends an AnyValue as renderJSON does.
func renderProto(dst, msg []byte, depth int) ([]byte, error) {
	n := len(dst)
	var err error
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagStringValue:
			dst = jsontext.String(dst[:n], view(w.Bytes))
		case tagBoolValue:
			dst = strconv.AppendBool(dst[:n], w.Num != 0)
		case tagIntValue:
			dst = strconv.AppendInt(dst[:n], int64(w.Num), 10)
		case tagDoubleValue:
			dst = jsontext.Float(dst[:n], math.Float64frombits(w.Num))
		case tagArrayValue:
			dst, err = renderArrayProto(dst[:n], w.Bytes, depth+1)
		case tagKvlistValue:
			dst, err = renderMapProto(dst[:n], w.Bytes, depth+1)
		case tagBytesValue:
			dst = dst[:n]
		}
		if err != nil {
			return dst, err
		}
	}
	if w.Bad {
		return dst, errWire
	}
	if len(dst) == n {
		dst = append(dst, "null"...)
	}
	return dst, nil
}

func renderArrayProto(dst, msg []byte, depth int) ([]byte, error) {
	if depth > maxValueDepth {
		return dst, errDepth
	}
	dst = append(dst, '[')
	n := len(dst)
	var err error
	w := scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag != tagValues {
			continue
		}
		if len(dst) > n {
			dst = append(dst, ',')
		}
		if dst, err = renderProto(dst, w.Bytes, depth); err != nil {
			return dst, err
		}
	}
	if w.Bad {
		return dst, errWire
	}
	return append(dst, ']'), nil
}

func renderMapProto(dst, msg []byte, depth int) ([]byte, error) {
	if depth > maxValueDepth {
		return dst, errDepth
	}
	dst = append(dst, '{')
	n := len(dst)
	var err error
	w := scan.Wire{Buf: msg}
	for w.Next() {
		if w.Tag != tagValues {
			continue
		}
		if len(dst) > n {
			dst = append(dst, ',')
		}
		if dst, err = renderPairProto(dst, w.Bytes, depth); err != nil {
			return dst, err
		}
	}
	if w.Bad {
		return dst, errWire
	}
	return append(dst, '}'), nil
}

// renderPairProto appends one KeyValue as a member of an object.
func renderPairProto(dst, msg []byte, depth int) ([]byte, error) {
	var key, val []byte
	var valued bool
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case tagKey:
			key = w.Bytes
		case tagValue:
			val, valued = w.Bytes, true
		}
	}
	if w.Bad {
		return dst, errWire
	}
	dst = append(jsontext.String(dst, view(key)), ':')
	if !valued {
		return append(dst, "null"...), nil
	}
	return renderProto(dst, val, depth)
}
