package store_test

import (
	"testing"

	"github.com/auditgate/auditgate/store"
)

func TestRecordsThatNobodyWaitsForShareTheirCommit(t *testing.T) {
	const n = 200
	j := open(t, t.TempDir(), store.JournalOptions{})
	var last *store.Commit
	for range n {
		var err error
		if last, err = j.Add(newCall("nova"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := j.Stats().Commits.Count; got > n/4 {
		t.Errorf("%d records that came at once took %d commits", n, got)
	}
	if got := len(records(t, j.View())); got != n {
		t.Errorf("%d records are there once the last is, want %d", got, n)
	}
	shut(t, j)
}

func TestRecordThatNobodyWaitsForIsCommitted(t *testing.T) {
	j := open(t, t.TempDir(), store.JournalOptions{})
	for n := 1; n <= 5; n++ {
		r := newCall("nova")
		if _, err := j.Add(r, nil); err != nil {
			t.Fatal(err)
		}
		for found := false; !found && t.Context().Err() == nil; {
			_, found = j.View().Find(r.EventID)
		}
	}
	shut(t, j)
}

func TestLingeringCommitIsDoneByClose(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	for range 50 {
		if _, err := j.Add(newCall("nova"), nil); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, j)
	j = open(t, dir, store.JournalOptions{})
	if got := len(records(t, j.View())); got != 50 {
		t.Errorf("%d records are there after a close, want 50", got)
	}
	shut(t, j)
}
