package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// page returns the first records of a scan, at most limit of them.
func page(t *testing.T, s store.Store, q record.Query, limit int) (page []*record.Record) {
	t.Helper()
	for {
		before := q.Before
		for r, err := range s.Scan(t.Context(), &q) {
			var stopped *store.InterruptedError
			if errors.As(err, &stopped) {
				q.Before = stopped.At
				break
			}
			if err != nil {
				t.Errorf("scanning: %v", err)
				return page
			}
			if page = append(page, r); len(page) == limit {
				return page
			}
		}
		if q.Before == before {
			return page
		}
	}
}

func pagesAreASnapshot(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	// Each page lets a writer go on, so that they keep pace.
	goOn := make(chan struct{}, 8)
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			maker := NewRecords(uint64(40 + i))
			for range goOn {
				// Some calls began a while ago: they come to stand among pages
				// that were read already.
				Add(t, s, maker.Next(), maker.At(record.IDAt(time.Now().Add(-time.Minute))))
			}
		})
	}
	for range 40 {
		goOn <- struct{}{}
	}
	Pack(t, s)
	for _, limit := range []int{1, 7, 100} {
		pinned := s.Sequence()
		q := record.Query{Scope: Everything, UpTo: pinned, Bodies: true}
		var all []*record.Record
		for pages := 0; ; pages++ {
			select {
			case goOn <- struct{}{}:
			default:
			}
			p := page(t, s, q, limit)
			all = append(all, p...)
			if len(p) < limit {
				break
			}
			q.Before = p[len(p)-1].EventID
			if pages%50 == 5 {
				Pack(t, s) // rows move meanwhile
			}
		}
		checkOrder(t, all)
		if uint64(len(all)) != pinned {
			t.Errorf("pages of %d have %d records, want all %d up to the pinned sequence", limit, len(all), pinned)
		}
		seen := make(map[uint64]bool)
		for _, r := range all {
			if seen[r.Sequence] || r.Sequence > pinned {
				t.Errorf("pages of %d have sequence %d twice, or above %d", limit, r.Sequence, pinned)
			}
			seen[r.Sequence] = true
		}
	}
	close(goOn)
	writers.Wait()
	Verify(t, s)
	Close(t, s)
}

func scanIsASnapshot(t *testing.T, open Open) {
	maker := NewRecords(50)
	var records []*record.Record
	for range 300 {
		records = append(records, maker.Next())
	}
	want := newestFirst(records)
	s := open(t, t.TempDir())
	Add(t, s, records[:150]...)
	Pack(t, s)
	Add(t, s, records[150:]...)
	var got []record.ID
	for r, err := range s.Scan(t.Context(), &record.Query{Scope: Everything}) {
		var stopped *store.InterruptedError
		if errors.As(err, &stopped) {
			got = append(got, idsOf(List(t, s, record.Query{Scope: Everything, UpTo: 300, Before: stopped.At}))...)
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, r.EventID); len(got)%50 == 10 {
			Add(t, s, maker.Next(), maker.At(record.IDAt(want[len(want)-1].Time().Add(time.Microsecond))))
			Pack(t, s)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a scan is not what was there when it began (-want +got):\n%s", diff)
	}
	Verify(t, s)
	Close(t, s)
}

func scanEndsWithItsContext(t *testing.T, open Open) {
	maker := NewRecords(51)
	records := []*record.Record{maker.Next(), maker.Next(), maker.Next(), maker.Next()}
	stages(t, open, records, func(t *testing.T, s store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got int
		var last error
		for _, err := range s.Scan(ctx, &record.Query{Scope: Everything}) {
			got, last = got+1, err
			cancel()
		}
		if got != 2 || !errors.Is(last, context.Canceled) {
			t.Errorf("the scan went on to item %d, %v; want the context's error as the second", got, last)
		}
		for _, err := range s.Scan(t.Context(), &record.Query{Scope: Everything}) {
			if err != nil {
				t.Error(err)
			}
			break // whoever has enough says so, and nothing more comes
		}
	})
}

func closeEndsScans(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	maker := NewRecords(52)
	for range 10 {
		for range 50 {
			add(t, s, maker.Next())
		}
		Pack(t, s)
	}
	scanning := make(chan struct{}, 8)
	var scans sync.WaitGroup
	for range 8 {
		scans.Go(func() {
			for {
				_, err := list(t.Context(), s, record.Query{Scope: Everything, Bodies: true})
				select {
				case scanning <- struct{}{}:
				default:
				}
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("scanning while the store closes: %v, want ErrClosed", err)
					return
				}
			}
		})
	}
	for range 8 {
		<-scanning
	}
	Close(t, s)
	scans.Wait()
	s = open(t, dir)
	if n := len(Verify(t, s)); n != 500 {
		t.Errorf("%d records are listed after all, want 500", n)
	}
	Close(t, s)
}

func closedStoreSaysSo(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	if err := s.Health(); err != nil {
		t.Errorf("Health of an open store: %v", err)
	}
	r := NewRecords(53).Next()
	Add(t, s, r)
	Close(t, s)
	_, adding := s.Add(NewRecords(54).Next(), nil)
	_, getting := s.Get(t.Context(), r.EventID)
	_, scanning := list(t.Context(), s, record.Query{Scope: Everything})
	_, gaps := s.Gaps(t.Context(), time.Time{}, time.Time{}, 10)
	for name, err := range map[string]error{"Add": adding, "Get": getting, "Scan": scanning, "Gaps": gaps, "Health": s.Health()} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s of a closed store: %v, want ErrClosed", name, err)
		}
	}
	if err := s.Close(t.Context()); err != nil && !errors.Is(err, store.ErrClosed) {
		t.Errorf("closing twice: %v", err)
	}
	s.Stats() // of no use any more, and no panic
}

func addedBeforeCloseIsKept(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	var records []*record.Record
	for maker := NewRecords(55); len(records) < 500; {
		r := maker.Next()
		records = append(records, r)
		add(t, s, r) // and nobody waits
	}
	Close(t, s)
	s = open(t, dir)
	if diff := cmp.Diff(newestFirst(records), idsOf(Verify(t, s))); diff != "" {
		t.Errorf("what was added before Close (-added +kept):\n%s", diff)
	}
	Close(t, s)
}
