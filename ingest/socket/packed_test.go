package socket

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sennit-io/sennit/bpf"
	"github.com/sennit-io/sennit/schemas/event"
)

func packed(t *testing.T, how string, body string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	case "flate":
		w, _ = flate.NewWriter(&b, 6)
	}
	if _, err := io.WriteString(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What is compressed says as much as what is not, however it is cut; what cannot be
// read is counted, and nothing of it stays.
func TestAnswersPacked(t *testing.T) {
	const nothing = "   0/0"
	f := func(how packing, body, want string, unread uint64) {
		t.Helper()
		for _, size := range []int{1, 7, 1000, len(body)} {
			var d Decoder
			a := d.answers.get()
			a.packing = how
			for b := body; len(b) > 0; {
				n := min(size, len(b))
				a.read(&d.answers, []byte(b[:n]))
				b = b[n:]
			}
			e := event.Exchange{HTTP: event.HTTP{Method: "POST"}}
			d.tell(&e, a)
			if got := answerOf(&e); got != want || d.answers.unread != unread {
				t.Errorf("in pieces of %d: got %q with %d unread, want %q and %d", size, got, d.answers.unread, want, unread)
			}
			kept := a.packed[:cap(a.packed)]
			d.answers.put(&a)
			if d.answers.packed != 0 || d.answers.used != 0 {
				t.Errorf("%d bytes and %d answers are kept", d.answers.packed, d.answers.used)
			}
			if bytes.Contains(kept, []byte("chatcmpl")) || len(kept) >= 64 && !bytes.Equal(kept[:64], make([]byte, 64)) {
				t.Error("the compressed bytes are not wiped")
			}
		}
	}
	for body, want := range map[string]string{
		openAI: "chatcmpl-1 gpt-4o-2024-08-06 tool_calls 19/10", openAIStream: "chatcmpl-2 gpt-4o stop 5/6", gemini: "abc-_123 gemini-2.5-flash stop 11/73",
	} {
		f(packingGzip, packed(t, "gzip", body), want, 0)
		f(packingNone, packed(t, "gzip", body), want, 0) // its headers are not known
		f(packingDeflate, packed(t, "zlib", body), want, 0)
		f(packingDeflate, packed(t, "flate", body), want, 0)
	}
	f(packingOther, openAI, nothing, 1)
	f(packingGzip, openAI, nothing, 1)
	f(packingDeflate, "\xff\xff"+openAI, nothing, 1)
	f(packingNone, "<html>", nothing, 1)
	f(packingGzip, packed(t, "gzip", packed(t, "gzip", openAI)), nothing, 1)
	whole := packed(t, "gzip", openAI)
	f(packingGzip, whole[:len(whole)-9], "chatcmpl-1 gpt-4o-2024-08-06 tool_calls 19/10", 1) // its end says whether it is whole
	f(packingGzip, packed(t, "gzip", strings.Repeat(" ", 64<<20)+openAI), nothing, 1)
	noise := make([]byte, maxPacked+1)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(noise)
	f(packingGzip, packed(t, "gzip", string(noise)), nothing, 1)
	f(packingGzip, "", nothing, 0)
}

// What all of them hold is bounded.
func TestAnswersPackedBounded(t *testing.T) {
	var d Decoder
	all := make([]*answer, 0, maxAnswers)
	for a := d.answers.get(); a != nil; a = d.answers.get() {
		a.packing = packingGzip
		a.read(&d.answers, bytes.Repeat([]byte{0x1f}, maxPacked/2))
		all = append(all, a)
	}
	if want := uint64(len(all) - maxAllPacked/(maxPacked/2)); d.answers.packed > maxAllPacked || d.answers.unread != want {
		t.Errorf("%d answers hold %d bytes, %d could not, want %d", len(all), d.answers.packed, d.answers.unread, want)
	}
	for i := range all {
		d.answers.put(&all[i])
	}
	if d.answers.packed != 0 {
		t.Errorf("%d bytes stay", d.answers.packed)
	}
}

// A hole in what is compressed ends it, in HTTP/1 and HTTP/2.
func TestAnswersPackedHoles(t *testing.T) {
	body := packed(t, "gzip", openAI)
	var d Decoder
	x := exchange{active: true, answered: true, answer: d.answers.get()}
	x.answer.packing = packingGzip
	d.body(&x, 0, []byte(body[:20]))
	d.body(&x, 30, []byte(body[30:]))
	e := event.Exchange{HTTP: event.HTTP{Method: "POST"}}
	d.tell(&e, x.answer)
	if answerOf(&e) != "   0/0" || d.answers.unread != 1 {
		t.Errorf("%q, %d unread", answerOf(&e), d.answers.unread)
	}
	a := d.answers.get()
	a.packing = packingGzip
	a.piece(&d.answers, &bpf.Frame{First: bpf.FirstOfFrame, Length: uint32(len(body)), Passed: uint32(len(body))}, nil) // not copied
	d.tell(&e, a)
	if answerOf(&e) != "   0/0" || d.answers.unread != 2 {
		t.Errorf("%q, %d unread", answerOf(&e), d.answers.unread)
	}
}
