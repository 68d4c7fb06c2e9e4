package capture_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/record"
)

func TestOldestIsThatOfTheCallsThatTheLedgerDoesNotKnow(t *testing.T) {
	g := newGateway(t, nil, nil)
	begin := func() *capture.Exchange {
		return g.pipeline.Begin(sink{nil}, httptest.NewRequest("GET", "/", nil), capture.Call{Rules: g.rules, Ledger: g.book})
	}
	before := record.NewID().Time()
	if at := g.pipeline.Oldest(); at.Before(before) {
		t.Errorf("without calls it is %v, which was before %v", at, before)
	}
	first, second, third := begin(), begin(), begin()
	oldest := func(want *capture.Exchange) {
		t.Helper()
		end := time.Now().Add(patience)
		for !g.pipeline.Oldest().Equal(want.ID.Time()) {
			if time.Now().After(end) {
				t.Fatalf("it is %v, want %v", g.pipeline.Oldest(), want.ID.Time())
			}
			time.Sleep(time.Millisecond)
		}
	}
	oldest(first)
	g.noReceipt = errors.New("full")
	_ = first.Receipt(t.Context())
	oldest(first)
	if g.noReceipt = nil; second.Receipt(t.Context()) != nil {
		t.Fatal("no receipt")
	}
	oldest(first)
	first.End(capture.Ending{})
	oldest(third) // the second has its receipt
	third.End(capture.Ending{})
	second.End(capture.Ending{})
	g.until(t, func() bool { return len(g.records) == 3 })
	after := record.NewID().Time()
	for end := time.Now().Add(patience); g.pipeline.Oldest().Before(after); {
		if time.Now().After(end) {
			t.Fatal("all have ended, and one is still the oldest")
		}
	}
}
