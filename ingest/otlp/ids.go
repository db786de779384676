package otlp

import "encoding/base64"

// An id in OTLP/JSON is lower-case hex; some writers follow protobuf's JSON and
// give base64 instead. The length tells them apart: 32 digits against 22 to 24
// for a trace id, 16 against 11 or 12 for a span id.

// readID fills dst from the JSON form of an id, or from its bytes.
func (d *Decoder) readID(dst, src []byte) bool {
	if d.binary {
		return len(src) == len(dst) && copy(dst, src) == len(dst)
	}
	if len(src) == 2*len(dst) {
		for i := range dst {
			hi, lo := hexValue[src[2*i]], hexValue[src[2*i+1]]
			if hi|lo > 15 {
				return false
			}
			dst[i] = hi<<4 | lo
		}
		return true
	}
	n := len(src)
	for n > 0 && len(src)-n < 2 && src[n-1] == '=' {
		n--
	}
	if n != base64.RawStdEncoding.EncodedLen(len(dst)) || len(src) != n && len(src)%4 != 0 {
		return false
	}
	enc := base64.RawStdEncoding
	for _, c := range src[:n] {
		if c == '-' || c == '_' {
			enc = base64.RawURLEncoding
			break
		}
	}
	var buf [18]byte // room for what a whole number of quanta may write
	m, err := enc.Decode(buf[:], src[:n])
	return err == nil && copy(dst, buf[:m]) == len(dst)
}

var hexValue = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c - '0'
	}
	for c := byte('a'); c <= 'f'; c++ {
		t[c], t[c-'a'+'A'] = c-'a'+10, c-'a'+10
	}
	return t
}()
