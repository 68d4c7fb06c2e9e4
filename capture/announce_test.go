package capture_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// patience is how long tests wait for what must come.
const patience = time.Minute

// until waits for what must come, under the lock of g.
func (g *gateway) until(t *testing.T, come func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(5 * time.Millisecond) {
		g.mu.Lock()
		ok := come()
		g.mu.Unlock()
		if ok {
			return
		}
	}
	t.Error("what must come did not")
}

func TestCallThatTakesLongIsAnnouncedOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		streams bool
		status  int
		project string
		claimed string
	}{
		"a long poll": {false, 0, "", "of /wait"}, // the path is all that is known
		"a stream":    {true, 200, "p", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g *gateway
			g = newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
				io.Copy(io.Discard, r.Body)
				if tc.streams {
					w.Header().Set("Content-Type", "text/event-stream")
					w.Header().Set("Set-Cookie", "s3cret")
					io.WriteString(w, "data: 1\n\n")
					_ = http.NewResponseController(w).Flush()
				}
				g.until(t, func() bool { return len(g.announced) > 0 })
				time.Sleep(3 * time.Second / 2) // another look would be due
				io.WriteString(w, "data: 2\n\n")
				return nil
			}, nil)
			g.rules.StreamBody, g.rules.Policy = 1<<10, "0123456789abcdef"
			g.rules.Project = func(path string) (string, []string) { return "of " + path, nil }
			g.facts = capture.Facts{Project: "p", Actor: record.Actor{UserID: "u", AuthMethod: "caddy"}}
			g.Start()
			g.call(t, "POST", "/wait?token=s3cret&x=1", strings.NewReader("hello"), "X-Api-Key", "s3cret", "X-Request-Id", "req-1")
			r := g.settled(t)
			if len(g.announced) != 1 || g.settledThen[0] != 0 {
				t.Fatalf("announced %d times, after %v records", len(g.announced), g.settledThen)
			}
			a := g.announced[0]
			for what, pair := range map[string][2]any{
				"id":            {a.EventID, r.EventID},
				"timestamp":     {a.Timestamp, r.Timestamp},
				"end":           {a.EndTime, time.Time{}},
				"outcome":       {a.Outcome, record.OutcomeInProgress},
				"success":       {a.Success, record.SuccessUnknown},
				"status":        {a.Status, tc.status},
				"source":        {a.Source, "shop"},
				"policy":        {a.Policy, r.Policy},
				"method":        {a.Method, "POST"},
				"uri":           {a.URI, "/wait"},
				"query":         {a.Query, r.Query},
				"project":       {a.Project, tc.project},
				"claimed":       {a.ClaimedProject, tc.claimed},
				"final project": {r.Project, "p"},
				"request id":    {a.RequestID, "req-1"},
				"request size":  {a.RequestBody.Size, int64(5)},
				"request state": {a.RequestBody.State, record.BodyStreamed},
				"request kept":  {len(a.RequestBody.Content), 0},
				"key":           {a.RequestHeaders.Get("X-Api-Key"), r.RequestHeaders.Get("X-Api-Key")},
				"cookie":        {a.ResponseHeaders.Get("Set-Cookie"), r.ResponseHeaders.Get("Set-Cookie")},
				"final":         {r.Outcome, record.OutcomeComplete},
				"final body":    {strings.HasSuffix(string(r.ResponseBody.Content), "data: 2\n\n"), true},
				"final request": {string(r.RequestBody.Content), "hello"},
			} {
				if pair[0] != pair[1] {
					t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
				}
			}
			if tc.streams && (a.UserID != "u" || a.ResponseBody.Size != 9) {
				t.Errorf("announced user %q, %d bytes", a.UserID, a.ResponseBody.Size)
			}
			if strings.Contains(a.Query+a.RequestHeaders.Get("X-Api-Key")+a.ResponseHeaders.Get("Set-Cookie"), "s3cret") {
				t.Error("a secret was announced")
			}
		})
	}
}

// What may yet be forgotten is not announced: nobody could take that back.
func TestCallThatMayBeForgottenIsAnnouncedWhenThatIsDecided(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"kept": 200, "forgotten": 404} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var g *gateway
			g = newGateway(t, func(w http.ResponseWriter, _ *http.Request) error {
				time.Sleep(3 * time.Second / 2)
				g.mu.Lock()
				early := len(g.announced)
				g.mu.Unlock()
				if early != 0 {
					t.Error("announced before it is known whether it is forgotten")
				}
				w.WriteHeader(status)
				_ = http.NewResponseController(w).Flush()
				if status == 200 {
					g.until(t, func() bool { return len(g.announced) > 0 })
				} else {
					time.Sleep(3 * time.Second / 2)
				}
				return nil
			}, nil)
			g.levels = []capture.Choice{on(t, capture.None, "4xx"), on(t, capture.Full)}
			g.Start()
			g.call(t, "GET", "/", nil)
			if status == 200 {
				if g.settled(t); len(g.announced) != 1 {
					t.Errorf("announced %d times", len(g.announced))
				}
				return
			}
			g.Server.Close()
			if err := g.pipeline.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(g.announced)+len(g.records)+len(g.lost) != 0 || g.forgotten != 1 || g.released != 1 {
				t.Errorf("%d announced, %d records, lost %v, %d forgotten", len(g.announced), len(g.records), g.lost, g.forgotten)
			}
		})
	}
}

func TestCallThatWasAnnouncedIsNotForgotten(t *testing.T) {
	t.Parallel()
	g := newGateway(t, nil, nil)
	g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := g.pipeline.Begin(w, r, capture.Call{
			Rules: g.rules, Ledger: g.book, Release: func() { g.mu.Lock(); g.released++; g.mu.Unlock() },
		})
		g.until(t, func() bool { return len(g.announced) > 0 })
		x.Join(g.rules, []capture.Choice{{Level: capture.None}}, capture.BodiesDefault, nil)
		io.Copy(io.Discard, r.Body)
		x.End(capture.Ending{})
	})
	g.Start()
	g.call(t, "POST", "/", strings.NewReader("hello"))
	if r := g.settled(t); r.RequestBody.Reason != record.ReasonLevel || g.forgotten != 0 {
		t.Errorf("recorded %+v, %d forgotten", r.RequestBody.BodyInfo, g.forgotten)
	}
}

func TestCallWhoseAnnouncementIsRefusedIsRecorded(t *testing.T) {
	t.Parallel()
	var g *gateway
	g = newGateway(t, func(http.ResponseWriter, *http.Request) error {
		g.until(t, func() bool { return g.refused > 0 })
		g.mu.Lock()
		g.refuse = nil
		g.mu.Unlock()
		return nil
	}, nil)
	g.refuse = errors.New("full")
	g.Start()
	g.call(t, "GET", "/", nil)
	if g.settled(t); g.refused != 1 || len(g.announced) != 0 {
		t.Errorf("%d refused, %d announced", g.refused, len(g.announced))
	}
}

// One that ends while its announcement is on the way, and that nobody can make a
// record of any more.
func TestCallThatIsLostIsNotAnnounced(t *testing.T) {
	for name, tc := range map[string]struct {
		levels          []capture.Choice
		lost, forgotten int
	}{
		"a loss":             {nil, 1, 0},
		"a call to forget":   {[]capture.Choice{on(t, capture.None, "2xx"), on(t, capture.Full)}, 0, 1},
		"a call like others": {[]capture.Choice{on(t, capture.None, "4xx"), on(t, capture.Full)}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil, nil)
			if err := g.pipeline.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			x := g.pipeline.Begin(sink{http.Header{}}, httptest.NewRequest("GET", "/", nil), capture.Call{
				Rules: g.rules, Ledger: g.book, Levels: tc.levels, Release: func() { g.released++ },
			})
			announce := g.pipeline.Overdue()
			x.End(capture.Ending{})
			announce()
			if len(g.announced) != 0 || len(g.lost) != tc.lost || g.forgotten != tc.forgotten || g.released != 1 {
				t.Errorf("%d announced, lost %v, %d forgotten, %d released", len(g.announced), g.lost, g.forgotten, g.released)
			}
		})
	}
}

// strict is a ledger that knows in which order things may come.
type strict struct {
	t                   *testing.T
	mu                  sync.Mutex
	announced           map[record.ID]bool
	settled             map[record.ID]bool
	forgotten, released int
}

func (s *strict) Begin() {}

func (s *strict) Announce(r *record.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.announced[r.EventID] || s.settled[r.EventID] {
		s.t.Errorf("announced again, or after its record")
	}
	s.announced[r.EventID] = true
	return nil
}

func (s *strict) Receipt(_ context.Context, r *record.Record) error { return s.Announce(r) }

func (s *strict) Settle(r *record.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled[r.EventID] = true
	return nil
}

func (s *strict) Lose(_ record.ID, reason string) { s.t.Errorf("a call was lost: %s", reason) }

func (s *strict) Forget() { s.mu.Lock(); s.forgotten++; s.mu.Unlock() }

// sink is a response writer that goes nowhere.
type sink struct{ header http.Header }

func (s sink) Header() http.Header         { return s.header }
func (s sink) Write(p []byte) (int, error) { return len(p), nil }
func (s sink) WriteHeader(int)             {}

// Thousands become old at once, while they end, answer and are joined: the clock stands
// still until all that happens at one time has happened.
func TestAnnouncementNeverComesAfterTheRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const calls = 4000
		redactor, err := redact.New(redact.Options{Key: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		s := &strict{t: t, announced: map[record.ID]bool{}, settled: map[record.ID]bool{}}
		rules := &capture.Rules{Source: "shop", ResponseBody: 1 << 10, StreamBody: 1 << 10, Redactor: redactor}
		p := capture.NewPipeline(capture.NewBudget(64<<20), slog.New(slog.DiscardHandler))
		levels := []capture.Choice{on(t, capture.None, "4xx"), on(t, capture.Full)}
		var ending sync.WaitGroup
		for i := range calls {
			r := httptest.NewRequest("GET", "/?token=s3cret", nil)
			r.Header.Set("Cookie", "s3cret")
			call := capture.Call{Rules: rules, Ledger: s, Release: func() { s.mu.Lock(); s.released++; s.mu.Unlock() }}
			if i%4 == 0 {
				call.Levels = levels
			}
			x := p.Begin(sink{http.Header{"Content-Type": {"text/event-stream"}}}, r, call)
			end := capture.AnnounceAfter + time.Duration(i/60%3-1)*100*time.Millisecond // when it is looked whom to announce
			if i%5 == 0 {
				end += 400 * time.Millisecond
			}
			ending.Go(func() {
				time.Sleep(end / 2)
				if i%3 == 0 {
					x.Join(rules, call.Levels, capture.BodiesDefault, nil)
				}
				time.Sleep(end / 2)
				x.Writer().WriteHeader(200 + 204*(i%2))
				io.WriteString(x.Writer(), "data: 1\n\n")
				x.End(capture.Ending{})
			})
		}
		ending.Wait()
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(s.settled)+s.forgotten != calls || s.released != calls {
			t.Errorf("%d records, %d forgotten, %d released", len(s.settled), s.forgotten, s.released)
		}
		if len(s.announced) < calls/10 {
			t.Errorf("%d announced", len(s.announced))
		}
		for id := range s.announced {
			if !s.settled[id] {
				t.Error("announced, and no record")
			}
		}
		if used := p.Budget().Used(); used != 0 {
			t.Errorf("%d bytes of the budget are still taken", used)
		}
	})
}
