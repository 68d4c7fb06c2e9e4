package capture_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/record"
)

// on returns a choice for those statuses.
func on(t *testing.T, level capture.Level, statuses ...string) capture.Choice {
	t.Helper()
	c := capture.Choice{Level: level}
	for _, text := range statuses {
		if err := c.On.Add(text); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// Each of these calls sends "hello" and gets "world".
func TestLevelIsChosenByTheFinalStatus(t *testing.T) {
	failures := []capture.Choice{on(t, capture.Full, "4xx", "5xx"), on(t, capture.Request, "2xx"), on(t, capture.Metadata)}
	for name, tc := range map[string]struct {
		levels            []capture.Choice
		bodies            capture.Bodies
		status            int
		request, response string // reasons, "" where the body is kept
	}{
		"none given":             {nil, 0, 200, "", ""},
		"full":                   {[]capture.Choice{on(t, capture.Full)}, 0, 200, "", ""},
		"request":                {[]capture.Choice{on(t, capture.Request)}, 0, 200, "", "level"},
		"metadata":               {[]capture.Choice{on(t, capture.Metadata)}, 0, 200, "level", "level"},
		"the first that fits":    {failures, 0, 404, "", ""},
		"the second that fits":   {failures, 0, 200, "", "level"},
		"the last":               {failures, 0, 302, "level", "level"},
		"no bodies by rule":      {nil, capture.BodiesOff, 200, "rule", "rule"},
		"neither level nor rule": {[]capture.Choice{on(t, capture.Request)}, capture.BodiesOff, 200, "rule", "level"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
				_, err := io.Copy(io.Discard, r.Body)
				w.WriteHeader(tc.status)
				io.WriteString(w, "world")
				return err
			}, nil)
			g.levels, g.bodies, g.rules.Policy = tc.levels, tc.bodies, "0123456789abcdef"
			g.Start()
			g.call(t, "POST", "/", strings.NewReader("hello"))
			r := g.settled(t)
			for side, b := range map[string]struct {
				record.Body
				reason, text string
			}{"request": {r.RequestBody, tc.request, "hello"}, "response": {r.ResponseBody, tc.response, "world"}} {
				if b.Size != 5 || b.Partial || b.Reason != b.reason {
					t.Errorf("%s: size %d, reason %q, want 5, %q", side, b.Size, b.Reason, b.reason)
				}
				switch {
				case b.reason == "" && (string(b.Content) != b.text || b.Kept != 5 || b.SHA256 == ""):
					t.Errorf("%s: %q, %d kept, digest %q", side, b.Content, b.Kept, b.SHA256)
				case b.reason != "" && (b.State != record.BodyWithheld || len(b.Content) != 0 || b.Kept != 0 || b.HMACSHA256 == ""):
					t.Errorf("%s: %s, %q, %d kept, keyed digest %q", side, b.State, b.Content, b.Kept, b.HMACSHA256)
				}
			}
			if r.Policy != g.rules.Policy {
				t.Errorf("policy is %q", r.Policy)
			}
		})
	}
}

func TestCallThatIsToBeForgottenIsNeitherRecordNorLoss(t *testing.T) {
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(w, r.Body)
		return err
	}, nil)
	g.levels = []capture.Choice{on(t, capture.Full, "5xx"), on(t, capture.None)}
	g.Start()
	g.call(t, "POST", "/", strings.NewReader("hello"))
	g.Server.Close()
	if err := g.pipeline.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g.begun != 1 || g.forgotten != 1 || g.released != 1 || len(g.records)+len(g.lost) != 0 {
		t.Errorf("%d begun, %d forgotten, %d released, %d records, lost %v", g.begun, g.forgotten, g.released, len(g.records), g.lost)
	}
	if used := g.pipeline.Budget().Used(); used != 0 {
		t.Errorf("%d bytes of the budget are still taken", used)
	}
	g.pipeline.Outcomes(func(string, record.Outcome, uint64) { t.Error("a forgotten call is counted") })
}

func TestCallWithoutAnswerIsChosenAsOneThatFailed(t *testing.T) {
	g := newGateway(t, func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }, nil)
	g.levels = []capture.Choice{on(t, capture.Full, "5xx"), on(t, capture.None)}
	g.Start()
	g.call(t, "GET", "/", nil)
	if r := g.settled(t); r.Status != 0 || r.Outcome != record.OutcomeUpstreamError {
		t.Errorf("recorded %d, %s", r.Status, r.Outcome)
	}
}

// A client that leaves before the answer has the status 499, which is a 4xx.
func TestCallThatTheClientLeftIsChosenByIts499(t *testing.T) {
	for name, tc := range map[string]struct {
		levels  []capture.Choice
		records int
	}{
		"kept":      {[]capture.Choice{on(t, capture.Full, "4xx"), on(t, capture.None)}, 1},
		"forgotten": {[]capture.Choice{on(t, capture.None, "499"), on(t, capture.Full)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, redactor := newPipeline(t)
			b, done := new(book), make(chan struct{})
			ctx, leave := context.WithCancel(t.Context())
			x := p.Begin(sink{http.Header{}}, httptest.NewRequestWithContext(ctx, "GET", "/", nil), capture.Call{
				Rules: &capture.Rules{Source: "shop", Redactor: redactor}, Ledger: b, Levels: tc.levels, Release: func() { close(done) },
			})
			leave()
			x.End(capture.Ending{Err: ctx.Err(), Status: http.StatusInternalServerError})
			<-done
			if len(b.records) != tc.records || b.forgotten != 1-tc.records {
				t.Fatalf("%d records, %d forgotten", len(b.records), b.forgotten)
			}
			if tc.records == 1 && (b.records[0].Status != 499 || b.records[0].Outcome != record.OutcomeAborted) {
				t.Errorf("recorded %d, %s", b.records[0].Status, b.records[0].Outcome)
			}
		})
	}
}

// The inner capture of a call says what is kept of all of it.
func TestInnermostCaptureWins(t *testing.T) {
	for name, tc := range map[string]struct {
		outer, inner capture.Level
		cap          int
		reason       string
		kept         int64
	}{
		"that keeps less":    {capture.Full, capture.Metadata, 1 << 10, record.ReasonLevel, 0},
		"that keeps more":    {capture.Metadata, capture.Full, 1 << 10, "", 5},
		"with a lower cap":   {capture.Full, capture.Full, 2, record.ReasonCap, 2},
		"that keeps no more": {capture.Full, capture.None, 1 << 10, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, nil, nil)
			g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				x := g.pipeline.Begin(w, r, capture.Call{
					Rules: g.rules, Ledger: g.book, Levels: []capture.Choice{{Level: tc.outer}},
					Release: func() { g.mu.Lock(); g.released++; g.mu.Unlock() },
				})
				inner := *g.rules
				inner.Source, inner.RequestBody = "inner", tc.cap
				if !x.Join(&inner, []capture.Choice{{Level: tc.inner}}, capture.BodiesDefault, nil) {
					t.Error("an open exchange cannot be joined")
				}
				io.Copy(io.Discard, r.Body)
				x.End(capture.Ending{})
			})
			g.Start()
			g.call(t, "POST", "/", strings.NewReader("hello"))
			if tc.inner == capture.None {
				g.Server.Close()
				if g.forgotten != 1 || g.released != 1 {
					t.Errorf("%d forgotten, %d released", g.forgotten, g.released)
				}
				return
			}
			if r := g.settled(t); r.Source != "inner" || r.RequestBody.Reason != tc.reason || r.RequestBody.Kept != tc.kept || r.RequestBody.Size != 5 {
				t.Errorf("recorded %s, %+v", r.Source, r.RequestBody.BodyInfo)
			}
		})
	}
}

// Where more has been kept already than an inner capture allows, it goes.
func TestInnerCaptureDropsWhatItDoesNotKeep(t *testing.T) {
	g := newGateway(t, nil, nil)
	g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := g.pipeline.Begin(w, r, capture.Call{
			Rules: g.rules, Ledger: g.book, Release: func() { g.mu.Lock(); g.released++; g.mu.Unlock() },
		})
		io.ReadFull(r.Body, make([]byte, 8))
		inner := *g.rules
		inner.RequestBody = 3
		x.Join(&inner, nil, capture.BodiesDefault, nil)
		io.Copy(io.Discard, r.Body)
		x.End(capture.Ending{})
	})
	g.Start()
	g.call(t, "POST", "/", strings.NewReader("hello, world"))
	r := g.settled(t)
	b := r.RequestBody
	if string(b.Content) != "hel" || b.Size != 12 || b.Kept != 3 || b.Reason != record.ReasonCap {
		t.Errorf("recorded %q, %+v", b.Content, b.BodyInfo)
	}
	if want := g.rules.Redactor.Digest(sha256Of("hello, world")); b.HMACSHA256 != want {
		t.Errorf("the digest is %q, want %q", b.HMACSHA256, want)
	}
}

func TestFactsAreGatheredWhenTheCallEnds(t *testing.T) {
	g := newGateway(t, nil, nil)
	g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		endings := 0
		x := g.pipeline.Begin(w, r, capture.Call{
			Rules: g.rules, Ledger: g.book, Release: func() { g.mu.Lock(); g.released++; g.mu.Unlock() },
			Facts: func(e capture.Ending) capture.Facts {
				if endings++; e.Err != errUpstream || e.Status != 418 {
					t.Errorf("the ending is %+v", e)
				}
				return capture.Facts{Project: "p", ProjectVerified: true, Actor: record.Actor{UserID: "u"}}
			},
		})
		time.Sleep(time.Millisecond)
		x.End(capture.Ending{Err: errUpstream, Status: 418})
		if endings != 1 {
			t.Errorf("facts were gathered %d times", endings)
		}
	})
	g.Start()
	g.call(t, "GET", "/", nil)
	if r := g.settled(t); r.Project != "p" || r.UserID != "u" || r.Status != 418 {
		t.Errorf("recorded %q, %q, %d", r.Project, r.UserID, r.Status)
	}
}
