package badger_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// unknownSegment makes a store with a segment of reads that are 31 days old, whose
// segment.json cannot be read, and opens it where there is no room to open a segment
// until there is.
func unknownSegment(t *testing.T) (k *kept, seg string, room *atomic.Bool) {
	t.Helper()
	dir, clock := t.TempDir(), newClock()
	k = openKept(t, dir, clock, store.Retention{})
	k.add(t, record.ClassReads, 31)
	k.add(t, record.ClassReads, 31)
	storetest.Close(t, k.Store)
	seg = k.segmentOf(dir, record.ClassReads, 31)
	if err := os.Truncate(filepath.Join(seg, "segment.json"), 9); err != nil {
		t.Fatal(err)
	}
	room = new(atomic.Bool)
	s, err := badger.OpenWithRoom(badger.Options{Path: dir, Now: clock.get, Durability: store.OS}, func() error {
		if room.Load() {
			return nil
		}
		return badger.ErrNoRoom
	})
	if err != nil {
		t.Fatal(err)
	}
	s.StopPacker()
	k.Store = s
	return k, seg, room
}

func TestDropOfAnUnknownSegmentSaysWhatItFound(t *testing.T) {
	t.Parallel()
	k, seg, room := unknownSegment(t)
	room.Store(true)
	k.SetRetention(store.Retention{Writes: 400 * store.Day, Reads: 40 * store.Day})
	k.sweep(t)
	if !exists(t, seg) {
		t.Fatal("it went before its time")
	}
	k.SetRetention(usual)
	k.sweep(t)
	_, drops := k.split(t)
	if len(drops) != 1 || exists(t, seg) {
		t.Fatalf("%d drops are recorded, want one; it is there: %t", len(drops), exists(t, seg))
	}
	wantText(t, string(drops[0].RequestBody.Content), `"first_sequence":1,"last_sequence":2,"count":2`, `"oldest":"2026-10-28T`, `"newest":"2026-10-28T`, `"digest":"`)
	storetest.Close(t, k.Store)
}

func TestDropOfWhatCannotBeOpenedSaysThatItsRangeIsUnknown(t *testing.T) {
	t.Parallel()
	k, seg, room := unknownSegment(t)
	r := k.maker.At(record.IDAt(k.clock.ago(31)))
	r.Method = "GET"
	storetest.Add(t, k.Store, r)
	if err := k.SealJournal(); err != nil {
		t.Fatal(err)
	}
	k.SetRetention(usual)
	k.sweep(t)
	if !exists(t, seg) {
		t.Fatal("it went while the journal has what may be packed into it")
	}
	room.Store(true)
	storetest.Pack(t, k.Store)
	storetest.Close(t, k.Store)

	k, seg, room = unknownSegment(t)
	k.SetRetention(usual)
	k.sweep(t)
	_, drops := k.split(t)
	if len(drops) != 1 || exists(t, seg) {
		t.Fatalf("%d drops are recorded, want one; it is there: %t", len(drops), exists(t, seg))
	}
	body := drops[0].RequestBody.Content
	wantText(t, string(body), `"segment":"2026-10-28.reads"`, `"range_unknown":true`, `"reason":"age"`)
	for _, word := range []string{"oldest", "newest", "first_sequence", "last_sequence", "count", "digest"} {
		if bytes.Contains(body, []byte(`"`+word+`"`)) {
			t.Errorf("%s has a %s", body, word)
		}
	}
	if !strings.Contains(drops[0].Description, "nobody knows how many") || strings.Contains(drops[0].Description, "Dropped 0") {
		t.Errorf("description: %s", drops[0].Description)
	}
	room.Store(true)
	k.end(t)
}

// broughtBack makes a store with a segment that was set aside, brings that back, sound
// but for what change does to it, and opens the store.
func broughtBack(t *testing.T, dir string, clock *fakeClock, change func(seg string)) *kept {
	t.Helper()
	k := openKept(t, dir, clock, store.Retention{})
	k.add(t, record.ClassReads, 10)
	storetest.Close(t, k.Store)
	seg := k.segmentOf(dir, record.ClassReads, 10)
	sound := filepath.Join(t.TempDir(), "sound")
	copyDir(t, seg, sound)
	if err := cut(one(seg, "*.sst"), 0); err != nil {
		t.Fatal(err)
	}
	k = openKept(t, dir, clock, store.Retention{})
	k.split(t) // which opens it
	k.wantGaps(t, "damaged", 1)
	k.end(t)
	k.Store = opener(badger.Options{Now: clock.get})(t, dir).(*badger.Store) // which stores the gap
	for stored := false; !stored; time.Sleep(time.Millisecond) {
		for _, r := range storetest.List(t, k.Store, record.Query{Scope: storetest.Everything}) {
			stored = stored || r.Gap != nil
		}
	}
	k.wantGaps(t, "set aside", 1)
	k.end(t)
	aside := filepath.Join(dir, "quarantine", filepath.Base(seg)+".1")
	if err := os.RemoveAll(aside); err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(dir, "segments", filepath.Base(aside))
	copyDir(t, sound, back)
	change(back)
	return openKept(t, dir, clock, store.Retention{})
}

// restoredFrom restores a backup of the store.
func restoredFrom(t *testing.T, s *badger.Store) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "restored")
	parts, b := save(t, s, func(int) {})
	restore(t, dir, parts, b)
	return dir
}

func (k *kept) wantGaps(t *testing.T, when string, want int) {
	t.Helper()
	gaps, err := k.Gaps(t.Context(), time.Time{}, time.Time{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range gaps {
		if g.Gap.Reason == store.ReasonDamage {
			n++
		}
	}
	if n != want {
		t.Errorf("%s: %d gaps, want %d", when, n, want)
	}
}

func TestGapThatIsClosedStaysSoWhenItsSegmentIsDropped(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	k := broughtBack(t, dir, clock, func(string) {})
	k.split(t)
	k.wantGaps(t, "brought back", 0)
	k.end(t)
	k = openKept(t, dir, clock, store.Retention{})
	k.SetRetention(store.Retention{Writes: 400 * store.Day, Reads: 5 * store.Day})
	k.sweep(t) // nobody has opened it in this run
	if ids, drops := k.split(t); len(drops) != 1 {
		t.Fatalf("%d drops and %v, want one drop", len(drops), ids)
	}
	k.wantGaps(t, "dropped", 0)
	k.end(t)
	k = openKept(t, dir, clock, store.Retention{})
	k.wantGaps(t, "dropped, after a restart", 0)
	restored := restoredFrom(t, k.Store)
	k.end(t)
	k = openKept(t, restored, clock, store.Retention{})
	k.wantGaps(t, "dropped, and restored from a backup", 0)
	k.end(t)
}

// Whether all is there that was lost, only its segment.json could tell.
func TestGapStaysWhereNobodyKnowsWhatIsBack(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	k := broughtBack(t, dir, clock, func(seg string) {
		if err := os.Remove(filepath.Join(seg, "segment.json")); err != nil {
			t.Fatal(err)
		}
	})
	if ids, _ := k.split(t); len(ids) < 2 { // the gap's own record is one
		t.Errorf("there are %v, want what was brought back", ids)
	}
	k.wantGaps(t, "brought back", 1)
	if k.logged("is back") > k.logged("its gap stays") {
		t.Errorf("it says that the gap is closed: %q", k.said)
	}
	restored := restoredFrom(t, k.Store)
	k.end(t)
	k = openKept(t, dir, clock, store.Retention{})
	k.split(t)
	k.wantGaps(t, "after a restart", 1)
	k.end(t)
	k = openKept(t, restored, clock, store.Retention{})
	if ids, _ := k.split(t); len(ids) < 2 {
		t.Errorf("there are %v, want what was brought back in the backup, too", ids)
	}
	k.wantGaps(t, "restored from a backup", 1)
	k.end(t)
}
