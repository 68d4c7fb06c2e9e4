package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

func counterIsOneForASource(t *testing.T, open Open) {
	s := open(t, t.TempDir())
	defer Close(t, s)
	if a, b := s.Counter("nova"), s.Counter("nova"); a != b {
		t.Error("two counters of one source")
	}
	if a, b := s.Counter("nova"), s.Counter("glance"); a == b {
		t.Error("one counter for two sources")
	}
}

func lostCallsBecomeGaps(t *testing.T, open Open) {
	dir := t.TempDir()
	s := open(t, dir)
	maker := NewRecords(60)
	const begun, lost = 50, 20
	nova, glance := s.Counter("nova"), s.Counter("glance")
	for i := range begun {
		nova.Begin()
		if i < lost {
			nova.Lose("full", time.Now())
			continue
		}
		if _, err := s.Add(maker.Next(), nova); err != nil {
			t.Fatal(err)
		}
	}
	glance.Begin()
	glance.Lose("panic", time.Now())
	Close(t, s)

	s = open(t, dir)
	counts := make(map[string]uint64)
	gaps, err := s.Gaps(t.Context(), time.Time{}, time.Time{}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gaps {
		if g.Outcome != record.OutcomeGap || g.EndTime.Before(g.Timestamp) {
			t.Errorf("a gap is %+v", g)
		}
		counts[g.Source+" "+g.Gap.Reason] += g.Gap.Count
	}
	if diff := cmp.Diff(map[string]uint64{"nova full": lost, "glance panic": 1}, counts); diff != "" {
		t.Errorf("the gaps count otherwise (-want +got):\n%s", diff)
	}
	if all := Verify(t, s); len(all) != begun-lost+len(gaps) {
		t.Errorf("%d records are listed, want %d and %d gaps", len(all), begun-lost, len(gaps))
	}
	Close(t, s)
}

func gapsAreFoundByTheirStretch(t *testing.T, open Open) {
	maker, start := NewRecords(61), time.Now().Add(-48*time.Hour).Truncate(time.Hour).UTC()
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	stretches := []struct{ from, to int }{{0, 1440}, {10, 10}, {20, 30}, {40, 50}, {40, 45}, {1000, 1001}}
	var gaps []*record.Record
	var records []*record.Record
	for i, g := range stretches {
		gap := Gap(record.IDAt(at(g.from)), at(g.to), "nova", uint64(i+1))
		gaps = append(gaps, gap)
		self := maker.At(record.IDAt(at(g.from)))
		self.Source = record.Self
		records = append(records, gap, self, maker.At(record.IDAt(at(g.from))))
	}
	stages(t, open, records, func(t *testing.T, s store.Store) {
		for _, test := range []struct{ from, to, limit int }{
			{-1, -1, 100},
			{-1, -1, 2},
			{-1, -1, 0},
			{15, -1, 100},
			{-1, 15, 100},
			{25, 26, 100},
			{30, 31, 100},
			{31, 32, 100},
			{11, 20, 100},
			{10, 11, 100},
			{45, 46, 100},
			{46, 47, 100},
			{2000, -1, 100},
			{-1, 0, 100},
			{41, 1001, 2},
		} {
			var from, to time.Time // -1: no bound
			if test.from >= 0 {
				from = at(test.from)
			}
			if test.to >= 0 {
				to = at(test.to)
			}
			got, err := s.Gaps(t.Context(), from, to, test.limit)
			if err != nil {
				t.Fatal(err)
			}
			for i := 1; i < len(got); i++ {
				if got[i-1].EventID.Compare(got[i].EventID) >= 0 {
					t.Errorf("from %d to %d: gaps are not oldest first", test.from, test.to)
				}
			}
			var want []*record.Record
			for _, g := range got { // in the order of ids, which is chance where they begin together
				for _, w := range gaps {
					if g.EventID == w.EventID {
						want = append(want, w)
					}
				}
			}
			count := 0
			for _, g := range stretches {
				if (test.from < 0 || g.to >= test.from) && (test.to < 0 || g.from < test.to) {
					count++
				}
			}
			if len(got) != min(count, test.limit) || len(want) != len(got) {
				t.Errorf("from %d to %d: %d gaps are found, want %d", test.from, test.to, len(got), min(count, test.limit))
				continue
			}
			for i := range got {
				if diff := Diff(want[i], got[i]); diff != "" {
					t.Errorf("from %d to %d (-added +found):\n%s", test.from, test.to, diff)
				}
				if test.to >= 0 && !want[i].Timestamp.Before(to) || want[i].EndTime.Before(from) {
					t.Errorf("from %d to %d: a gap from %v to %v is found", test.from, test.to, want[i].Timestamp, want[i].EndTime)
				}
			}
		}
	})
}
