package store_test

import (
	"context"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// TestJournalIsAListOfWhatWasAdded does random things and compares the journal
// with a list after each.
func TestJournalIsAListOfWhatWasAdded(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	options := store.JournalOptions{Durability: store.OS, FileSize: 4 << 10, Batch: 2 << 10}
	dir := quickDir(t)
	j := open(t, dir, options)
	var kept []*record.Record // in the order of their sequences
	var dropped int
	for range 150 {
		switch what := rng.IntN(20); {
		case what < 14:
			var commits []*store.Commit
			for range rng.IntN(10) {
				r := newCall("nova")
				if rng.IntN(4) == 0 { // a call that lasted long
					r = newCall("glance")
					r.EventID = record.IDAt(r.Timestamp.Add(-time.Duration(rng.IntN(1000)) * time.Millisecond))
					r.Timestamp = r.EventID.Time()
				}
				c, err := j.Add(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				kept, commits = append(kept, r), append(commits, c)
			}
			for _, c := range commits {
				if err := c.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		case what < 16:
			if err := j.Seal(); err != nil {
				t.Fatal(err)
			}
		case what < 18:
			if sealed := j.Sealed(); len(sealed) > 0 {
				dropped = int(sealed[0].Last())
				if err := j.Drop(t.Context(), sealed[0]); err != nil {
					t.Fatal(err)
				}
			}
		case what < 19:
			shut(t, j)
			j = open(t, dir, options)
		default: // killed
			crashed := snapshot(t, dir)
			if err := j.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			os.RemoveAll(dir)
			dir = crashed
			j = open(t, dir, options)
		}

		want := slices.Clone(kept[dropped:])
		for i, r := range want {
			row, ok := j.View().Find(r.EventID)
			if !ok {
				t.Fatalf("record %d is not found", dropped+i+1)
			}
			r.Sequence, r.Boot = uint64(dropped+i+1), row.Boot()
		}
		slices.SortFunc(want, func(a, b *record.Record) int { return b.EventID.Compare(a.EventID) })
		if got := records(t, j.View()); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) { // cmp takes minutes for all of them
			t.Fatal(cmp.Diff(want, got))
		}
		if j.Sequence() != uint64(len(kept)) {
			t.Fatalf("sequence is %d, want %d", j.Sequence(), len(kept))
		}
	}
}
