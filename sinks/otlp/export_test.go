package otlp

// SetScope gives the spans another scope, and returns what it was.
func SetScope(name string) (was string) {
	was, scope = scope, name
	return was
}
