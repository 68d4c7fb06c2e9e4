package store

import (
	"slices"
	"sync"
	"time"
)

// figures are what the committer has to tell about its work.
type figures struct {
	mu      sync.Mutex // guards all below
	stored  uint64
	commits CommitStats
	failure error // why the last write failed; nil if it did not
}

// add counts a commit of so many records.
func (f *figures) add(records uint64, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored += records
	f.commits.Count++
	f.commits.Seconds += took.Seconds()
	for i, bound := range CommitBuckets {
		if took.Seconds() <= bound {
			f.commits.Buckets[i]++
		}
	}
}

// setFailure returns the failure before.
func (f *figures) setFailure(err error) (before error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, f.failure = f.failure, err
	return before
}

func (f *figures) health() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure
}

func (f *figures) stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Stats{Stored: f.stored, Commits: f.commits}
	s.Commits.Buckets = slices.Clone(s.Commits.Buckets)
	return s
}

func newFigures() *figures {
	return &figures{commits: CommitStats{Buckets: make([]uint64, len(CommitBuckets))}}
}
