package capture_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// book is a ledger that keeps what it is given.
type book struct {
	mu       sync.Mutex
	begun    int
	released int
	records  []*record.Record
	lost     []string
	refuse   error

	noReceipt error
	receipts  []*record.Record
	largest   int // record that is taken, in bytes; 0: any

	forgotten   int
	refused     int // announcements
	announced   []*record.Record
	settledThen []int // how many records there were at each announcement
}

func (b *book) Begin() { b.mu.Lock(); b.begun++; b.mu.Unlock() }

func (b *book) Settle(r *record.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return b.refuse
	}
	if n := len(r.AppendMeta(nil)) + len(r.RequestBody.Content) + len(r.ResponseBody.Content); b.largest > 0 && n > b.largest {
		return errors.New("too large")
	}
	var kept record.Record // as a store does: through the stored form
	if err := kept.SetMeta(r.EventID, r.AppendMeta(nil)); err != nil {
		return err
	}
	kept.RequestBody.Content = append([]byte(nil), r.RequestBody.Content...)
	kept.ResponseBody.Content = append([]byte(nil), r.ResponseBody.Content...)
	b.records = append(b.records, &kept)
	return nil
}

func (b *book) Announce(r *record.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		b.refused++
		return b.refuse
	}
	kept := record.Record{RequestBody: record.Body{Content: r.RequestBody.Content}}
	if err := kept.SetMeta(r.EventID, r.AppendMeta(nil)); err != nil {
		return err
	}
	b.announced = append(b.announced, &kept)
	b.settledThen = append(b.settledThen, len(b.records))
	return nil
}

func (b *book) Receipt(_ context.Context, r *record.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.noReceipt != nil {
		return b.noReceipt
	}
	var kept record.Record
	if err := kept.SetMeta(r.EventID, r.AppendMeta(nil)); err != nil {
		return err
	}
	b.receipts = append(b.receipts, &kept)
	return nil
}

func (b *book) Forget() { b.mu.Lock(); b.forgotten++; b.mu.Unlock() }

func (b *book) Lose(_ record.ID, reason string) {
	b.mu.Lock()
	b.lost = append(b.lost, reason)
	b.mu.Unlock()
}

// gateway is a server whose calls are captured.
type gateway struct {
	*httptest.Server
	*book
	pipeline *capture.Pipeline
	rules    *capture.Rules
	levels   []capture.Choice
	bodies   capture.Bodies
	facts    capture.Facts
}

// newGateway serves handler behind a capture. What handler returns is treated
// as Caddy treats it: an error is answered by errorRoute, or with its status.
func newGateway(t *testing.T, handler func(http.ResponseWriter, *http.Request) error, errorRoute http.HandlerFunc) *gateway {
	t.Helper()
	redactor, err := redact.New(redact.Options{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{
		book:     new(book),
		facts:    capture.Facts{Proxied: true},
		pipeline: capture.NewPipeline(capture.NewBudget(64<<20), slog.New(slog.DiscardHandler)),
		rules:    &capture.Rules{Source: "shop", RequestBody: 1 << 10, ResponseBody: 1 << 10, Redactor: redactor},
	}
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := g.pipeline.Begin(w, r, capture.Call{
			Rules: g.rules, Ledger: g.book, ClientIP: "192.0.2.1",
			Release: func() { g.mu.Lock(); g.released++; g.mu.Unlock() },
			Levels:  g.levels, Bodies: g.bodies,
			Facts: func(capture.Ending) capture.Facts { return g.facts },
		})
		ending := capture.Ending{}
		func() {
			defer func() {
				if v := recover(); v != nil {
					ending.Panic = v
					x.End(ending)
					panic(v)
				}
			}()
			ending.Err = handler(x.Writer(), r)
		}()
		if ending.Err != nil {
			ending.Status = http.StatusBadGateway
		}
		x.End(ending)
		switch {
		case ending.Err == nil:
		case errorRoute != nil:
			w, answering := x.Answer(w)
			if !answering {
				t.Error("a failed exchange takes no answer")
			}
			defer x.Answered(false)
			errorRoute(w, r)
		default:
			w.WriteHeader(ending.Status)
		}
	}))
	g.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	g.EnableHTTP2 = true
	return g
}

// settled ends the server and returns the one record of its one call.
func (g *gateway) settled(t *testing.T) *record.Record {
	t.Helper()
	g.Server.Close()
	for range 5000 { // the server does not wait for hijacked connections
		g.mu.Lock()
		ended := g.begun > 0 && g.released == g.begun
		g.mu.Unlock()
		if ended {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err := g.pipeline.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.begun != 1 || g.released != 1 || len(g.records) != 1 || len(g.lost) != 0 {
		t.Fatalf("%d begun, %d released, %d records, lost %v: want one call, one record",
			g.begun, g.released, len(g.records), g.lost)
	}
	if used := g.pipeline.Budget().Used(); used != 0 {
		t.Errorf("%d bytes of the budget are still taken", used)
	}
	return g.records[0]
}

// call makes a request and reads its answer to the end.
func (g *gateway) call(t *testing.T, method, path string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := g.Client().Do(r)
	if err != nil {
		return nil, err.Error()
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return res, string(content) + err.Error()
	}
	return res, string(content)
}

var errUpstream = errors.New("dial tcp: connection refused")

func sha256Of(text string) [sha256.Size]byte { return sha256.Sum256([]byte(text)) }
