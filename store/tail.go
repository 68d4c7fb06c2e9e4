package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
)

// Sealed is a journal file that is not written any more. It has at least one
// record or begin entry.
type Sealed struct {
	file    *file
	view    *View
	entries []Row // begin entries that no record of the file supersedes, until Drop has copied them
}

// First returns the sequence of the file's first record.
func (s *Sealed) First() uint64 { return s.file.first }

// Last returns the sequence of the file's last record; First()-1 where it has begin
// entries alone. From First to Last there is no hole, but where the file was damaged.
func (s *Sealed) Last() uint64 { return s.file.last }

// Node returns the store that wrote the file.
func (s *Sealed) Node() string { return s.file.node }

// Boot returns the run of the gateway that wrote the file.
func (s *Sealed) Boot() string { return s.file.boot }

// Sync waits until all of the file is on stable storage, with any durability.
func (s *Sealed) Sync() error { return s.file.f.Sync() }

// View returns the records of this file alone, without its begin entries.
func (s *Sealed) View() *View { return s.view }

// newSealed gathers what f has into one run of records and one of begin entries.
// f is not written any more.
func newSealed(f *file) *Sealed {
	for len(f.runs) > 1 {
		n := len(f.runs)
		f.runs = append(f.runs[:n-2:n-2], mergeRuns(f.runs[n-2], f.runs[n-1]))
	}
	s := &Sealed{file: f, view: &View{sealed: f.runs, gaps: [][]Row{f.gaps}}}
	if !slices.ContainsFunc(f.runs[0], func(r Row) bool { return r.Sequence == 0 }) {
		return s
	}
	var records []Row
	for i, row := range f.runs[0] {
		switch {
		case row.Sequence != 0:
			records = append(records, row)
		case i+1 == len(f.runs[0]) || f.runs[0][i+1].ID != row.ID:
			s.entries = append(s.entries, row)
		}
	}
	if s.view.sealed = nil; len(records) > 0 {
		s.view.sealed = [][]Row{records}
	}
	return s
}

// tail is all that can be read: the sealed files, and the active one, which the
// committer writes.
type tail struct {
	view     atomic.Pointer[View]
	sequence atomic.Uint64 // newest committed

	// mu guards all below, and the order in which views are published. Readers of
	// views do not need it.
	mu     sync.Mutex
	sealed []*Sealed // oldest first
	active *file
	end    int64   // where the frames of active end
	size   int64   // bytes of active on disk
	runs   [][]Row // of all sealed files
	gaps   [][]Row
}

// newTail begins with files of earlier runs, of which those with rows are
// sealed, and the active one.
func newTail(files []*file, active *file) *tail {
	t := &tail{active: active, end: active.end, size: active.limit}
	for _, f := range files {
		if f.hasRows() {
			t.sealed = append(t.sealed, newSealed(f))
		}
	}
	t.sequence.Store(active.first - 1)
	t.sort()
	return t
}

// add shows newly committed rows of the active file: a run, and those of them
// that are gaps.
func (t *tail) add(run, gaps []Row, last uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.active
	f.runs, f.gaps, f.last = addRun(f.runs, run), append(f.gaps, gaps...), last
	t.end, t.size = f.end, max(t.size, f.end)
	t.publish()
	t.sequence.Store(last)
}

// turn makes next the active file. The one before is sealed if it has rows, and
// goes if not. It reports whether a file was sealed.
func (t *tail) turn(next *file) (sealed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if sealed = t.active.hasRows(); sealed {
		t.sealed = append(t.sealed, newSealed(t.active))
	} else {
		t.active.discard()
	}
	t.active, t.end, t.size = next, next.end, next.limit
	t.sort()
	return sealed
}

// isOldest reports whether s is the oldest sealed file.
func (t *tail) isOldest(s *Sealed) bool {
	list := t.list()
	return len(list) > 0 && list[0] == s
}

// dropEntries leaves out the begin entries of s, which stand elsewhere.
func (t *tail) dropEntries(s *Sealed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.entries = nil
	t.sort()
}

// drop removes the oldest sealed file. What is missing behind it was told of when this
// run began, or never there: it is not told of again.
func (t *tail) drop(s *Sealed) error {
	if err := noteDropped(filepath.Dir(s.file.path), max(s.Last(), t.second()-1)); err != nil {
		return fmt.Errorf("dropping journal file: %w", err)
	}
	if err := s.file.remove(); err != nil { // without mu: the committer does not wait for this
		return fmt.Errorf("dropping journal file: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sealed = t.sealed[1:]
	t.sort()
	return nil
}

// sort gathers the rows of the sealed files anew. The caller holds mu.
func (t *tail) sort() {
	t.runs, t.gaps = nil, nil
	for _, s := range t.sealed {
		t.runs = append(t.runs, s.view.sealed...)
		if len(s.entries) > 0 {
			t.runs = append(t.runs, s.entries)
		}
		t.gaps = append(t.gaps, s.view.gaps...)
	}
	t.publish()
}

// publish shows what has changed. The caller holds mu.
func (t *tail) publish() {
	t.view.Store(&View{
		sealed: t.runs,
		active: t.active.runs,
		gaps:   append(t.gaps[:len(t.gaps):len(t.gaps)], t.active.gaps),
	})
}

// second returns where the file begins that comes after the oldest sealed one.
func (t *tail) second() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.sealed) > 1 {
		return t.sealed[1].file.first
	}
	return t.active.first
}

// list returns the sealed files.
func (t *tail) list() []*Sealed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.sealed)
}

// bytes returns what the files take on disk.
func (t *tail) bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.size
	for _, s := range t.sealed {
		n += s.file.end
	}
	return n
}

// close closes the files. Views can no longer read bodies.
func (t *tail) close() (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sealed {
		err = errors.Join(err, s.file.f.Close())
	}
	return errors.Join(err, t.active.f.Close())
}
