package capture_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

// promised begins a call and asks for its receipt.
func (g *gateway) promised(t *testing.T, r *http.Request) (*capture.Exchange, error) {
	t.Helper()
	x := g.pipeline.Begin(sink{make(http.Header)}, r, capture.Call{
		Rules: g.rules, Ledger: g.book, Levels: g.levels,
		Release: func() { g.mu.Lock(); g.released++; g.mu.Unlock() },
	})
	return x, x.Receipt(t.Context())
}

func TestReceiptComesOnceAndWithoutSecrets(t *testing.T) {
	g := newGateway(t, nil, nil)
	r := httptest.NewRequest("POST", "/login?token=s3cret", strings.NewReader("hello"))
	r.Header.Set("X-Api-Key", "s3cret")
	x, err := g.promised(t, r)
	if err == nil {
		err = x.Receipt(t.Context())
	}
	if err != nil || len(g.receipts) != 1 {
		t.Fatalf("%d receipts, %v: want one", len(g.receipts), err)
	}
	text, _ := g.receipts[0].MarshalJSON()
	if got := g.receipts[0]; got.EventID != x.ID || got.Outcome != record.OutcomeInProgress || got.Method != "POST" || strings.Contains(string(text), "s3cret") {
		t.Errorf("the receipt is %s", text)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = x.Writer().Write([]byte("done"))
	x.End(capture.Ending{})
	g.until(t, func() bool { return len(g.records) == 1 && g.released == 1 })
	if got := g.records[0]; got.EventID != x.ID || string(got.RequestBody.Content) != "hello" || len(g.announced) != 0 {
		t.Errorf("the record is %+v, and %d were announced besides", got, len(g.announced))
	}
}

func TestCallWithoutReceiptSaysSo(t *testing.T) {
	g := newGateway(t, nil, nil)
	g.noReceipt = errors.New("the disk is full")
	x, err := g.promised(t, httptest.NewRequest("GET", "/", nil))
	if !errors.Is(err, g.noReceipt) {
		t.Fatalf("got %v", err)
	}
	x.Writer().WriteHeader(http.StatusServiceUnavailable)
	x.End(capture.Ending{})
	g.until(t, func() bool { return len(g.records) == 1 && g.released == 1 })
	if got := g.records[0]; got.Status != 503 || got.StatusSource != "refused" || got.Success != record.SuccessNo || got.Outcome != record.OutcomeComplete {
		t.Errorf("the record is %+v", got)
	}
	refused := map[string]uint64{}
	g.pipeline.Refusals(func(source string, n uint64) { refused[source] = n })
	if len(refused) != 1 || refused["shop"] != 1 {
		t.Errorf("refused: %v", refused)
	}
}

// What has a receipt is no longer forgotten, whatever its level says of its status.
func TestCallWithAReceiptBecomesARecordWhateverItsLevel(t *testing.T) {
	g := newGateway(t, nil, nil)
	none := capture.Choice{Level: capture.None}
	_ = none.On.Add("2xx")
	g.levels = []capture.Choice{none, {Level: capture.Full}}
	x, err := g.promised(t, httptest.NewRequest("GET", "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = x.Writer().Write([]byte("done"))
	x.End(capture.Ending{})
	g.until(t, func() bool { return len(g.records) == 1 && g.released == 1 })
	if got := g.records[0]; g.forgotten != 0 || got.ResponseBody.State != record.BodyWithheld {
		t.Errorf("%d forgotten, the record is %+v", g.forgotten, got)
	}
}

func TestRecordOfAReceiptGoesWithoutItsBodiesWhereTheStoreHasNoRoom(t *testing.T) {
	g := newGateway(t, nil, nil)
	g.largest = 1000
	r := httptest.NewRequest("POST", "/", strings.NewReader(`{"password": "s3cret", "n": 1}`))
	r.Header.Set("Content-Type", "application/json")
	x, err := g.promised(t, r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	x.Writer().Header().Set("Content-Type", "text/plain")
	x.Writer().Header().Set("X-Long", strings.Repeat("long ", 500))
	_, _ = x.Writer().Write([]byte("done"))
	x.End(capture.Ending{})
	g.until(t, func() bool { return len(g.records) == 1 && g.released == 1 })
	got := g.records[0]
	if len(got.RequestBody.Content)+len(got.ResponseBody.Content) != 0 || got.ResponseHeaders.Get("(more)") != "2 lines left out" ||
		got.ResponseBody.State != record.BodyWithheld || got.ResponseBody.Reason != record.ReasonMemory ||
		got.ResponseBody.SHA256 != "" || got.ResponseBody.HMACSHA256 == "" || got.ResponseBody.Size != 4 || len(got.Redacted) != 0 {
		t.Errorf("the record is %+v", got)
	}
	if len(g.lost) != 0 {
		t.Errorf("lost: %v", g.lost)
	}
}

func TestReceiptsAreRefusedBeforeTheMemoryForTheirRecordsIsUsedUp(t *testing.T) {
	g := newGateway(t, nil, nil)
	g.pipeline.Budget().SetLimit(64 << 10)
	var live []*capture.Exchange
	for {
		x, err := g.promised(t, httptest.NewRequest("GET", "/", nil))
		if err != nil {
			x.End(capture.Ending{})
			break
		}
		live = append(live, x)
	}
	if used := g.pipeline.Budget().Used(); used > 100<<10 {
		t.Errorf("%d bytes are used when receipts are refused", used)
	}
	for _, x := range live {
		_, _ = x.Writer().Write([]byte("done"))
		x.End(capture.Ending{})
	}
	g.until(t, func() bool { return g.released == len(live)+1 })
	if len(g.lost) != 0 || len(g.records) != len(live)+1 {
		t.Errorf("%d records of %d calls, lost %v", len(g.records), len(live)+1, g.lost)
	}
}

// A call that was refused is not let in by another capture.
func TestReceiptThatWasRefusedStaysSo(t *testing.T) {
	g := newGateway(t, nil, nil)
	g.noReceipt = errors.New("the disk is full")
	x, err := g.promised(t, httptest.NewRequest("GET", "/", nil))
	g.noReceipt = nil
	if err == nil || x.Receipt(t.Context()) == nil {
		t.Error("a call without a receipt was let in")
	}
	x.End(capture.Ending{})
	g.until(t, func() bool { return len(g.records) == 1 && g.released == 1 })
}

// Who was known when a call was announced is who made it, unless more is known of it
// at its end, or another capture says how that is found out.
func TestWhoWasKnownAtFirstIsKnownAtTheEnd(t *testing.T) {
	ann := identity.Identity{Actor: record.Actor{UserID: "ann", AuthMethod: "learned", AuthVerified: true}}
	bob := identity.Identity{Actor: record.Actor{UserID: "bob", AuthMethod: "learned", AuthVerified: true}}
	claimed := identity.Identity{Actor: record.Actor{UserID: "mallory", AuthMethod: "jwt"}}
	for name, tc := range map[string]struct {
		first, last identity.Identity
		joins       bool
		want        string
	}{
		"nobody any more":              {ann, identity.Identity{}, false, "ann"},
		"only a claim":                 {ann, claimed, false, "ann"},
		"another":                      {ann, bob, false, "bob"},
		"tokens of different people":   {ann, identity.Identity{Disputed: true}, false, ""},
		"nobody by another's rules":    {ann, identity.Identity{}, true, ""},
		"a claim, and nobody any more": {claimed, identity.Identity{}, false, ""},
	} {
		g := newGateway(t, nil, nil)
		g.rules.Identity = identity.Methods{func(_ context.Context, _ *identity.Evidence, p identity.Patience) (identity.Identity, bool) {
			if p == identity.Never {
				return tc.first, false
			}
			return tc.last, false
		}}
		x, err := g.promised(t, httptest.NewRequest("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if tc.joins {
			inner := *g.rules
			x.Join(&inner, nil, capture.BodiesDefault, nil)
		}
		x.End(capture.Ending{})
		g.until(t, func() bool { return len(g.records) == 1 && g.released == 1 })
		if got := g.records[0].UserID; got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
