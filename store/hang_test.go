package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// hang lets all operations on files below dir wait that write or sync, until the
// returned function is called. waiting has a value for each that does.
func hang(t *testing.T, dir string) (waiting chan string, goOn func()) {
	t.Helper()
	release := make(chan struct{})
	waiting = make(chan string, 1000)
	disk.Inject(func(op, path string) error {
		if strings.HasPrefix(path, dir) && op != "read" {
			waiting <- op
			<-release
		}
		return nil
	})
	goOn = sync.OnceFunc(func() {
		close(release)
		disk.Inject(nil)
	})
	t.Cleanup(goOn)
	return waiting, goOn
}

// If one of these calls waited for the disk, this test would not end.
func TestDiskThatHangsHoldsUpNobodyAndNothingIsLostUncounted(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{Queue: 256 << 10, Batch: 16 << 10})
	begun := map[string]int{}
	refused := 0
	pass := func(source string) {
		call := j.Counter(source)
		call.Begin()
		begun[source]++
		if _, err := j.Add(newCall(source), call); errors.Is(err, store.ErrFull) {
			call.Lose("store", time.Now())
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	pass("nova")
	waiting, goOn := hang(t, dir)
	pass("nova")
	<-waiting
	for _, source := range []string{"glance", "heat", "trove"} { // nobody has heard of them before
		pass(source)
	}
	waitFor(t, "the disk is known to hang", func() bool { pass("nova"); return j.Health() != nil })
	waitFor(t, "there is no room for more", func() bool { pass("glance"); return refused > 10 })
	if got := j.Stats().Waiting; got > 257<<10 {
		t.Errorf("%d bytes wait, want no more than were allowed", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	call := j.Counter("closed")
	r := newCall("closed")
	call.Begin()
	begun["closed"]++
	if err := j.Receipt(ctx, bare(begin(r)), call); err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("a receipt, meanwhile: %v, want that the disk hangs", err)
	}
	call.Abandon(r.EventID, "store", time.Now())

	goOn()
	waitFor(t, "all is stored", func() bool { return j.Health() == nil && j.Stats().Waiting == 0 })
	shut(t, j)
	for source, n := range begun {
		if got := count(t, j.View(), source); got.total() != uint64(n) {
			t.Errorf("%s: %d begun, %+v", source, n, got)
		}
	}
	checkSequences(t, j.View(), j.Sequence())
}

func TestSlowDiskCostsPatienceAlone(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{FileSize: 32 << 10, Queue: 32 << 10, Batch: 4 << 10})
	disk.Inject(func(op, path string) error {
		if strings.HasPrefix(path, dir) {
			time.Sleep(rand.N(10 * time.Millisecond))
		}
		return nil
	})
	defer disk.Inject(nil)
	call := j.Counter("nova")
	begun, refused := 0, 0
	for refused < 100 {
		r := newCall("nova")
		call.Begin()
		begun++
		receipt := begun%500 == 0 && j.Receipt(t.Context(), bare(begin(r)), call) == nil
		if _, err := j.Add(r, call); errors.Is(err, store.ErrFull) && !receipt {
			call.Abandon(r.EventID, "store", time.Now())
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "all is stored", func() bool { return j.Stats().Waiting == 0 })
	if err := j.Health(); err != nil {
		t.Error(err)
	}
	shut(t, j)
	if got := count(t, j.View(), "nova"); got.total() != uint64(begun) || got.gaps["store"] != uint64(refused) {
		t.Errorf("%d begun, %d refused: %+v", begun, refused, got)
	}
}
