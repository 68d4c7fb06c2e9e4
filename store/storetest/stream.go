package storetest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
)

func pagesShowEachStreamOnce(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	maker, rng := NewRecords(67), rand.New(rand.NewPCG(67, 0))
	live := map[record.ID]*record.Record{} // streams that go on, by the id of their record to be
	visible := map[record.ID]bool{}        // everything that was committed
	announced := map[record.ID]uint64{}    // of streams, the newest sequence when they began
	next := func() *record.Record {        // some began a while ago
		return maker.At(record.IDAt(time.Now().Add(-time.Duration(rng.IntN(60)) * time.Second)))
	}
	// step does something to the store, as others do while pages are read.
	step := func() {
		switch what := rng.IntN(20); {
		case what < 8:
			r := next()
			announced[r.EventID] = s.Sequence()
			Add(t, s, Entry(r))
			live[r.EventID], visible[r.EventID] = r, true
		case what < 14 && len(live) > 0:
			ids := slices.SortedFunc(maps.Keys(live), record.ID.Compare)
			id := ids[rng.IntN(len(ids))]
			Add(t, s, live[id])
			delete(live, id)
		case what < 19:
			r := next()
			Add(t, s, r)
			visible[r.EventID] = true
		default:
			Pack(t, s)
		}
	}
	for range 60 {
		step()
	}
	for _, limit := range []int{1, 3, 20} {
		for range 3 {
			pinned, want := s.Sequence(), maps.Clone(visible)
			q := record.Query{Scope: Everything, UpTo: pinned}
			var all []*record.Record
			for {
				p := page(t, s, q, limit)
				all = append(all, p...)
				if len(p) < limit {
					break
				}
				q.Before = p[len(p)-1].EventID
				if rng.IntN(len(want)) < 40 { // about as often for each size of pages
					step()
				}
			}
			checkOrder(t, all)
			for _, r := range all {
				if at, stream := announced[r.EventID]; !want[r.EventID] && (!stream || at > pinned) {
					t.Errorf("record %s of sequence %d is on a page pinned at %d", r.EventID, r.Sequence, pinned)
				}
				delete(want, r.EventID)
			}
			for id := range want {
				t.Errorf("pages of %d: %s was committed before the first page, and is on none", limit, id)
			}
		}
	}
	for _, r := range live {
		Add(t, s, r)
	}
	if all := Verify(t, s); len(all) != len(visible) || uint64(len(all)) != s.Sequence() {
		t.Errorf("%d records are listed, want those of %d calls and nothing in progress", len(all), len(visible))
	}
	Close(t, s)
}

func streamsComeAndGo(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	const writers, each = 4, 60
	first := make([]record.ID, writers) // of each writer, a stream that goes on all the time
	for i := range first {
		e := Entry(NewRecords(uint64(70 + i)).Next())
		first[i] = e.EventID
		Add(t, s, e)
	}
	stop := make(chan struct{})
	var readers, busy sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				all, err := list(t.Context(), s, record.Query{Scope: Everything})
				if err != nil {
					t.Errorf("scanning: %v", err)
					return
				}
				checkOrder(t, all)
				for _, id := range first {
					if !slices.ContainsFunc(all, func(r *record.Record) bool { return r.EventID == id }) {
						t.Errorf("stream %s is not listed", id)
					}
				}
			}
		})
	}
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				Pack(t, s)
			}
		}
	})
	for i := range writers {
		busy.Go(func() {
			maker := NewRecords(uint64(80 + i))
			for range each {
				r := maker.Next()
				Add(t, s, Entry(r))
				add(t, s, r)
			}
		})
	}
	busy.Wait()
	close(stop)
	readers.Wait()
	if all := Verify(t, s); len(all) != writers*each+writers || s.Sequence() != writers*each {
		t.Errorf("%d calls are listed after sequence %d, want %d that have ended and %d streams", len(all), s.Sequence(), writers*each, writers)
	}
	Close(t, s)
	s = open(t, dir)
	if all := Verify(t, s); len(all) != writers*each+writers {
		t.Errorf("%d records are listed after all, want %d", len(all), writers*each+writers)
	}
	Close(t, s)
}
