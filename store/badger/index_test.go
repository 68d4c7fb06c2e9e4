package badger_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

func TestFiltersMissNothingAndPassLittle(t *testing.T) {
	for _, test := range []struct{ units, words, names int }{{1, 1, 1}, {3, 0, 5}, {40, 6000, 500}} {
		missed, words, names, err := badger.PassedFilters(test.units, test.words, test.names)
		if err != nil || missed > 0 {
			t.Fatalf("%+v: %d tokens are missing, %v", test, missed, err)
		}
		t.Logf("%+v: %d words and %d names pass", test, words, names)
		if asked := test.units * test.words; words > 2+asked*15/1000 {
			t.Errorf("%d of %d words pass", words, asked)
		}
		if asked := test.units * test.names; names > 2+asked/1000 {
			t.Errorf("%d of %d names pass", names, asked)
		}
	}
}

// Blocks that were written before there were indexes, beside those with them.
func TestBlocksWithoutIndexesAreFiltered(t *testing.T) {
	dir := t.TempDir()
	maker, start := storetest.NewRecords(5), time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	fill := func() {
		s := opener(badger.Options{})(t, dir)
		var records []*record.Record
		for i := range 1500 {
			records = append(records, maker.At(record.IDAt(start.Add(time.Duration(i)*time.Second))))
		}
		storetest.Add(t, s, records...)
		storetest.Close(t, s)
	}
	fill()
	stripped, err := badger.StripIndexes(dir)
	if err != nil || stripped == 0 {
		t.Fatalf("%d entries stripped, %v", stripped, err)
	}
	fill()
	s := opener(badger.Options{})(t, dir)
	defer s.Close(t.Context())
	all := storetest.Verify(t, s)
	for _, r := range all[:40] {
		for name, q := range map[string]record.Query{
			"user": {Users: []string{r.UserName}}, "request id": {RequestID: r.RequestID}, "uri": {URI: record.ParsePattern(r.URI)},
			"words": {Words: record.Words(r.RequestHeaders.Get("Authorization"))}, "source": {Sources: []string{r.Source}},
		} {
			q.Scope = storetest.Everything
			var want, got []record.ID
			for _, r := range all {
				if q.Match(r) && q.MatchWords(r) {
					want = append(want, r.EventID)
				}
			}
			for _, r := range storetest.List(t, s, q) {
				got = append(got, r.EventID)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s of %s (-want +got):\n%s", name, r.EventID, diff)
			}
			tally := store.NewTally(store.Grouping{})
			if err := s.Summarize(t.Context(), &q, tally); err != nil || tally.Summary().Count != uint64(len(want)) {
				t.Fatalf("%s of %s: %d are counted, %v, want %d", name, r.EventID, tally.Summary().Count, err, len(want))
			}
		}
	}
}

func TestSegmentWhoseValuesDoNotMatchIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	s := opener(badger.Options{})(t, dir)
	maker, start := storetest.NewRecords(5), time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for day := range 3 {
		r := maker.At(record.IDAt(start.AddDate(0, 0, day)))
		r.Method, r.Source, r.Status, r.Action, r.ActionAliases = "POST", fmt.Sprint("source ", day), 200+day, "server.stop", []string{fmt.Sprint("alias ", day)}
		storetest.Add(t, s, r)
		storetest.Pack(t, s)
	}
	storetest.Close(t, s)
	for name, test := range map[string]struct {
		query record.Query
		found int
	}{
		"source": {record.Query{Sources: []string{"source 1"}}, 1},
		"status": {record.Query{Statuses: []record.StatusRange{{Min: 201, Max: 201}}}, 1},
		"alias":  {record.Query{Actions: []string{"alias 1"}}, 1},
		"action": {record.Query{Actions: []string{"server."}, Sources: []string{"source 1"}}, 1},
		"scope":  {record.Query{Scope: record.Scope{AllProjects: true, Sources: []string{"source 1"}}}, 1},
		"nobody": {record.Query{Scope: record.Scope{AllSources: true, Projects: []string{"nobody"}}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := opener(badger.Options{})(t, dir)
			defer s.Close(t.Context())
			if !test.query.Scope.AllProjects && !test.query.Scope.AllSources {
				test.query.Scope = storetest.Everything
			}
			if list := storetest.List(t, s, test.query); len(list) != test.found {
				t.Errorf("%d records are found, want %d", len(list), test.found)
			}
			if open := s.(*badger.Store).OpenSegments(); open != test.found {
				t.Errorf("%d segments were opened, want %d", open, test.found)
			}
		})
	}
}

// Words that stand in every sub-block, though never in one record, must not keep a
// scan from ending, nor from going on.
func TestScanIsBoundedByBytes(t *testing.T) {
	s := opener(badger.Options{ScanBytes: 300 << 10})(t, t.TempDir())
	defer s.Close(t.Context())
	maker, start := storetest.NewRecords(5), time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var records []*record.Record
	for i := range 2500 {
		records = append(records, maker.At(record.IDAt(start.Add(time.Duration(i)*time.Millisecond))))
	}
	storetest.Add(t, s, records...)
	storetest.Pack(t, s)
	q := record.Query{Scope: storetest.Everything, Words: []string{"servers", "volumes"}}
	stops, before := 0, record.ID{}
	for {
		var stopped *store.InterruptedError
		for r, err := range s.Scan(t.Context(), &q) {
			if err != nil && !errors.As(err, &stopped) {
				t.Fatal(err)
			}
			if r != nil {
				t.Fatalf("record %s with URI %s is found", r.EventID, r.URI)
			}
		}
		if stopped == nil {
			break
		}
		if stops++; !before.IsZero() && stopped.At.Compare(before) >= 0 {
			t.Fatalf("stopped at %s and then at %s", before, stopped.At)
		}
		before, q.Before = stopped.At, stopped.At
	}
	if stops < 10 {
		t.Errorf("stopped %d times only", stops)
	}
}
