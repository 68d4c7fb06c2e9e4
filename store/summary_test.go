package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// In whatever order the records come, the newest intervals are told whole.
func TestSummaryTellsTheNewestIntervalsWhole(t *testing.T) {
	const intervals, each = 3*store.MaxIntervals + 7, 2
	var times []time.Time
	for i := range intervals * each {
		times = append(times, time.Unix(int64(i/each)*60+int64(i%each), 0))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, order := range []string{"newest first", "oldest first", "any"} {
		tally := store.NewTally(store.Grouping{Interval: time.Minute})
		switch order {
		case "any":
			rng.Shuffle(len(times), func(i, j int) { times[i], times[j] = times[j], times[i] })
			fallthrough
		case "oldest first":
			for _, when := range times {
				tally.AddTime(when, when.Second() == 1)
			}
		case "newest first":
			for i := range times {
				when := times[len(times)-1-i]
				tally.AddTime(when, when.Second() == 1)
			}
		}
		s := tally.Summary()
		if s.Count != intervals*each || len(s.Times) != store.MaxIntervals || s.Older != (intervals-store.MaxIntervals)*each {
			t.Fatalf("%s: %d records, %d intervals, %d older", order, s.Count, len(s.Times), s.Older)
		}
		for i, got := range s.Times {
			want := store.TimeCount{Start: time.Unix(int64(intervals-1-i)*60, 0).UTC(), Count: each, No: 1}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s: interval %d (-want +got):\n%s", order, i, diff)
			}
		}
	}
}

func TestSummaryTellsHowManyHaveOtherValues(t *testing.T) {
	tally := store.NewTally(store.Grouping{Facets: []store.Facet{store.FacetUser, store.FacetObjectType}, Top: 2})
	for i := range 10 {
		tally.Add(&record.Record{Actor: record.Actor{UserID: fmt.Sprint("u", min(i, 4))}})
	}
	tally.Add(new(record.Record)) // has no value, which is none of the others
	s := tally.Summary()
	want := &store.Summary{
		Count: 11,
		Facets: map[store.Facet][]store.ValueCount{
			store.FacetUser: {{Value: "u4", Count: 6}, {Value: "u0", Count: 1}}, store.FacetObjectType: {},
		},
		Others: map[store.Facet]uint64{store.FacetUser: 3, store.FacetObjectType: 0},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
