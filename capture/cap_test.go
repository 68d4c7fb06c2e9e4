package capture_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// passed sends body through both taps of an exchange, with those rules, in chunks
// of that size, and returns what was recorded.
func passed(t *testing.T, p *capture.Pipeline, rules *capture.Rules, header http.Header, body string, chunk int) *record.Record {
	t.Helper()
	b := new(book)
	done := make(chan struct{})
	r := httptest.NewRequest("POST", "/", io.NopCloser(strings.NewReader(body)))
	r.Header = header.Clone()
	x := p.Begin(sink{header.Clone()}, r, capture.Call{Rules: rules, Ledger: b, Release: func() { close(done) }})
	w := x.Writer()
	buf := make([]byte, chunk)
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r.Body}, buf); err != nil {
		t.Fatal(err)
	}
	x.End(capture.Ending{})
	<-done
	if len(b.records) != 1 {
		t.Fatalf("%d records, lost %v", len(b.records), b.lost)
	}
	return b.records[0]
}

func newPipeline(t testing.TB) (*capture.Pipeline, *redact.Redactor) {
	t.Helper()
	redactor, err := redact.New(redact.Options{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	p := capture.NewPipeline(capture.NewBudget(256<<20), slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil { // the test's own has ended
			t.Error(err)
		}
		if used := p.Budget().Used(); used != 0 {
			t.Errorf("%d bytes of the budget are still taken", used)
		}
	})
	return p, redactor
}

// However a body is cut into chunks and whatever its coding, the cap counts bytes
// on the wire, and the first byte past it makes the difference.
func TestCapIsExact(t *testing.T) {
	p, redactor := newPipeline(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	var plain strings.Builder
	for plain.Len() < 20_000 {
		fmt.Fprintf(&plain, "line %d\n", rnd.Uint64())
	}
	codings := map[string]func(io.Writer) io.WriteCloser{
		"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"br":   func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
		"zstd": func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
	}
	for _, coding := range []string{"", "gzip", "br", "zstd"} {
		text, wire := plain.String(), plain.String()
		header := http.Header{"Content-Type": {"text/plain"}}
		if open := codings[coding]; open != nil {
			var out bytes.Buffer
			w := open(&out)
			io.WriteString(w, text)
			w.Close()
			wire = out.String()
			header.Set("Content-Encoding", coding)
		}
		for _, chunk := range []int{1, 1000, 4096, 1 << 20} {
			for over := -1; over <= 1; over++ { // how much longer the body is than the cap
				limit := len(wire) - over
				rules := &capture.Rules{Source: "shop", RequestBody: limit, ResponseBody: limit, Redactor: redactor}
				r := passed(t, p, rules, header, wire, chunk)
				for side, b := range map[string]record.Body{"request": r.RequestBody, "response": r.ResponseBody} {
					name := fmt.Sprintf("%s %q in chunks of %d, %+d", side, coding, chunk, over)
					if b.Size != int64(len(wire)) || b.Kept != int64(min(limit, len(wire))) {
						t.Errorf("%s: size %d, kept %d of %d", name, b.Size, b.Kept, len(wire))
					}
					switch {
					case over > 0 && (b.State != record.BodyTruncated || b.Reason != record.ReasonCap || !strings.HasPrefix(text, string(b.Content)) || b.SHA256 != ""):
						t.Errorf("%s: %s, %q, %d bytes", name, b.State, b.Reason, len(b.Content))
					case over <= 0 && (b.State != record.BodyComplete || string(b.Content) != text || b.SHA256 == ""):
						t.Errorf("%s: %s, %q, %d bytes", name, b.State, b.Reason, len(b.Content))
					}
				}
			}
		}
	}
}

// A reader may return its last bytes with the end, or the end alone.
func TestCapIsExactHoweverTheEndComes(t *testing.T) {
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"with the last bytes": iotest.DataErrReader, "after them": iotest.OneByteReader,
	} {
		for over := -1; over <= 1; over++ {
			g := newGateway(t, func(_ http.ResponseWriter, r *http.Request) error {
				_, err := io.Copy(io.Discard, r.Body)
				return err
			}, nil)
			body := strings.Repeat("a", 50)
			g.rules.RequestBody = len(body) - over
			inner := g.Config.Handler
			g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Body = io.NopCloser(wrap(strings.NewReader(body)))
				inner.ServeHTTP(w, r)
			})
			g.Start()
			g.call(t, "POST", "/", strings.NewReader(body))
			want := record.BodyComplete
			if over > 0 {
				want = record.BodyTruncated
			}
			if b := g.settled(t).RequestBody; b.State != want || b.Kept != int64(min(50, 50-over)) {
				t.Errorf("%s, %+d: %+v", name, over, b.BodyInfo)
			}
		}
	}
}

// What an open call holds beside its bodies is accounted for, as what it was sent.
func TestHeaderOfAnAnswerIsTakenOfTheBudget(t *testing.T) {
	p, redactor := newPipeline(t)
	rules := &capture.Rules{Source: "shop", Redactor: redactor}
	done := make(chan struct{})
	header := http.Header{}
	x := p.Begin(sink{header}, httptest.NewRequest("GET", "/", nil), capture.Call{
		Rules: rules, Ledger: new(book), Release: func() { close(done) },
	})
	for i := range 8 {
		header.Set(fmt.Sprintf("X-Long-%d", i), strings.Repeat("a", 8000))
	}
	before := p.Budget().Used()
	x.Writer().WriteHeader(http.StatusOK)
	if taken := p.Budget().Used() - before; taken < 64_000 {
		t.Errorf("%d bytes are taken for a header of 64,000", taken)
	}
	x.End(capture.Ending{})
	<-done
	if used := p.Budget().Used(); used != 0 {
		t.Errorf("%d bytes of the budget are still taken", used)
	}
}

// A handler that has ended without an answer may leave somebody behind who writes.
func TestWhatIsWrittenAfterTheEndIsNotSeen(t *testing.T) {
	p, redactor := newPipeline(t)
	b, done := new(book), make(chan struct{})
	rules := &capture.Rules{Source: "shop", ResponseBody: 100, Redactor: redactor}
	x := p.Begin(sink{http.Header{}}, httptest.NewRequest("GET", "/", nil), capture.Call{
		Rules: rules, Ledger: b, Release: func() { close(done) },
	})
	x.End(capture.Ending{})
	x.Writer().WriteHeader(http.StatusTeapot)
	io.WriteString(x.Writer(), "late")
	<-done
	if r := b.records[0]; r.Status != http.StatusOK || r.ResponseBody.Size != 0 || p.Budget().Used() != 0 {
		t.Errorf("recorded %d, %d bytes; %d of the budget are taken", r.Status, r.ResponseBody.Size, p.Budget().Used())
	}
}

// The steps in which memory runs out: bodies are cut, then withheld, then calls
// are lost. Sizes and digests go on to be there.
func TestMemoryRunsOutStepByStep(t *testing.T) {
	p, redactor := newPipeline(t)
	body := strings.Repeat("a", 40_000)
	rules := &capture.Rules{Source: "shop", RequestBody: 64 << 10, ResponseBody: 0, Redactor: redactor}
	begin := func(read int) (x *capture.Exchange, b *book, done chan struct{}) {
		b, done = new(book), make(chan struct{})
		r := httptest.NewRequest("POST", "/", io.NopCloser(strings.NewReader(body)))
		r.ContentLength = -1
		x = p.Begin(sink{http.Header{}}, r, capture.Call{Rules: rules, Ledger: b, Release: func() { close(done) }})
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(r.Body, int64(read)), make([]byte, 1000))
		return x, b, done
	}
	p.Budget().SetLimit(32 << 10) // a call, and 4 and 16 KiB of its body; not the next step
	first, firstBook, firstDone := begin(len(body))
	taken := p.Budget().Used()
	p.Budget().SetLimit(taken) // nothing for the next, but for itself
	second, secondBook, secondDone := begin(len(body))
	p.Budget().SetLimit(1) // and now calls themselves are too much
	third, thirdBook, thirdDone := begin(len(body))
	third.End(capture.Ending{})
	<-thirdDone
	if len(thirdBook.lost) != 1 || thirdBook.lost[0] != capture.LostMemory {
		t.Errorf("lost %v", thirdBook.lost)
	}
	p.Budget().SetLimit(256 << 20)
	first.End(capture.Ending{})
	second.End(capture.Ending{})
	<-firstDone
	<-secondDone
	want := redactor.Digest(sha256Of(body))
	if b := firstBook.records[0].RequestBody; b.State != record.BodyTruncated || b.Reason != record.ReasonMemory ||
		b.Kept != 16<<10 || b.Size != int64(len(body)) || b.HMACSHA256 != want {
		t.Errorf("the first is %+v", b.BodyInfo)
	}
	if b := secondBook.records[0].RequestBody; b.State != record.BodyWithheld || b.Reason != record.ReasonMemory ||
		b.Kept != 0 || b.Size != int64(len(body)) || b.HMACSHA256 != want {
		t.Errorf("the second is %+v", b.BodyInfo)
	}
}
