package badger_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// huge is a volume on which no segment of a test counts.
const huge = 100 << 43

// fill lets the store believe that others have filled so many percent of its
// volume, and each of its segments of calls one more.
func (k *kept) fill(others int64) {
	k.SetVolume(huge, func() int64 {
		return huge / 100 * (100 - others - int64(k.Segments(record.ClassReads)+k.Segments(record.ClassWrites)))
	})
}

func TestFullVolumeTakesTheOldestReads(t *testing.T) {
	t.Parallel()
	k := openKept(t, t.TempDir(), newClock(), store.Retention{Writes: 400 * store.Day, Reads: 400 * store.Day, Disk: 88})
	var want []record.ID
	for _, days := range []int{300, 200, 100, 6} {
		want = append(want, k.add(t, record.ClassWrites, days), k.add(t, record.ClassControl, days))
		if id := k.add(t, record.ClassReads, days); days < 200 {
			want = append(want, id)
		}
	}
	k.fill(82) // and 8 of its own
	k.sweep(t)
	k.want(t, 2, want...)
	if st := k.Stats(); st.Overfull || st.Dropped[store.DroppedDisk] != 2 {
		t.Errorf("overfull: %v, dropped: %v", st.Overfull, st.Dropped)
	}
	_, drops := k.split(t)
	for _, r := range drops {
		wantText(t, string(r.RequestBody.Content), `"reason":"disk"`, `"rule":"88%"`, `"found":"`)
	}
	storetest.Close(t, k.Store)
}

func TestFullVolumeNeverTakesWritesUnlessItMay(t *testing.T) {
	t.Parallel()
	r := store.Retention{Writes: 400 * store.Day, Reads: 400 * store.Day, Disk: 50}
	k := openKept(t, t.TempDir(), newClock(), r)
	var want, writes []record.ID
	for _, days := range []int{300, 8, 6} {
		want = append(want, k.add(t, record.ClassControl, days))
		id := k.add(t, record.ClassWrites, days)
		if writes = append(writes, id); days < 7 {
			want = append(want, id)
		}
		if id := k.add(t, record.ClassReads, days); days < 7 {
			want = append(want, id)
		}
	}
	k.fill(94)
	for range 3 {
		k.sweep(t)
	}
	k.want(t, 2, append(writes[:2:2], want...)...)
	if n := k.logged("nothing more may be dropped"); n != 1 || !k.Stats().Overfull {
		t.Errorf("it was said %d times that nothing more may go, and the figures say %v; want once, and true", n, k.Stats().Overfull)
	}
	r.DiskWrites = true
	k.SetRetention(r)
	k.sweep(t)
	k.want(t, 4, want...)
	k.fill(0)
	k.sweep(t)
	if n := k.logged("no fuller than"); n != 1 || k.Stats().Overfull {
		t.Errorf("it was said %d times that there is room again, and the figures say overfull: %v; want once, and false", n, k.Stats().Overfull)
	}
	k.want(t, 4, want...)
	storetest.Close(t, k.Store)
}

// To open a Badger is to write, and so may be to close one.
func TestFullVolumeTakesSegmentsThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	k := openKept(t, dir, clock, store.Retention{})
	for days := range 3 {
		k.add(t, record.ClassReads, 31+days)
	}
	storetest.Close(t, k.Store)
	var full atomic.Bool
	s, err := badger.OpenWithRoom(badger.Options{Path: dir, Now: clock.get}, func() error {
		if full.Load() {
			return badger.ErrNoRoom
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.StopPacker()
	k.Store = s
	if ids, _ := k.split(t); len(ids) != 3 { // which opens them
		t.Fatalf("%d records are listed, want 3", len(ids))
	}
	full.Store(true)
	k.SetRetention(store.Retention{Writes: 400 * store.Day, Reads: 400 * store.Day, Disk: 90})
	k.SetVolume(huge, func() int64 { return 0 })
	k.sweep(t)
	k.want(t, 3)
	full.Store(false)
	storetest.Close(t, s)
}

func TestClockThatMovedIsBelievedAfterADay(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	type look struct {
		says, counts time.Duration // since start
		jumped       bool
	}
	for _, test := range []struct {
		name  string
		looks []look
	}{
		{"goes on", []look{{says: 0}, {says: time.Hour, counts: time.Hour}, {says: 20 * time.Hour, counts: 20 * time.Hour}}},
		{"stands still", []look{{}, {}, {}}},
		{"goes back an hour", []look{{says: -time.Hour, counts: -time.Hour}, {says: 0}}},
		{"jumps a year and back", []look{
			{says: year, jumped: true}, {says: year + 23*time.Hour}, {says: day / 2, counts: day / 2, jumped: true},
		}},
		{"jumps a year and stays", []look{
			{says: year, jumped: true}, {says: year + 23*time.Hour}, {says: year + day, counts: year + day},
		}},
		{"jumps twice", []look{
			{says: year, jumped: true}, {says: 2 * year, jumped: true}, {says: 2*year + 23*time.Hour}, {says: 2*year + day, counts: 2*year + day},
		}},
		{"was off for a week", []look{{says: 7 * day}, {says: 7*day + time.Hour}, {says: 8 * day, counts: 8 * day}}},
		{"starts in 1970 until it is set", []look{
			{says: -50 * year, counts: -50 * year}, {says: time.Hour, counts: time.Hour, jumped: true},
		}},
		{"was wrong for a day", []look{
			{says: year, jumped: true},
			{says: year + day, counts: year + day},
			{says: day, counts: day, jumped: true},
			{says: year + day, counts: year + day, jumped: true}, // for that it was believed
		}},
		{"is set right", []look{
			{says: year, jumped: true},
			{says: year + day, counts: year + day},
			{says: day, counts: day, jumped: true},
			{says: 2 * day, counts: 2 * day},
			{says: year + 2*day, counts: 2 * day, jumped: true},
		}},
	} {
		c := badger.NewClock(start)
		for i, l := range test.looks {
			if got := c.See(at(l.says), l.jumped); !got.Equal(at(l.counts)) {
				t.Errorf("%s, look %d: a clock that says %s counts as %s, want %s", test.name, i+1, l.says, got.Sub(start), l.counts)
			}
		}
	}
}

func TestClockThatJumpsAheadDropsNothing(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	dir, clock := t.TempDir(), newClock()
	k := openKept(t, dir, clock, usual)
	want := []record.ID{k.add(t, record.ClassReads, 1), k.add(t, record.ClassWrites, 100)}
	k.sweep(t)
	clock.forward(year)
	for range 3 {
		k.sweep(t)
		clock.forward(time.Hour)
	}
	k.want(t, 0, want...)
	if n := k.logged("nothing is dropped on its word"); n != 1 {
		t.Errorf("it was said %d times that the clock has moved, want once", n)
	}
	storetest.Close(t, k.Store)
	for range 2 { // a start is as wary
		k = openKept(t, dir, clock, usual)
		k.sweep(t)
		k.want(t, 0, want...)
		storetest.Close(t, k.Store)
		clock.forward(time.Hour)
	}
	clock.forward(-year)
	k = openKept(t, dir, clock, usual)
	k.sweep(t)
	k.want(t, 0, want...)
	// A year that does pass: the clock is the same for a day.
	clock.forward(year)
	for range 3 {
		k.sweep(t)
		clock.forward(23 * time.Hour)
	}
	k.sweep(t)
	k.want(t, 2)
	storetest.Close(t, k.Store)
}

// Records of calls while the clock is set back, jumps ahead, comes back and stands
// still, packed and not, with starts in between.
func TestRecordsAreUniqueAndInOrderWhateverTheClockDoes(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	dir, clock := t.TempDir(), newClock()
	n := 0
	for _, step := range []time.Duration{0, -time.Hour, year, -year, 2 * time.Hour} {
		clock.forward(step)
		// Each run has ids of its own, as a process has.
		k := openKept(t, dir, clock, store.Retention{})
		for range 2 {
			for range 10 {
				storetest.Add(t, k.Store, k.maker.At(k.ids.Next()))
				n++
			}
			storetest.Pack(t, k.Store)
			clock.forward(-step / 2)
			for range 10 {
				storetest.Add(t, k.Store, k.maker.At(k.ids.Next()))
				n++
			}
			clock.forward(step / 2)
		}
		if all := storetest.Verify(t, k.Store); len(all) != n {
			t.Errorf("after a step of %s %d records are listed, want %d", step, len(all), n)
		}
		storetest.Close(t, k.Store)
	}
	s := opener(badger.Options{})(t, dir)
	nodes, boots := make(map[string]bool), make(map[string]bool)
	for _, r := range storetest.Verify(t, s) {
		nodes[r.Node], boots[r.Boot] = true, true
	}
	if len(nodes) != 1 || len(boots) != 5 {
		t.Errorf("five runs have %d nodes and %d boots", len(nodes), len(boots))
	}
	storetest.Close(t, s)
}

func TestIDsAheadOfTheClockAreSaidOnce(t *testing.T) {
	t.Parallel()
	k := openKept(t, t.TempDir(), newClock(), store.Retention{})
	k.add(t, record.ClassWrites, 0)
	k.clock.forward(-time.Hour)
	for range 3 {
		k.sweep(t)
	}
	if n := k.logged("behind the newest record"); n != 1 {
		t.Errorf("it was said %d times that the clock is behind, want once", n)
	}
	storetest.Close(t, k.Store)
}
