package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// Everything is the scope that hides nothing.
var Everything = record.Scope{AllProjects: true, AllSources: true}

// looked is how many records Verify looks up one by one, at most.
const looked = 200

func isFull(err error) bool { return errors.Is(err, store.ErrFull) }

// List returns all records that q asks for. Where a scan is interrupted, it goes
// on from there.
func List(t testing.TB, s store.Store, q record.Query) []*record.Record {
	t.Helper()
	list, err := list(t.Context(), s, q)
	if err != nil {
		t.Fatalf("scanning: %v", err)
	}
	return list
}

func list(ctx context.Context, s store.Store, q record.Query) (all []*record.Record, err error) {
	for {
		before := q.Before
		for r, err := range s.Scan(ctx, &q) {
			var stopped *store.InterruptedError
			if errors.As(err, &stopped) {
				q.Before = stopped.At
				break
			}
			if err != nil {
				return all, err
			}
			all = append(all, r)
		}
		if q.Before == before {
			return all, nil
		}
	}
}

// Verify reads everything that s has and checks it: in order, each record once,
// no hole in the sequence but where retention has dropped something, and every record
// found by its id, the same byte for byte. It returns the records and begin entries,
// newest first.
func Verify(t testing.TB, s store.Store) []*record.Record {
	t.Helper()
	last := s.Sequence()
	all := List(t, s, record.Query{Scope: Everything, UpTo: last, Bodies: true})
	checkOrder(t, all)
	seen := make(map[uint64]record.ID, len(all))
	entries := uint64(0)
	for _, r := range all {
		if r.Sequence == 0 && r.Outcome == record.OutcomeInProgress {
			entries++
			continue
		}
		if other, ok := seen[r.Sequence]; ok {
			t.Errorf("records %s and %s both have sequence %d", other, r.EventID, r.Sequence)
		}
		seen[r.Sequence] = r.EventID
		if r.Node == "" || r.Boot == "" {
			t.Errorf("record %s has node %q and boot %q", r.EventID, r.Node, r.Boot)
		}
	}
	drops, dropped := drops(t, s), uint64(0)
	missing := 0
	for n := uint64(1); n <= last; n++ {
		if _, ok := seen[n]; !ok {
			if slices.ContainsFunc(drops, func(d drop) bool { return d.First <= n && n <= d.Last }) {
				dropped++
				continue
			}
			if missing++; missing <= 10 {
				t.Errorf("sequence %d of %d is missing", n, last)
			}
		}
	}
	if missing > 0 || uint64(len(all)) != last-dropped+entries {
		t.Errorf("%d records are listed of %d and %d begin entries, %d were dropped, %d are missing", len(all), last, entries, dropped, missing)
	}
	for _, d := range drops {
		dropped -= min(dropped, d.Count)
	}
	if dropped > 0 {
		t.Errorf("%d records more are missing than were dropped", dropped)
	}
	for i := 0; i < len(all); i += 1 + len(all)/looked {
		r, err := s.Get(t.Context(), all[i].EventID)
		if err != nil {
			t.Errorf("getting record %s, sequence %d: %v", all[i].EventID, all[i].Sequence, err)
		} else if diff := diff(all[i], r); diff != "" {
			t.Errorf("record %s is not the same when listed (-) and looked up (+):\n%s", r.EventID, diff)
		}
	}
	return all
}

// drop is what retention says of records that it has dropped.
type drop struct {
	First uint64 `json:"first_sequence"`
	Last  uint64 `json:"last_sequence"`
	Count uint64 `json:"count"`
}

func drops(t testing.TB, s store.Store) (drops []drop) {
	t.Helper()
	for _, r := range List(t, s, record.Query{Scope: Everything, Actions: []string{"retention.drop"}, Bodies: true}) {
		var d drop
		if err := json.Unmarshal(r.RequestBody.Content, &d); r.Source == record.Self && err == nil {
			drops = append(drops, d)
		}
	}
	return drops
}

// checkOrder checks that records are in strictly descending order of their ids.
func checkOrder(t testing.TB, all []*record.Record) {
	t.Helper()
	for i := 1; i < len(all); i++ {
		if all[i].EventID.Compare(all[i-1].EventID) >= 0 {
			t.Errorf("record %s is listed after %s", all[i].EventID, all[i-1].EventID)
		}
	}
}
