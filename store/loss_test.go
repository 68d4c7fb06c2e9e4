package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// waitFor waits until something has come about.
func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain until ", what)
		}
	}
}

func TestLossesBecomeFewGapRecords(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	nova, glance := j.Counter("nova"), j.Counter("glance")
	start := time.Now().Truncate(time.Microsecond)
	const lost = 100_000
	for range lost {
		nova.Begin()
		nova.Lose("queue", time.Now())
	}
	glance.Begin()
	long := start.Add(-time.Hour) // a call that took that long
	glance.Lose("panic", long)
	end := time.Now()
	shut(t, j)

	if got := j.Stats().Lost; got["queue"] != lost || got["panic"] != 1 {
		t.Errorf("lost: %v", got)
	}
	if got := count(t, j.View(), "nova"); got.total() != lost || got.gaps["queue"] != lost {
		t.Errorf("nova: %+v, want a gap of %d", got, lost)
	}
	if got := count(t, j.View(), "glance"); got.total() != 1 || got.gaps["panic"] != 1 {
		t.Errorf("glance: %+v, want a gap of 1", got)
	}
	gaps := j.View().Gaps()
	if most := int(end.Sub(start)/time.Second) + 2; len(gaps) > 2*most {
		t.Errorf("%d gap records in %v", len(gaps), end.Sub(start))
	}
	for _, row := range gaps {
		r, err := row.Record(false)
		if err != nil {
			t.Fatal(err)
		}
		if r.Source == "glance" {
			if !r.Timestamp.Equal(long) {
				t.Errorf("the gap begins at %v, its call began at %v", r.Timestamp, long)
			}
			continue
		}
		if r.Outcome != record.OutcomeGap || r.Success != record.SuccessUnknown || !r.Timestamp.Equal(r.EventID.Time()) ||
			r.Timestamp.Before(start) || r.EndTime.Before(r.Timestamp) || r.EndTime.After(end) {
			t.Errorf("gap from %v to %v: %+v", r.Timestamp, r.EndTime, r)
		}
	}
}

func TestReasonsAndSourcesAreBounded(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{})
	for i := range 300 {
		call := j.Counter(fmt.Sprint("source", i))
		call.Begin()
		call.Lose("test", time.Now())
		if call != j.Counter(fmt.Sprint("source", i)) {
			t.Fatalf("source %d has two counters", i)
		}
	}
	long := j.Counter("a-name-of-a-source-that-is-longer-than-48-characters")
	if long != j.Counter("other") || long != j.Counter("source299") || long == j.Counter("source0") {
		t.Error("sources past the bound are not counted together")
	}
	for i := range 100 {
		j.Counter("nova").Begin()
		j.Counter("nova").Lose(fmt.Sprint("reason", i), time.Now())
	}
	shut(t, j)
	if got := count(t, j.View(), "source254"); got.total() != 1 {
		t.Errorf("source254: %+v", got)
	}
	if got := count(t, j.View(), "other"); got.total() != 145 { // nova came too late for a place of its own
		t.Errorf("other: %+v, want 145 calls", got)
	}
	if got := j.Stats().Lost; len(got) > 18 {
		t.Errorf("%d reasons are kept apart", len(got))
	}
}

func TestCallsInFlightAtCloseAreAGap(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	call := j.Counter("nova")
	for range 5 {
		call.Begin()
	}
	keep(t, j, newCall("nova"), call)
	shut(t, j)
	j = open(t, dir, store.JournalOptions{})
	if got := count(t, j.View(), "nova"); got.records != 1 || got.gaps[store.ReasonShutdown] != 4 || got.total() != 5 {
		t.Errorf("%+v, want 1 record and 4 calls in flight", got)
	}
}

func TestFullQueueIsAnErrorAndItsLossesAreCounted(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{Queue: 8 << 10})
	call := j.Counter("nova")
	begun, full := 0, 0
	waitFor(t, "the queue is full a few times", func() bool {
		for range 100 {
			call.Begin()
			begun++
			if _, err := j.Add(newCall("nova"), call); errors.Is(err, store.ErrFull) {
				call.Lose("queue", time.Now())
				full++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		return full > 10
	})
	shut(t, j)
	got := count(t, j.View(), "nova")
	if got.total() != uint64(begun) || got.gaps["queue"] != uint64(full) {
		t.Errorf("%d begun, %d refused; %+v", begun, full, got)
	}
	checkSequences(t, j.View(), j.Sequence())
	if s := j.Stats(); s.Stored != j.Sequence() || s.Waiting != 0 || s.Commits.Count == 0 {
		t.Errorf("stats: %+v", s)
	}
}

func TestForgottenCallIsNeitherRecordNorGap(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	call := j.Counter("nova")
	for range 5 {
		call.Begin()
	}
	keep(t, j, newCall("nova"), call)
	call.Forget()
	call.Forget()
	crashed := snapshot(t, dir)
	shut(t, j)
	for what, c := range map[string]struct{ dir, reason string }{
		"closed": {dir, store.ReasonShutdown}, "killed": {crashed, store.ReasonKilled},
	} {
		j := open(t, c.dir, store.JournalOptions{})
		if got := count(t, j.View(), "nova"); got.records != 1 || got.gaps[c.reason] != 2 || got.total() != 3 {
			t.Errorf("%s: %+v, want 1 record and 2 calls in flight", what, got)
		}
	}
}
