package badger_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	faulty "github.com/auditgate/auditgate/store/disk"
	"github.com/auditgate/auditgate/store/storetest"
)

// segmentOf is the directory of the segment that add has made for records of that age.
func (k *kept) segmentOf(dir string, class record.Class, days int) string {
	return filepath.Join(dir, "segments", k.clock.ago(days).Format(time.DateOnly)+"."+string(class))
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestSegmentSetAsideGoesWithItsTime(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	k := openKept(t, dir, clock, store.Retention{})
	for _, days := range []int{10, 20, 30} {
		k.add(t, record.ClassReads, days)
		k.add(t, record.ClassWrites, days)
	}
	storetest.Close(t, k.Store)
	aside := map[int]string{}
	for _, days := range []int{10, 20, 30} {
		seg := k.segmentOf(dir, record.ClassReads, days)
		spoil(t, seg)
		aside[days] = filepath.Join(dir, "quarantine", filepath.Base(seg)+".1")
	}
	// Of this one nobody knows what it held.
	if err := os.Truncate(filepath.Join(k.segmentOf(dir, record.ClassReads, 20), "segment.json"), 0); err != nil {
		t.Fatal(err)
	}
	k = openKept(t, dir, clock, store.Retention{})
	sizes := k.Stats().Bytes
	k.split(t) // which opens them
	if got := k.Stats().Bytes; got < sizes {
		t.Errorf("the store takes %d bytes with some of it set aside, before %d", got, sizes)
	}
	want := func(there ...int) {
		t.Helper()
		left := 0
		for _, days := range there {
			left++
			if !exists(t, aside[days]) {
				t.Errorf("%s is gone", aside[days])
			}
		}
		entries, err := os.ReadDir(filepath.Join(dir, "quarantine"))
		if err != nil || len(entries) != left {
			t.Errorf("set aside are %v, %v; want %d", entries, err, left)
		}
		err = k.Health()
		for _, days := range there {
			if err == nil || !strings.Contains(err.Error(), aside[days]) {
				t.Errorf("health: %v; want %s in it", err, aside[days])
			}
		}
		if len(there) == 0 && err != nil {
			t.Errorf("health, with nothing set aside: %v", err)
		}
	}
	want(10, 20, 30)
	k.SetRetention(store.Retention{Writes: 400 * store.Day, Reads: 25 * store.Day})
	k.sweep(t)
	want(10, 20)
	k.end(t)

	k = openKept(t, dir, clock, store.Retention{Writes: 400 * store.Day, Reads: 15 * store.Day}) // and a restart
	k.sweep(t)
	want(10)
	if _, drops := k.split(t); len(drops) != 2 {
		t.Errorf("%d drops are recorded, want 2", len(drops))
	} else {
		if bytes.Contains(drops[0].RequestBody.Content, []byte("2026-10-29.reads.1")) { // they are of one moment
			slices.Reverse(drops)
		}
		wantText(t, string(drops[0].RequestBody.Content), `"segment":"2026-11-08.reads.1"`, `"class":"reads"`, `"range_unknown":true`)
		wantText(t, string(drops[1].RequestBody.Content), `"segment":"2026-10-29.reads.1"`, `"class":"reads"`, `"reason":"age"`, `"count":1`, `"oldest":"2026-10-29T`)
		wantText(t, drops[1].Description, "set aside")
	}
	// The volume is too full.
	k.SetRetention(store.Retention{Writes: 400 * store.Day, Reads: 400 * store.Day, Disk: 90})
	k.SetVolume(huge, func() int64 { return 0 })
	k.sweep(t)
	want()
	if _, drops := k.split(t); len(drops) != 3 {
		t.Errorf("%d drops are recorded, want 3", len(drops))
	}
	if entries, err := os.ReadDir(filepath.Join(dir, "trash")); err != nil || len(entries) > 0 {
		t.Errorf("left in the trash: %v %v", entries, err)
	}
	k.end(t)
}

func TestSegmentThatIsBroughtBackClosesItsGap(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	k := openKept(t, dir, clock, store.Retention{})
	id := k.add(t, record.ClassReads, 10)
	storetest.Close(t, k.Store)
	seg := k.segmentOf(dir, record.ClassReads, 10)
	sound := filepath.Join(t.TempDir(), "sound")
	copyDir(t, seg, sound)
	spoil(t, seg)
	gaps := func() int {
		t.Helper()
		gaps, err := k.Gaps(t.Context(), time.Time{}, time.Time{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(gaps)
	}
	reopen := func(r store.Retention) {
		t.Helper()
		k.end(t)
		k = openKept(t, dir, clock, r)
	}
	k = openKept(t, dir, clock, store.Retention{})
	k.split(t) // which opens it
	aside := filepath.Join(dir, "quarantine", filepath.Base(seg)+".1")
	if n := gaps(); n != 1 || !exists(t, aside) {
		t.Fatalf("%d gaps, want one; %s is there: %v", n, aside, exists(t, aside))
	}
	reopen(store.Retention{})
	if n := gaps(); n != 1 {
		t.Errorf("after a restart %d gaps, want one", n)
	}
	k.end(t)

	back := filepath.Join(dir, "segments", filepath.Base(aside))
	if err := os.Rename(aside, back); err != nil {
		t.Fatal(err)
	}
	if err := copyFile(one(sound, "*.sst"), one(back, "*.sst")); err != nil {
		t.Fatal(err)
	}
	k = openKept(t, dir, clock, store.Retention{})
	k.split(t)
	if n := gaps(); n != 0 {
		t.Errorf("%d gaps, want none any more", n)
	}
	if k.logged("is back") != 1 {
		t.Errorf("the log does not say once that it is back: %q", k.said)
	}
	if _, err := k.Get(t.Context(), id); err != nil {
		t.Errorf("its record: %v", err)
	}
	if err := k.Health(); err != nil {
		t.Error("health:", err)
	}

	// It is no other than it was: found damaged, it is set aside again, and kept for its time.
	k.end(t)
	spoil(t, back)
	k = openKept(t, dir, clock, store.Retention{})
	k.split(t)
	if n := gaps(); n == 0 {
		t.Error("its gap is not told again")
	}
	k.end(t)
	if err := os.RemoveAll(aside + ".1"); err != nil {
		t.Fatal(err)
	}
	copyDir(t, sound, back+".1")
	k = openKept(t, dir, clock, store.Retention{})
	k.split(t)
	if n := gaps(); n != 0 {
		t.Errorf("%d gaps, want both closed", n)
	}
	reopen(store.Retention{Writes: 400 * store.Day, Reads: 5 * store.Day})
	k.sweep(t)
	if exists(t, back+".1") {
		t.Error("it is kept for longer than its class")
	}
	k.end(t)
}

// Not with others: it lets operations fail. The rename is done, so the new place counts,
// whether or not the disk has that already.
func TestSegmentSetAsideStandsWhereItWasMovedTo(t *testing.T) {
	dir, clock := filepath.Join(quickDir(t), "store"), newClock()
	k := openKept(t, dir, clock, store.Retention{})
	k.add(t, record.ClassReads, 10)
	storetest.Close(t, k.Store)
	seg := k.segmentOf(dir, record.ClassReads, 10)
	if err := cut(one(seg, "*.sst"), 0); err != nil {
		t.Fatal(err)
	}
	aside := filepath.Join(dir, "quarantine", filepath.Base(seg)+".1")
	faulty.Inject(func(op, path string) error {
		if op == "syncdir" && path == filepath.Dir(aside) {
			return syscall.EIO
		}
		return nil
	})
	defer faulty.Inject(nil)
	k = openKept(t, dir, clock, store.Retention{})
	k.split(t) // which opens it
	if k.logged(filepath.Dir(aside)+": input/output error") == 0 {
		t.Errorf("the log does not tell of the failed sync: %q", k.said)
	}
	if err := k.Health(); err == nil || !strings.Contains(err.Error(), aside) {
		t.Errorf("health: %v, want %s in it", err, aside)
	}
	if b, err := k.Backup(t.Context(), func(string, int64, io.Reader) error { return nil }); err != nil || len(b.Missing) != 1 {
		t.Errorf("a backup misses %v, %v; want what is set aside", b, err)
	}
	k.SetRetention(store.Retention{Writes: 400 * store.Day, Reads: 5 * store.Day})
	faulty.Inject(nil)
	k.sweep(t)
	if exists(t, aside) {
		t.Error("it does not go with its time")
	}
	k.end(t)
}
