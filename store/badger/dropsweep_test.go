package badger_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	faulty "github.com/auditgate/auditgate/store/disk"
	"github.com/auditgate/auditgate/store/storetest"
)

// Each operation of ours on the disk fails, once alone and once with all that come
// after it, while a segment is dropped; then the machine stops, or the gateway ends,
// and the next start finds what is left.
func TestDropThatFailsAnywhereIsFinishedAndRecordedOnce(t *testing.T) {
	base, clock := filepath.Join(quickDir(t), "store"), newClock()
	k := openKept(t, base, clock, store.Retention{})
	k.add(t, record.ClassReads, 31)
	want := k.add(t, record.ClassWrites, 31)
	storetest.Close(t, k.Store)
	for _, after := range []bool{false, true} {
		hits := make(map[string]int)
		for n := int64(1); ; n += int64(stride(3)) {
			dir := filepath.Join(quickDir(t), "store")
			copyDir(t, base, dir)
			f := &faults{dir: dir, nth: n, after: after, err: syscall.EIO}
			k := openKept(t, dir, clock, store.Retention{})
			k.SetRetention(usual)
			faulty.Inject(f.before)
			wait := time.Minute
			if after { // what never comes is not waited for
				wait = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			err := k.Sweep(ctx)
			cancel()
			name := "no operation failed"
			if hit := f.hit.Load(); hit != nil {
				name = fmt.Sprintf("operation %d (%s) failed, and those after it: %v", n, *hit, after)
				hits[*hit]++
			}
			crashed := filepath.Join(quickDir(t), "crashed")
			copyDir(t, dir, crashed) // as the kernel would keep it, while nothing is written
			faulty.Inject(nil)
			k.end(t)
			for _, dir := range []string{dir, crashed} {
				k := openKept(t, dir, clock, usual)
				k.sweep(t)
				ids, drops := k.split(t)
				if len(ids) != 1 || ids[0] != want || len(drops) != 1 {
					t.Errorf("%s: there are %v and %d drops, want %s and 1; it said %v", name, ids, len(drops), want, err)
				}
				if left, err := os.ReadDir(filepath.Join(dir, "trash")); err != nil || len(left) > 0 {
					t.Errorf("%s: %d directories are left of what was dropped, %v", name, len(left), err)
				}
				storetest.Close(t, k.Store)
			}
			if f.hit.Load() == nil {
				t.Logf("%d operations, of these failed: %v", f.seen.Load(), hits)
				break
			}
		}
	}
}
