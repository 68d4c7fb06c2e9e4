package store_test

import (
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// gapAfterKill returns the one gap that a kill at this moment leaves.
func gapAfterKill(t *testing.T, dir string) *record.Record {
	t.Helper()
	j := open(t, snapshot(t, dir), store.JournalOptions{})
	gaps := j.View().Gaps()
	if len(gaps) != 1 {
		t.Fatalf("%d gaps, want one", len(gaps))
	}
	r, err := gaps[0].Record(false)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGapAfterKillBeginsWithTheOldestCallThatIsUntoldOf(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	call := j.Counter("nova")
	tell := func(at time.Time) {
		t.Helper()
		at = at.Truncate(time.Microsecond)
		j.Oldest(at)
		waitFor(t, "it is noted since when calls are untold of", func() bool {
			noted, err := store.OldestIn(dir)
			return err == nil && noted.Equal(at)
		})
	}
	// Its begin entry was refused, and it goes on.
	hour := record.IDAt(time.Now().Add(-time.Hour))
	call.Begin()
	tell(hour.Time())
	keep(t, j, newCall("nova"), nil)
	if r := gapAfterKill(t, dir); !r.Timestamp.Equal(hour.Time()) || r.Gap.Count != 1 {
		t.Errorf("the gap of %d begins at %v, its call at %v", r.Gap.Count, r.Timestamp, hour.Time())
	}
	// It has ended: what may be untold of is newer, however long ago the last commit was.
	old := newCall("nova")
	old.EventID = hour
	old.Timestamp = hour.Time()
	keep(t, j, old, call)
	now := record.NewID().Time()
	tell(now)
	call.Begin()
	if r := gapAfterKill(t, dir); !r.Timestamp.Equal(now) || r.Gap.Count != 1 {
		t.Errorf("the gap of %d begins at %v, no call before %v is missing", r.Gap.Count, r.Timestamp, now)
	}
	// What is known is known for ever.
	j.Oldest(hour.Time())
	keep(t, j, newCall("nova"), nil)
	if noted, err := store.OldestIn(dir); err != nil || !noted.Equal(now) {
		t.Errorf("noted is %v (%v), want %v as before", noted, err, now)
	}
}

func TestLossThatIsNotYetAGapRecordIsPartOfTheStretch(t *testing.T) {
	dir := t.TempDir()
	var clock gate
	j := open(t, dir, store.JournalOptions{Now: clock.now})
	call := j.Counter("nova")
	j.Oldest(time.Now().Add(-time.Hour))
	call.Begin()
	call.Lose("test", time.Now())
	waitFor(t, "the first loss is a gap record", func() bool { return len(j.View().Gaps()) == 1 })
	lost := record.NewID().Time() // less than a second later: it has to wait
	call.Begin()
	call.Lose("test", lost)
	waitFor(t, "it is noted since when calls are untold of", func() bool {
		j.Oldest(time.Now())
		noted, err := store.OldestIn(dir)
		return err == nil && (noted.Equal(lost) || len(j.View().Gaps()) == 2)
	})
	if len(j.View().Gaps()) == 2 {
		t.Skip("NOT TESTED: the machine is too slow for two losses in a second")
	}
}
