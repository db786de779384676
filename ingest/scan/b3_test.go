package scan

import "testing"

func TestB3(t *testing.T) {
	f := func(in, trace, span string) {
		t.Helper()
		tc, ok := B3([]byte(in))
		if ok != (trace != "") {
			t.Fatalf("B3(%q) ok = %v", in, ok)
		}
		if ok && (tc.TraceID.String() != trace || tc.SpanID.String() != span || tc.Format != "b3") {
			t.Fatalf("B3(%q) = %s %s %s, want %s %s", in, tc.TraceID, tc.SpanID, tc.Format, trace, span)
		}
	}
	const trace, span = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1"
	f(trace+"-"+span+"-1-05e3ac9a4f6e3b90", trace, span)
	f(trace+"-"+span, trace, span)
	f("64fe8b2a57d3eff7-"+span+"-1", "000000000000000064fe8b2a57d3eff7", span)
	f("0", "", "")
	f("", "", "")
	f(trace, "", "")
	f(trace+"-0000000000000000", "", "")
	f("00000000000000000000000000000000-"+span, "", "")
	f(trace+"-e457b5a2e4d86bd", "", "")
}
