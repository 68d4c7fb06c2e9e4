package badger_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/badger"
)

// Memory is bounded, and no loss is silent: those past the bound are one gap.
func TestLossesBeyondTheirBoundAreOneGap(t *testing.T) {
	var said atomic.Int32
	s, err := badger.Open(badger.Options{Path: t.TempDir(), Log: func(what string, _ error) {
		if what == "a loss of a test" {
			said.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	for range 2 { // they are met again
		s.TellLosses(start, 7, 3)
		gaps := gapsOf(t, s)
		if len(gaps) != 4 {
			t.Fatalf("%d gaps, want one for each of 3 losses, and one", len(gaps))
		}
		for i := range 7 {
			at, told := start.Add(time.Duration(i)*time.Minute+time.Second), false
			for _, g := range gaps {
				told = told || !at.Before(g.Timestamp) && !at.After(g.EndTime)
			}
			if !told {
				t.Errorf("loss %d is in no gap", i)
			}
		}
		if n := said.Load(); n != 7 {
			t.Errorf("the log has %d lines, want one for each loss", n)
		}
	}
	if got := gapBeyond(gapsOf(t, s)); got == nil || !got.Timestamp.Equal(start.Add(3*time.Minute)) || !got.EndTime.Equal(start.Add(7*time.Minute)) {
		t.Errorf("the gap of the others is %v", got)
	}
	if err := s.Health(); err == nil || !strings.Contains(err.Error(), "more than 3") {
		t.Errorf("health: %v", err)
	}
}

func gapBeyond(gaps []*record.Record) *record.Record {
	for _, g := range gaps {
		if g.Gap.CountUnknown {
			return g
		}
	}
	return nil
}
