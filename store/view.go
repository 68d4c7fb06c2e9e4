package store

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/auditgate/auditgate/record"
)

// Row is one committed record of a [View]: its metadata, and where its bodies are.
type Row struct {
	ID record.ID
	// Sequence is 0 of a begin entry.
	Sequence uint64
	// Meta is what [record.AppendAnnounced] and [record.Record.AppendMeta] wrote. It
	// is shared: not to be changed.
	Meta []byte

	frame             *frame
	at                uint32 // where the request body begins among the frame's records
	request, response uint32 // lengths of the bodies
}

// Node returns the store that took the record.
func (r Row) Node() string { return r.frame.file.node }

// Boot returns the run of the gateway that took the record.
func (r Row) Boot() string { return r.frame.file.boot }

// Bodies reads the contents of both bodies. They are shared: not to be changed.
// Frames read last are cached, so rows in the order of their ids cost about one
// decompression a frame. An error wraps [ErrCorrupt] or [ErrClosed].
func (r Row) Bodies() (request, response []byte, err error) {
	if r.request+r.response == 0 {
		return nil, nil, nil
	}
	raw, err := r.frame.records()
	if err != nil {
		return nil, nil, err
	}
	raw = raw[r.at:]
	return raw[:r.request:r.request], raw[r.request:][:r.response:r.response], nil
}

// Record decodes the row, with the contents of its bodies where they are asked
// for. The record is the caller's. An error wraps [ErrCorrupt] or [ErrClosed].
func (r Row) Record(bodies bool) (*record.Record, error) {
	rec := new(record.Record)
	if err := rec.SetMeta(r.ID, r.Meta); err != nil {
		return nil, fmt.Errorf("%w: record %s: %w", ErrCorrupt, r.ID, err)
	}
	rec.Sequence, rec.Node, rec.Boot = r.Sequence, r.Node(), r.Boot()
	if bodies {
		request, response, err := r.Bodies()
		if err != nil {
			return nil, err
		}
		rec.RequestBody.Content = append([]byte(nil), request...)
		rec.ResponseBody.Content = append([]byte(nil), response...)
	}
	return rec, nil
}

// compareRows orders rows by id. Of the same id the last is the one that counts:
// the record that was committed first, so that what has been seen stays as it is,
// and a begin entry before all records.
func compareRows(a, b Row) int {
	if c := a.ID.Compare(b.ID); c != 0 {
		return c
	}
	return cmp.Compare(b.Sequence-1, a.Sequence-1) // 0 becomes the greatest
}

// VisibleAt reports whether a row of that sequence and metadata is part of the
// snapshot that is pinned at the sequence pin. A begin entry, whose sequence is
// 0, is if it was added when no later record was committed; and then so is the
// record that supersedes it, whenever that comes.
func VisibleAt(pin, sequence uint64, meta []byte) bool {
	return sequence != 0 && sequence <= pin || Visible(pin, sequence, record.Announced(meta))
}

// Visible is [VisibleAt] of metadata that announces next; see [record.Announced].
func Visible(pin, sequence, next uint64) bool {
	return sequence != 0 && sequence <= pin || next != 0 && next-1 <= pin
}

// View is an immutable snapshot of rows. It may be used by many goroutines, and
// costs nothing to have but the room of its rows.
type View struct {
	// A run is a list of rows in the order of compareRows. Those of sealed files
	// stand apart since they change seldom.
	sealed, active [][]Row
	gaps           [][]Row // a list for each file, in order of commit
}

// runs yields all runs.
func (v *View) runs(yield func([]Row) bool) {
	for _, runs := range [...][][]Row{v.sealed, v.active} {
		for _, run := range runs {
			if !yield(run) {
				return
			}
		}
	}
}

// Len returns how many rows the view has, those too that others supersede.
func (v *View) Len() (n int) {
	for run := range v.runs {
		n += len(run)
	}
	return n
}

// Scan yields the rows with from ≤ id, and id < below where that is a bound:
// newest first. Of rows with the same id it yields one: the record that was
// committed first, and a begin entry where there is no record.
func (v *View) Scan(below record.ID, bounded bool, from record.ID) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		var m merge
		for run := range v.runs {
			end := len(run)
			if bounded {
				end = lowerBound(run, below)
			}
			if start := lowerBound(run[:end], from); start < end {
				m = append(m, run[start:end])
			}
		}
		m.init()
		var last record.ID
		for len(m) > 0 {
			if row := m.pop(); row.ID != last {
				last = row.ID
				if !yield(row) {
					return
				}
			}
		}
	}
}

// Find returns the row of that id, the one that Scan yields.
func (v *View) Find(id record.ID) (found Row, ok bool) {
	for run := range v.runs {
		for i := lowerBound(run, id); i < len(run) && run[i].ID == id; i++ {
			if !ok || compareRows(found, run[i]) < 0 {
				found, ok = run[i], true
			}
		}
	}
	return found, ok
}

// Gaps returns the rows that are gap records, oldest first. It reads no others.
func (v *View) Gaps() []Row {
	gaps := slices.Concat(v.gaps...)
	slices.SortFunc(gaps, compareRows)
	return slices.CompactFunc(gaps, func(a, b Row) bool { return a.ID == b.ID })
}

// oldest returns when the oldest row's call began, zero where there is none.
func (v *View) oldest() (t time.Time) {
	for run := range v.runs {
		if first := run[0].ID.Time(); t.IsZero() || first.Before(t) {
			t = first
		}
	}
	return t
}

// lowerBound returns the index of the first row whose id is not below id.
func lowerBound(run []Row, id record.ID) int {
	i, _ := slices.BinarySearchFunc(run, id, func(r Row, id record.ID) int { return r.ID.Compare(id) })
	return i
}

// addRun returns runs with one more. It merges like a binary counter: each run
// is at least twice as long as the next, so there are few, and a row is moved
// about once for each doubling. The runs given are not changed.
func addRun(runs [][]Row, run []Row) [][]Row {
	n := len(runs)
	for ; n > 0 && len(runs[n-1]) < 2*len(run); n-- {
		run = mergeRuns(runs[n-1], run)
	}
	return append(runs[:n:n], run)
}

// mergeRuns leaves out begin entries whose record has come: with `fail closed` every
// call has one.
func mergeRuns(a, b []Row) []Row {
	merged := make([]Row, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		var row Row
		if len(b) == 0 || len(a) > 0 && compareRows(a[0], b[0]) <= 0 {
			row, a = a[0], a[1:]
		} else {
			row, b = b[0], b[1:]
		}
		if last := len(merged) - 1; last >= 0 && merged[last].Sequence == 0 && merged[last].ID == row.ID && row.Sequence != 0 {
			merged[last] = row
		} else {
			merged = append(merged, row)
		}
	}
	return merged
}

// merge is a heap of runs that are read from their ends, on top the one whose
// last row is the newest.
type merge [][]Row

func (m merge) init() {
	for i := len(m)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
}

// pop takes the newest row.
func (m *merge) pop() Row {
	top := (*m)[0]
	row := top[len(top)-1]
	if (*m)[0] = top[:len(top)-1]; len(top) == 1 {
		last := len(*m) - 1
		(*m)[0] = (*m)[last]
		*m = (*m)[:last]
	}
	m.sink(0)
	return row
}

func (m merge) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(m) {
			return
		}
		if child+1 < len(m) && m.newer(child+1, child) {
			child++
		}
		if !m.newer(child, i) {
			return
		}
		m[i], m[child] = m[child], m[i]
		i = child
	}
}

func (m merge) newer(i, j int) bool {
	return compareRows(m[i][len(m[i])-1], m[j][len(m[j])-1]) > 0
}
