package scan

// Recent is an Intern with a small table in front of it for the strings of the
// moment: one comparison instead of a hash of every byte. The zero value is
// ready. Not for concurrent use.
type Recent struct {
	table [1 << 9]string
	all   Intern
}

// String returns b as a string that is valid for ever.
func (r *Recent) String(b []byte) string {
	n := len(b)
	if n == 0 {
		return ""
	}
	// Names of one family (pods, ids) differ in their length, middle and end.
	h := uint(n) + uint(b[n-1])*31 + uint(b[n/2])*7 + uint(b[0]) + uint(b[n*3/4])*127
	slot := &r.table[h%uint(len(r.table))]
	if *slot != string(b) {
		*slot = r.all.String(b)
	}
	return *slot
}
