package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// tinyDisk mounts a file system of so many KiB.
func tinyDisk(t *testing.T, kib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dk", kib)); err != nil {
		t.Skipf("NOT TESTED: a small file system cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the room that a disk has left.
func fill(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "of another process")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return file
}

func TestFullDiskIsWaitedOutAndNothingIsLost(t *testing.T) {
	disk := tinyDisk(t, 512)
	dir := filepath.Join(disk, "journal")
	j := open(t, dir, store.JournalOptions{FileSize: 64 << 10, Queue: 64 << 10, Batch: 4 << 10})
	call := j.Counter("nova")
	begun, refused := 0, 0
	add := func() {
		call.Begin()
		begun++
		if _, err := j.Add(newCall("nova"), call); errors.Is(err, store.ErrFull) {
			call.Lose("queue", time.Now())
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for round := range 3 {
		other := fill(t, disk)
		waitFor(t, "the journal needs more room", func() bool { add(); return j.Health() != nil })
		if !errors.Is(j.Health(), syscall.ENOSPC) {
			t.Fatalf("health: %v, want ENOSPC", j.Health())
		}
		waitFor(t, "the queue is full", func() bool { add(); return refused > round })
		stored := j.Sequence()
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the journal goes on by itself", func() bool { return j.Health() == nil && j.Stats().Waiting == 0 })
		if j.Sequence() <= stored {
			t.Fatal("nothing was stored when there was room again")
		}
	}
	shut(t, j)
	got := count(t, j.View(), "nova")
	if got.total() != uint64(begun) || got.gaps["queue"] != uint64(refused) {
		t.Errorf("%d begun, %d refused; %+v", begun, refused, got)
	}
	checkSequences(t, j.View(), j.Sequence())

	j = open(t, dir, store.JournalOptions{})
	if again := count(t, j.View(), "nova"); again.total() != uint64(begun) {
		t.Errorf("after a restart: %+v, want %+v", again, got)
	}
	checkSequences(t, j.View(), j.Sequence())
}

func TestFullDiskAtCloseIsCountedByTheNextStart(t *testing.T) {
	disk := tinyDisk(t, 256)
	dir := filepath.Join(disk, "journal")
	j := open(t, dir, store.JournalOptions{FileSize: 32 << 10})
	call := j.Counter("nova")
	other := fill(t, disk)
	begun := 0
	waitFor(t, "the journal needs more room", func() bool {
		call.Begin()
		begun++
		_, err := j.Add(newCall("nova"), call)
		return err != nil || j.Health() != nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Close(ctx); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("closing without patience: %v, want why records were given up", err)
	}
	if err := j.Close(context.Background()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("waiting for the end: %v, want why records were given up", err)
	}
	if _, err := store.OpenJournal(dir, store.JournalOptions{FileSize: 32 << 10}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("opening on a full disk: %v, want ENOSPC", err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	j = open(t, dir, store.JournalOptions{FileSize: 32 << 10})
	if got := count(t, j.View(), "nova"); got.total() != uint64(begun) || got.gaps[store.ReasonKilled] == 0 {
		t.Errorf("%d begun: %+v", begun, got)
	}
}

func TestReceiptIsRefusedAtOnceWhereTheDiskIsFull(t *testing.T) {
	disk := tinyDisk(t, 512)
	dir := filepath.Join(disk, "journal")
	// Not all of the file can be set aside, so room is taken as it is needed.
	j := open(t, dir, store.JournalOptions{FileSize: 1 << 20})
	call := j.Counter("nova")
	var passed []record.ID
	begun := 0
	receive := func() error {
		r := newCall("nova")
		call.Begin()
		begun++
		err := j.Receipt(t.Context(), bare(begin(r)), call)
		if err == nil {
			passed = append(passed, r.EventID)
		} else {
			r.Status = 503
		}
		if _, err := j.Add(r, call); err != nil {
			call.Abandon(r.EventID, "store", time.Now())
		}
		return err
	}
	var slowest time.Duration
	for range 3 {
		other := fill(t, disk)
		refused := 0
		waitFor(t, "receipts are refused", func() bool {
			began := time.Now()
			if err := receive(); err != nil {
				slowest = max(slowest, time.Since(began))
				if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, store.ErrFull) {
					t.Fatal(err)
				}
				refused++
			}
			return refused > 20
		})
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
		taken := 0
		waitFor(t, "receipts are taken again", func() bool {
			if receive() == nil {
				taken++
			}
			return taken == 50
		})
	}
	t.Logf("%d of %d receipts were taken, the others refused after %v at most", len(passed), begun, slowest)
	shut(t, j)
	for _, id := range passed {
		if row, ok := j.View().Find(id); !ok || row.Sequence == 0 {
			t.Errorf("%s passed and is no record", id)
		}
	}
	if got := count(t, j.View(), "nova"); got.total() != uint64(begun) {
		t.Errorf("%d begun: %+v", begun, got)
	}
}
