package storetest

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

func summariesCount(t *testing.T, open Open) {
	maker, rng, now := NewRecords(35), rand.New(rand.NewPCG(35, 0)), time.Now()
	var records []*record.Record
	for i := range 600 {
		r := maker.At(record.IDAt(now.Add(time.Duration(rng.Int64N(int64(time.Hour))))))
		if i%50 == 0 {
			r = Gap(r.EventID, r.EndTime, "nova", 1)
		}
		records = append(records, r)
	}
	stages(t, open, records, func(t *testing.T, s store.Store) {
		model := List(t, s, record.Query{Scope: Everything, Bodies: true})
		check := func(name string, q record.Query) {
			t.Helper()
			by := store.Grouping{Interval: 7 * time.Minute, Facets: store.Facets, Top: 1 + rng.IntN(20)}
			want := store.NewTally(by)
			for _, r := range model {
				if q.Match(r) && q.MatchWords(r) {
					want.Add(r)
				}
			}
			if diff := cmp.Diff(want.Summary(), summary(t, s, q, by)); diff != "" {
				t.Fatalf("%s: query %+v\n(-want +got):\n%s", name, q, diff)
			}
		}
		check("all", record.Query{Scope: Everything})
		check("nothing", record.Query{Scope: record.Scope{}})
		for _, c := range conditions {
			q := record.Query{Scope: Everything}
			c.narrow(&q, rng, model[rng.IntN(len(model))])
			check(c.name, q)
		}
	})
}

// summary counts all that q asks for. Where counting is interrupted, it goes on
// from there.
func summary(t *testing.T, s store.Store, q record.Query, by store.Grouping) *store.Summary {
	t.Helper()
	got := store.NewTally(by)
	for err := s.Summarize(t.Context(), &q, got); err != nil; err = s.Summarize(t.Context(), &q, got) {
		var interrupted *store.InterruptedError
		if !errors.As(err, &interrupted) {
			t.Fatalf("summarizing: %v", err)
		}
		q.Before = interrupted.At
	}
	return got.Summary()
}
