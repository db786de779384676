package scan

// skipString returns the offset behind the string whose quote is at i.
func skipString(buf []byte, i int) (int, bool) {
	start := i + 1
	for i = start; ; {
		var closed bool
		i, closed = plainEnd(buf, i)
		switch {
		case i-start > MaxString:
			return 0, false
		case closed:
			return i + 1, true
		case i+1 >= len(buf) || buf[i] != '\\':
			return 0, false
		}
		switch buf[i+1] {
		case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			i += 2
		case 'u':
			if _, ok := hex4(buf, i+2); !ok {
				return 0, false
			}
			i += 6
		default:
			return 0, false
		}
	}
}

// skipValue returns the offset behind the value at i, which lies in depth
// containers. It says false for everything that is wrong or beyond a limit, and
// for what may be: skipSlow decides.
func skipValue(buf []byte, i, depth int) (int, bool) {
	var objects uint64 // one bit for each container opened here: it is an object
	base := depth
	ok := false
value:
	if i = space(buf, i); i >= len(buf) {
		return 0, false
	}
	switch c := buf[i]; c {
	case '"':
		if i, ok = skipString(buf, i); !ok {
			return 0, false
		}
	case '{', '[':
		if depth++; depth > MaxDepth {
			return 0, false
		}
		if i = space(buf, i+1); i >= len(buf) {
			return 0, false
		}
		objects <<= 1
		if c == '{' {
			objects |= 1
		}
		switch {
		case buf[i] == c+2: // '{' and '}', '[' and ']' are two apart
			i++
			objects >>= 1
			depth--
		case c == '{':
			goto name
		default:
			goto value
		}
	case 't':
		if i, ok = skipWord(buf, i, "true"); !ok {
			return 0, false
		}
	case 'f':
		if i, ok = skipWord(buf, i, "false"); !ok {
			return 0, false
		}
	case 'n':
		if i, ok = skipWord(buf, i, "null"); !ok {
			return 0, false
		}
	default:
		if i, ok = skipNumber(buf, i); !ok {
			return 0, false
		}
	}
	for depth > base {
		if i = space(buf, i); i >= len(buf) {
			return 0, false
		}
		switch c := buf[i]; {
		case c == ',':
			i++
			if objects&1 == 1 {
				goto name
			}
			goto value
		case c == '}' && objects&1 == 1, c == ']' && objects&1 == 0:
			i++
			objects >>= 1
			depth--
		default:
			return 0, false
		}
	}
	return i, true
name:
	if i = space(buf, i); i >= len(buf) || buf[i] != '"' {
		return 0, false
	}
	if i, ok = skipString(buf, i); !ok {
		return 0, false
	}
	if i = space(buf, i); i >= len(buf) || buf[i] != ':' {
		return 0, false
	}
	i++
	goto value
}

// space returns the offset of the first byte from i on that is no white space.
func space(buf []byte, i int) int {
	for i < len(buf) && buf[i] <= ' ' && (buf[i] == ' ' || buf[i] == '\n' || buf[i] == '\r' || buf[i] == '\t') {
		i++
	}
	return i
}

func skipWord(buf []byte, i int, word string) (int, bool) {
	end := i + len(word)
	return end, end <= len(buf) && string(buf[i:end]) == word
}

// skipNumber returns the offset behind the number at i, of JSON's grammar.
func skipNumber(buf []byte, i int) (int, bool) {
	if i < len(buf) && buf[i] == '-' {
		i++
	}
	whole := digitsEnd(buf, i)
	if whole == i || buf[i] == '0' && whole > i+1 {
		return 0, false
	}
	if i = whole; i < len(buf) && buf[i] == '.' {
		end := digitsEnd(buf, i+1)
		if end == i+1 {
			return 0, false
		}
		i = end
	}
	if i < len(buf) && buf[i]|0x20 == 'e' {
		if i++; i < len(buf) && (buf[i] == '+' || buf[i] == '-') {
			i++
		}
		end := digitsEnd(buf, i)
		if end == i {
			return 0, false
		}
		i = end
	}
	return i, true
}

func digitsEnd(buf []byte, i int) int {
	for i < len(buf) && buf[i]-'0' <= 9 {
		i++
	}
	return i
}
