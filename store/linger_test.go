package store_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// These tests have a clock of their own, which goes on when everybody waits for it, and
// not while somebody is at work: how busy the machine is does not matter.

// add adds a record that nobody waits for.
func add(t *testing.T, j *store.Journal) *store.Commit {
	t.Helper()
	c, err := j.Add(newCall("nova"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantCommitted wants so many records in so many commits, once everybody waits.
func wantCommitted(t *testing.T, j *store.Journal, records, commits uint64) {
	t.Helper()
	synctest.Wait()
	if got := j.Stats(); j.Sequence() != records || got.Commits.Count != commits {
		t.Errorf("%d records are there, in %d commits, want %d in %d", j.Sequence(), got.Commits.Count, records, commits)
	}
}

// lingering is a journal with one record, where a commit would linger.
func lingering(t *testing.T, o store.JournalOptions) *store.Journal {
	t.Helper()
	j := open(t, t.TempDir(), o)
	add(t, j)
	wantCommitted(t, j, 1, 1) // none was before it
	return j
}

func TestRecordsThatNobodyWaitsForShareOneCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := lingering(t, store.JournalOptions{})
		const n = 200
		for range n {
			add(t, j)
		}
		time.Sleep(store.LeastBetween - 1)
		wantCommitted(t, j, 1, 1)
		time.Sleep(time.Nanosecond)
		wantCommitted(t, j, n+1, 2)
		add(t, j)
		wantCommitted(t, j, n+1, 2)
		time.Sleep(store.LeastBetween)
		wantCommitted(t, j, n+2, 3)
		shut(t, j)
	})
}

func TestCommitDoesNotLingerWhenItIsWanted(t *testing.T) {
	for what, want := range map[string]func(t *testing.T, j *store.Journal, c *store.Commit){
		"somebody waits": func(t *testing.T, j *store.Journal, c *store.Commit) {
			if err := c.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"a receipt": func(t *testing.T, j *store.Journal, _ *store.Commit) {
			r := newCall("nova")
			r.Outcome = record.OutcomeInProgress
			if err := j.Receipt(t.Context(), r, j.Counter("nova")); err != nil {
				t.Error(err)
			}
		},
		"half a batch": func(t *testing.T, j *store.Journal, _ *store.Commit) {
			r := newCall("nova")
			r.RequestBody.Content = make([]byte, 33<<10)
			if _, err := j.Add(r, nil); err != nil {
				t.Error(err)
			}
		},
		"closing": func(t *testing.T, j *store.Journal, _ *store.Commit) { shut(t, j) },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := lingering(t, store.JournalOptions{Batch: 64 << 10})
				c := add(t, j)
				wantCommitted(t, j, 1, 1)
				start := time.Now()
				want(t, j, c)
				synctest.Wait()
				if j.Sequence() < 2 {
					t.Error("the record is not committed")
				}
				if late := time.Since(start); late > 0 {
					t.Errorf("it was committed after %v", late)
				}
				shut(t, j)
			})
		})
	}
}

func TestBatchesThatWaitAlreadyAreNotLingeredFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j := open(t, dir, store.JournalOptions{Batch: 1}) // each record is one
		waiting, goOn := hang(t, dir)
		add(t, j)
		<-waiting
		for range 5 {
			add(t, j)
		}
		start := time.Now()
		goOn()
		wantCommitted(t, j, 6, 6)
		if late := time.Since(start); late > 0 {
			t.Errorf("they were committed after %v", late)
		}
		shut(t, j)
	})
}

func TestOnlyACommitLetsTheNextOneLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := lingering(t, store.JournalOptions{})
		time.Sleep(store.LeastBetween)
		j.Oldest(time.Now()) // which wakes the committer
		wantCommitted(t, j, 1, 1)
		add(t, j)
		wantCommitted(t, j, 2, 2)
		shut(t, j)
	})
}
