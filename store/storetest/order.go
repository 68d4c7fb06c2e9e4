package storetest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// newestFirst returns the ids of records in the order of listings.
func newestFirst(records []*record.Record) []record.ID {
	ids := idsOf(records)
	slices.SortFunc(ids, func(a, b record.ID) int { return b.Compare(a) })
	return ids
}

func idsOf(records []*record.Record) []record.ID {
	ids := make([]record.ID, 0, len(records))
	for _, r := range records {
		ids = append(ids, r.EventID)
	}
	return ids
}

func newestFirstWithEqualTimestamps(t *testing.T, open Open) {
	maker, now := NewRecords(10), time.Now()
	var records []*record.Record
	for i := range 300 {
		records = append(records, maker.At(record.IDAt(now.Add(time.Duration(i/100)*time.Microsecond))))
	}
	want := newestFirst(records)
	stages(t, open, records, func(t *testing.T, s store.Store) {
		if diff := cmp.Diff(want, idsOf(List(t, s, record.Query{Scope: Everything}))); diff != "" {
			t.Errorf("the order is wrong (-want +got):\n%s", diff)
		}
		// A page that begins in the middle of a timestamp.
		if diff := cmp.Diff(want[151:], idsOf(List(t, s, record.Query{Scope: Everything, Before: want[150]}))); diff != "" {
			t.Errorf("before the 151st the order is wrong (-want +got):\n%s", diff)
		}
	})
}

func longCallsStayInOrder(t *testing.T, open Open) {
	maker, rng, now := NewRecords(11), rand.New(rand.NewPCG(11, 0)), time.Now()
	var records []*record.Record
	for i := range 800 {
		began := now.Add(time.Duration(i) * time.Millisecond)
		switch i % 50 {
		case 7:
			began = began.Add(-time.Duration(rng.Int64N(int64(30 * time.Minute))))
		case 23:
			began = began.Add(-time.Duration(rng.Int64N(int64(72 * time.Hour))))
		}
		records = append(records, maker.At(record.IDAt(began)))
	}
	want := newestFirst(records)
	stages(t, open, records, func(t *testing.T, s store.Store) {
		if diff := cmp.Diff(want, idsOf(List(t, s, record.Query{Scope: Everything}))); diff != "" {
			t.Errorf("the order is wrong (-want +got):\n%s", diff)
		}
		for range 5 {
			from := rng.IntN(len(want))
			to := min(from+100, len(want))
			q := record.Query{Scope: Everything, Before: want[from], From: want[to-1].Time()}
			got := idsOf(List(t, s, q))
			var model []record.ID
			for _, id := range want {
				if id.Compare(q.Before) < 0 && !id.Time().Before(q.From) {
					model = append(model, id)
				}
			}
			if diff := cmp.Diff(model, got); diff != "" {
				t.Fatalf("from %v, before %s (-want +got):\n%s", q.From, q.Before, diff)
			}
		}
	})
}

func sequenceHasNoHoles(t *testing.T, open Open) {
	dir := t.TempDir()
	var added int
	for range 3 { // times that it is opened
		s := open(t, dir)
		if got := s.Sequence(); got != uint64(added) {
			t.Errorf("opened: sequence is %d, want %d", got, added)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				maker := NewRecords(uint64(20 + i))
				for range 25 {
					Add(t, s, maker.Next(), maker.Next())
				}
			})
		}
		wg.Wait()
		added += 200
		Pack(t, s)
		if n := len(Verify(t, s)); n != added {
			t.Errorf("%d records are listed, want %d", n, added)
		}
		Close(t, s)
	}
}
