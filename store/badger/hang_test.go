package badger_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/storetest"
)

func TestReaderThatHangsPutsADropOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := openKept(t, dir, newClock(), store.Retention{})
	old := k.add(t, record.ClassReads, 31)
	seg := k.segmentOf(dir, record.ClassReads, 31)
	k.SetLeaveTimeout(1)
	leave := k.Hold(t, filepath.Base(seg))
	k.SetRetention(usual)
	for range 2 { // it is tried again
		if err := k.Sweep(t.Context()); err == nil {
			t.Error("it was dropped while somebody reads it")
		}
		if _, err := k.Get(t.Context(), old); err != nil {
			t.Error("it is not read meanwhile:", err)
		}
	}
	want := k.add(t, record.ClassReads, 1) // packing goes on
	leave()
	k.SetLeaveTimeout(time.Minute)
	k.sweep(t)
	k.want(t, 1, want)
	if exists(t, seg) {
		t.Error("it is there after the reader has left")
	}
	storetest.Close(t, k.Store)
}
