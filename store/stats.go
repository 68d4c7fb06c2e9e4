package store

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// figures are what the committer has to tell about its work.
type figures struct {
	mu      sync.Mutex // guards all below
	stored  uint64
	commits CommitStats
	failure error         // why the last write failed; nil if it did not
	failing chan struct{} // closed while failure is set
	began   time.Time     // when the write that goes on began; zero where there is none
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
	switch {
	case before == nil && err != nil:
		close(f.failing)
	case before != nil && err == nil:
		f.failing = make(chan struct{})
	}
	return before
}

// begin and end are around each write.
func (f *figures) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.began = time.Now()
}

func (f *figures) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.began = time.Time{}
}

// writable returns why nothing can be written just now, or else a channel that is
// closed when a write fails.
func (f *figures) writable() (failing <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		return nil, f.failure
	}
	if !f.began.IsZero() {
		if took := time.Since(f.began); took > hangTime {
			return nil, fmt.Errorf("%w: it has been writing for %v", errHangs, took.Round(time.Second))
		}
	}
	return f.failing, nil
}

// errHangs says that the disk does not come back from a write.
var errHangs = errors.New("the disk hangs")

func (f *figures) health() error {
	_, err := f.writable()
	return err
}

func (f *figures) stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Stats{Stored: f.stored, Commits: f.commits}
	s.Commits.Buckets = slices.Clone(s.Commits.Buckets)
	return s
}

func newFigures() *figures {
	return &figures{failing: make(chan struct{}), commits: CommitStats{Buckets: make([]uint64, len(CommitBuckets))}}
}
