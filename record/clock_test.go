package record_test

import (
	"sync"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
)

// The times a clock tells that is set back an hour, jumps a year ahead and back
// again, stands still, and then goes on.
func TestIDsAreUniqueAndRiseWhateverTheClockDoes(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	ids := record.NewIDs(func() time.Time { return now })
	var last record.ID
	for i, step := range []time.Duration{
		time.Second, -time.Hour, time.Second, 365 * 24 * time.Hour, 0, time.Millisecond, -365 * 24 * time.Hour, 0, time.Nanosecond, 2 * time.Hour,
	} {
		now = now.Add(step)
		for range 5000 { // more than there are units in a millisecond
			id := ids.Next()
			if id.Compare(last) <= 0 {
				t.Fatalf("after step %d, of %s: %s follows %s", i, step, id, last)
			}
			if parsed, err := record.ParseID(id.String()); err != nil || parsed != id {
				t.Fatalf("after step %d: %s is read as %s, %v", i, id, parsed, err)
			}
			if record.FirstID(id.Time()).Compare(id) > 0 {
				t.Fatalf("after step %d: %s is below the first id of its own time", i, id)
			}
			last = id
		}
	}
}

func TestIDHasTheTimeOfItsClock(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 123_456_000, time.UTC)
	ids := record.NewIDs(func() time.Time { return now })
	for _, step := range []time.Duration{0, time.Microsecond, 999 * time.Microsecond, time.Hour} {
		now = now.Add(step)
		if got := ids.Next().Time(); now.Sub(got) > time.Microsecond || got.After(now) {
			t.Errorf("the id of a call at %s is of %s", now, got)
		}
	}
}

// Two runs of a gateway whose clock was set back in between, or two gateways.
func TestIDsOfOneMomentDifferBetweenProcesses(t *testing.T) {
	clock := func() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }
	seen := make(map[record.ID]bool)
	for range 10 {
		ids := record.NewIDs(clock)
		for range 1000 {
			seen[ids.Next()] = true
		}
	}
	if len(seen) != 10_000 {
		t.Errorf("10000 ids are %d different ones", len(seen))
	}
}

func TestIDsOfManyGoroutinesAreUnique(t *testing.T) {
	const each, makers = 2000, 8
	ids := record.NewIDs(func() time.Time { return time.Unix(1_800_000_000, 0) })
	made := make([][each]record.ID, makers)
	var all sync.WaitGroup
	for m := range makers {
		all.Go(func() {
			for i := range each {
				made[m][i] = ids.Next()
			}
		})
	}
	all.Wait()
	seen := make(map[record.ID]bool)
	for m := range makers {
		for i, id := range made[m] {
			seen[id] = true
			if i > 0 && id.Compare(made[m][i-1]) <= 0 {
				t.Errorf("%s follows %s", id, made[m][i-1])
			}
		}
	}
	if len(seen) != each*makers {
		t.Errorf("%d ids are %d different ones", each*makers, len(seen))
	}
}
