package scan

// Ahead returns at most n bytes of the text from the next value on, without
// moving: enough to guess what is coming. They are valid as long as the text.
func (s *JSON) Ahead(n int) []byte {
	s.skipSpace()
	return s.buf[s.pos:min(s.pos+n, len(s.buf))]
}
