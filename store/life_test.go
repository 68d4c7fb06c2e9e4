package store_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// life is a journal whose files are dropped, and what was in those.
type life struct {
	*store.Journal
	options   store.JournalOptions
	all       bool // calls have begin entries
	begun     int
	live      []*record.Record   // calls that go on
	announced map[record.ID]bool // those that have begin entries
	dropped   []*record.Record   // what was in files that are gone
}

// step does something that happens to a journal.
func (l *life) step(t *testing.T, rng *rand.Rand) {
	call := l.Counter("nova")
	switch what := rng.IntN(10); {
	case what < 3:
		r := newCall("nova")
		call.Begin()
		l.begun++
		l.live = append(l.live, r)
		if what > 0 || l.all {
			_, err := l.Add(begin(r), call)
			l.announced[r.EventID] = err == nil
		}
	case what < 7 && len(l.live) > 0:
		i, last := rng.IntN(len(l.live)), len(l.live)-1
		r := l.live[i]
		l.live[i], l.live = l.live[last], l.live[:last]
		if what == 3 {
			call.Abandon(r.EventID, "test", time.Now())
			return
		}
		c, err := l.Add(r, call)
		if err != nil {
			call.Abandon(r.EventID, "test", time.Now())
		} else if what == 4 {
			_ = c.Wait(t.Context())
		}
	case what == 7:
		if err := l.Seal(); err != nil {
			t.Fatal(err)
		}
	case what == 8 && len(l.Sealed()) > 0:
		s := l.Sealed()[0]
		for _, r := range records(t, s.View()) {
			l.dropped = append(l.dropped, r)
			l.options.After = max(l.options.After, r.Sequence)
		}
		if err := l.Drop(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// told returns how many calls the books tell of, each call that was announced by
// its own record.
func (l *life) told(t *testing.T) (n int) {
	t.Helper()
	named := map[record.ID]bool{}
	for _, r := range slices.Concat(l.dropped, records(t, l.View())) {
		named[r.EventID] = true
		switch {
		case r.Outcome == record.OutcomeInProgress:
			t.Errorf("%s is in progress after a start", r.EventID)
		case r.Gap != nil:
			n += int(r.Gap.Count)
		default:
			n++
		}
	}
	for id, announced := range l.announced {
		if announced && !named[id] {
			t.Errorf("%s was announced, and there is no record of it", id)
		}
	}
	return n
}

func TestEveryCallIsToldOfOnceWhateverHappens(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 0))
		dir := quickDir(t)
		l := &life{all: seed%2 == 0, announced: map[record.ID]bool{}, options: store.JournalOptions{
			Durability: store.OS, FileSize: 1 + rng.Int64N(8<<10), Batch: 1 + rng.Int64N(8<<10), Queue: 64 << 10,
			Log: func(string, error) {},
		}}
		l.Journal = open(t, dir, l.options)
		for round := range 4 {
			for range 60 {
				l.step(t, rng)
			}
			l.live = nil
			if rng.IntN(2) == 0 {
				dir = killQuiet(t, l, dir, rng)
			}
			shut(t, l.Journal)
			l.Journal = open(t, dir, l.options)
			if n := l.told(t); n != l.begun {
				t.Fatalf("seed %d, round %d: %d calls have begun, %d are in the books", seed, round, l.begun, n)
			}
		}
		shut(t, l.Journal)
	}
}

// killQuiet returns a copy of the journal as a kill leaves it while nothing is
// written; now and then the start after that is cut off, too.
func killQuiet(t *testing.T, l *life, dir string, rng *rand.Rand) string {
	t.Helper()
	waitFor(t, "nothing waits", func() bool { return l.Stats().Waiting == 0 })
	if err := l.Seal(); err != nil { // which waits for the commit that goes on
		t.Fatal(err)
	}
	crashed := snapshot(t, dir)
	if rng.IntN(2) == 0 {
		return crashed
	}
	started := snapshot(t, crashed)
	shut(t, open(t, started, l.options))
	name, data := newest(t, started)
	if _, err := os.Stat(filepath.Join(crashed, name)); err != nil { // it is of this start
		cut := len(data) // after all that it writes, or in the midst of that
		if rng.IntN(2) == 0 {
			cut = store.FirstFrame + rng.IntN(len(data)-store.FirstFrame)
		}
		write(t, filepath.Join(crashed, name), data[:cut])
	}
	return crashed
}
