// Package store keeps records: the contract of every store, and the journal
// that a local store is built on.
//
// A store takes finished records, in any order, from many goroutines, and
// commits them in batches; each commit gives its records their place in one
// gapless sequence. What is committed can be listed, newest first, and looked
// up by its ID. A call that goes on for long has a begin entry until it ends.
// Calls that could not be recorded are counted, and each count becomes a record
// of its own, a gap: begun calls = records + gaps.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/auditgate/auditgate/record"
)

// The errors that callers tell apart.
var (
	// ErrNotFound: no record of that ID is kept.
	ErrNotFound = errors.New("no such record")
	// ErrClosed: the store is closed or closing.
	ErrClosed = errors.New("store is closed")
	// ErrFull: records wait for their commit up to the store's bound.
	ErrFull = errors.New("too many records wait to be stored")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("store is in use by another process")
	// ErrCorrupt: what is on disk is not what was written.
	ErrCorrupt = errors.New("store is damaged")
	// ErrBudget: a scan went on for as long as it may; see [InterruptedError].
	ErrBudget = errors.New("query took too long")
)

// Store keeps records. Its methods may be called from many goroutines.
type Store interface {
	// Counter returns the counter of calls of a source. The same source has
	// the same counter for as long as the store is open.
	Counter(source string) *Counter

	// Add hands a finished record over. It returns at once, before the record
	// is stored; whoever must know waits for the returned Commit. The record
	// is copied: the caller may use it again. Add sets no field of it.
	//
	// call is the counter with which the call was begun, and nil for a record
	// that is no call. With an error the record was not taken, and the caller
	// says so with [Counter.Abandon].
	//
	// A record whose outcome is in_progress is a begin entry: as durable as any,
	// but without a sequence, and it settles no call. Listings and look-ups show it
	// until the record of the same ID is committed, which supersedes it and belongs
	// to the same snapshots: pages that are read meanwhile show the call once. An
	// entry that is the second of its ID, or comes after the record, is dropped or
	// refused. With [ErrFull] too many stand without a record ([MaxEntries]). What
	// stands when the store is closed, or its process ends, becomes a record of
	// outcome unfinished, which settles the call.
	Add(r *record.Record, call *Counter) (*Commit, error)

	// Receipt stores a begin entry, and returns nil when it is stored with the
	// durability that the store was opened with: then the call may begin, since there
	// will be a record of it. Room for that is set aside: Add takes the record of that
	// ID whatever else waits, as long as it is not larger than the entry and
	// [CompletionRoom]. One that is may be refused with [ErrFull], and added again
	// without its bodies.
	//
	// With an error, which comes at once where it is known that nothing can be stored,
	// and at the latest when ctx ends, the call must not begin: it is settled like any
	// other, with Add or [Counter.Abandon], whether or not the entry is stored yet.
	Receipt(ctx context.Context, r *record.Record, call *Counter) error

	// Oldest says that no call began before t that the store was not told of by Add,
	// Receipt or a Counter. It is told so every second or so; a gap that a kill leaves
	// then begins with the oldest call that may be in it.
	Oldest(t time.Time)

	// Sequence returns that of the newest committed record, 0 before the first.
	Sequence() uint64

	// Scan yields the committed records and begin entries that q asks for, newest
	// first, each call once. A yielded record is the caller's. An error is the last thing
	// yielded: [InterruptedError] where the budget ran out, otherwise ctx's error or
	// one that wraps ErrCorrupt or ErrClosed.
	Scan(ctx context.Context, q *record.Query) iter.Seq2[*record.Record, error]

	// Summarize counts in t the records and begin entries that Scan would yield for q.
	// With [InterruptedError] the budget ran out: what is counted is newer than At,
	// and the same q with Before set to it counts the rest.
	Summarize(ctx context.Context, q *record.Query, t *Tally) error

	// Get returns one committed record, bodies included, or else the begin entry
	// of that ID, or ErrNotFound.
	Get(ctx context.Context, id record.ID) (*record.Record, error)

	// Gaps returns the gap records whose stretch touches from (inclusive) to to
	// (exclusive), oldest first; a zero time is no bound. At most limit.
	Gaps(ctx context.Context, from, to time.Time, limit int) ([]*record.Record, error)

	// SetRetention says from now on how long records are kept. What has been kept
	// for long enough goes soon after, as a whole, and its room on the disk is free
	// at once; before that a record of source [record.Self] and action retention.drop
	// says what goes and why. Scans leave out what goes while they read.
	SetRetention(r Retention)

	// Health returns nil while records can be stored and read, else why not.
	Health() error

	// Stats returns figures for metrics.
	Stats() Stats

	// Close commits what was added, packs what it can until ctx ends, and
	// closes. What was committed is kept in any case.
	Close(ctx context.Context) error
}

// InterruptedError is the error of a scan that used up its budget before it came to
// the end of its range. A query with Before set to At goes on where it stopped.
// It wraps ErrBudget.
type InterruptedError struct{ At record.ID }

func (e *InterruptedError) Error() string { return ErrBudget.Error() + ": stopped at " + e.At.String() }

// Unwrap returns ErrBudget.
func (e *InterruptedError) Unwrap() error { return ErrBudget }

// Stats are figures of a store since it was opened, or as of now.
type Stats struct {
	Stored  uint64            // records committed
	Lost    map[string]uint64 // calls that became no record, by reason
	Waiting int64             // bytes of records that wait for their commit
	Bytes   int64             // on disk
	Oldest  time.Time         // timestamp of the oldest record; zero where there is none
	Dropped map[string]uint64 // records that retention has dropped, by reason
	// Overfull: the volume is fuller than [Retention] says, and nothing more may go.
	Overfull bool
	Commits  CommitStats
}

// CommitStats is a histogram of how long commits took.
type CommitStats struct {
	Count   uint64
	Seconds float64
	Buckets []uint64 // cumulative, one for each of CommitBuckets
}

// CommitBuckets are the upper bounds of the histogram, in seconds.
var CommitBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}

// Commit is the batch that a record is committed with.
type Commit struct {
	done  chan struct{}
	err   error
	queue *queue // that it is in; nil for what the committer adds itself, for which nobody waits
}

// Wait returns when the batch is stored, with the durability that the store was
// opened with, or has failed for good, or ctx ends.
func (c *Commit) Wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	default:
		c.queue.hasten()
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
