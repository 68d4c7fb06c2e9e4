package store_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// gate is a clock that stops the committer while it is locked.
type gate struct{ sync.Mutex }

func (g *gate) now() time.Time {
	g.Lock()
	defer g.Unlock()
	return time.Now()
}

// bare is r without its bodies, as a receipt has set room aside for it.
func bare(r *record.Record) *record.Record {
	b := *r
	b.RequestBody.Content, b.ResponseBody.Content = nil, nil
	return &b
}

func TestReceiptIsStoredWhenItReturns(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	call := j.Counter("nova")
	r := newCall("nova")
	call.Begin()
	if err := j.Receipt(t.Context(), bare(begin(r)), call); err != nil {
		t.Fatal(err)
	}
	crashed := snapshot(t, dir) // as after a kill at this moment
	if row, ok := j.View().Find(r.EventID); !ok || row.Sequence != 0 {
		t.Errorf("found %v, sequence %d: want the receipt", ok, row.Sequence)
	}
	keep(t, j, r, call)
	if got := outcomes(t, j.View()); got[record.OutcomeComplete] != 1 || len(got) != 1 {
		t.Errorf("%v, want the record alone", got)
	}
	j = open(t, crashed, store.JournalOptions{})
	if got := outcomes(t, j.View()); got[record.OutcomeUnfinished] != 1 || len(got) != 1 {
		t.Errorf("after the kill: %v, want one that is unfinished", got)
	}
}

func TestReceiptGivesUpWhenItsContextEnds(t *testing.T) {
	var clock gate
	j := open(t, t.TempDir(), store.JournalOptions{Now: clock.now})
	call := j.Counter("nova")
	clock.Lock()
	call.Begin()
	r := newCall("nova")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := j.Receipt(ctx, bare(begin(r)), call); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
	if _, err := j.Add(r, call); err != nil { // how the call was refused
		t.Error(err)
	}
	clock.Unlock()
	waitFor(t, "the record is stored", func() bool { return j.Sequence() == 1 })
	if got := outcomes(t, j.View()); got[record.OutcomeComplete] != 1 || len(got) != 1 {
		t.Errorf("%v, want one record", got)
	}
}

func TestRecordOfAReceiptHasItsRoomWhateverElseWaits(t *testing.T) {
	var clock gate
	const limit = 256 << 10
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{Now: clock.now, Queue: limit})
	call := j.Counter("nova")
	var promised []*record.Record
	for {
		r := newCall("nova")
		call.Begin()
		err := j.Receipt(t.Context(), bare(begin(r)), call)
		if errors.Is(err, store.ErrFull) {
			call.Lose("full", time.Now())
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		r.ResponseBody.Content = []byte(strings.Repeat("x", 2*store.CompletionRoom))
		promised = append(promised, r)
	}
	if n := len(promised); n < 8 || n > limit/2/store.CompletionRoom {
		t.Fatalf("%d receipts had room in %d bytes", n, limit)
	}
	clock.Lock() // now nothing is written
	lost := uint64(1)
	for others := 0; others < 2*limit/100; others++ {
		call.Begin()
		if _, err := j.Add(newCall("nova"), call); errors.Is(err, store.ErrFull) {
			go call.Lose("full", time.Now()) // it asks the clock
			lost++
		}
	}
	if lost == 1 {
		t.Fatal("the queue is not full")
	}
	refused := 0
	for _, r := range promised {
		if _, err := j.Add(r, call); errors.Is(err, store.ErrFull) {
			refused++ // its body is larger than what was set aside
			if _, err := j.Add(bare(r), call); err != nil {
				t.Errorf("the record of a receipt was refused: %v", err)
			}
		} else if err != nil {
			t.Error(err)
		}
	}
	if refused == 0 {
		t.Error("no record was larger than its room")
	}
	clock.Unlock()
	waitFor(t, "all that was lost is counted", func() bool { return j.Stats().Lost["full"] == lost })
	shut(t, j)
	for _, r := range promised {
		if row, ok := j.View().Find(r.EventID); !ok || row.Sequence == 0 {
			t.Errorf("%s has a receipt and no record", r.EventID)
		}
	}
	if n, err := store.Begun(dir, "nova"); err != nil || count(t, j.View(), "nova").total() != n {
		t.Errorf("%d calls begun (%v): %+v", n, err, count(t, j.View(), "nova"))
	}
}

func TestReceiptOfAnAnnouncedCallSetsRoomAside(t *testing.T) {
	var clock gate
	j := open(t, t.TempDir(), store.JournalOptions{Now: clock.now, Queue: 64 << 10})
	call := j.Counter("nova")
	r := newCall("nova")
	call.Begin()
	keep(t, j, bare(begin(r)), call)
	for range 2 {
		if err := j.Receipt(t.Context(), bare(begin(r)), call); err != nil {
			t.Fatal(err)
		}
	}
	clock.Lock()
	for full := false; !full; {
		_, err := j.Add(newCall("nova"), nil)
		full = errors.Is(err, store.ErrFull)
	}
	if _, err := j.Add(bare(r), call); err != nil {
		t.Errorf("its record was refused: %v", err)
	}
	clock.Unlock()
}

func TestSupersededReceiptsDoNotStayInMemory(t *testing.T) {
	j := open(t, quickDir(t), store.JournalOptions{Durability: store.OS})
	const calls = 256
	for range calls {
		r := newCall("nova")
		if err := j.Receipt(t.Context(), bare(begin(r)), nil); err != nil {
			t.Fatal(err)
		}
		keep(t, j, r, nil)
	}
	if n := j.View().Len(); n > calls+calls/8 {
		t.Errorf("%d rows of %d calls are held", n, calls)
	}
	if n := len(records(t, j.View())); n != calls {
		t.Errorf("%d calls are listed, want %d", n, calls)
	}
}

func TestReceiptDoesNotWaitForADiskThatHangs(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	call := j.Counter("nova")
	release, hangs := make(chan struct{}), make(chan struct{}, 100)
	disk.Inject(func(op, path string) error {
		if op == "datasync" && strings.HasPrefix(path, dir) {
			hangs <- struct{}{}
			<-release
		}
		return nil
	})
	defer disk.Inject(nil)
	ask := func(ctx context.Context) error {
		r := newCall("nova")
		call.Begin()
		err := j.Receipt(ctx, bare(begin(r)), call)
		if _, err := j.Add(r, call); err != nil {
			t.Error(err)
		}
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-hangs; cancel() }() // ends with the first write
	if err := ask(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v, want the end of its context", err)
	}
	waitFor(t, "the disk is known to hang", func() bool { return j.Health() != nil })
	if err := ask(context.Background()); err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("while it hangs: %v, want that said at once", err)
	}
	close(release)
	waitFor(t, "the disk is well again", func() bool { return j.Health() == nil && j.Stats().Waiting == 0 })
	if err := ask(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	shut(t, j)
	if got := count(t, j.View(), "nova"); got.records != 3 || got.total() != 3 {
		t.Errorf("%+v, want 3 records", got)
	}
}
