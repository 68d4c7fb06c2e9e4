package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/disk"
)

// Durability says when a record counts as stored.
type Durability string

// The values of Durability.
const (
	// Fsync: once it is on stable storage; it survives a power cut.
	Fsync Durability = "fsync"
	// OS: once the operating system has it; it survives the end of the process.
	OS Durability = "os"
)

// JournalOptions say how a journal works. Zero values take the defaults.
type JournalOptions struct {
	// Durability of what is acknowledged. Default: Fsync.
	Durability Durability
	// FileSize is how many bytes of records a file has before the next begins. One
	// commit is never cut in two, so a file may be larger by that, and by the begin
	// entries in it. Default: 64 MiB.
	FileSize int64
	// Queue is how many bytes of records may wait for their commit. Default: 32 MiB.
	Queue int64
	// Batch is how many bytes of records are committed together at most; a single
	// record may be larger. Default: 4 MiB.
	Batch int64
	// Node is the store's name, in every record. At most 64 bytes.
	Node string
	// After is the sequence of the newest record that the caller may keep elsewhere:
	// the journal goes on after it, also where its own files are gone. Of a file that
	// was not dropped it says nothing: what is missing in one is a gap.
	After uint64
	// Keys seal what is written, and open what is read. Default: none, and what is
	// written is plain.
	Keys *Keyring
	// Since is when the call of the newest of these began: where files are damaged
	// beyond reading, what was in them is later. Zero where it is unknown.
	Since time.Time
	// Restored is when the backup was taken that the files come from, zero for none:
	// what came after is then a gap of unknown count.
	Restored time.Time
	// Log is told what an operator should know; err is nil where nothing is
	// wrong. Default: nobody is told.
	Log func(msg string, err error)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

func (o *JournalOptions) setDefaults() error {
	if o.Durability == "" {
		o.Durability = Fsync
	}
	if o.Durability != Fsync && o.Durability != OS {
		return fmt.Errorf("durability is %q, want %q or %q", o.Durability, Fsync, OS)
	}
	if len(o.Node) > maxNodeName {
		return fmt.Errorf("node name has %d bytes, want at most %d", len(o.Node), maxNodeName)
	}
	for _, size := range []struct {
		value *int64
		usual int64
	}{{&o.FileSize, 64 << 20}, {&o.Queue, 32 << 20}, {&o.Batch, 4 << 20}} {
		if *size.value <= 0 {
			*size.value = size.usual
		}
	}
	if o.Log == nil {
		o.Log = func(string, error) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Journal is the newest part of a local store: files that are only appended to,
// one frame for some records, one sync for a batch of frames. What is in the
// journal is stored. All of its rows can be read; those of its sealed files are
// to be packed into something better, and the files dropped.
type Journal struct {
	dir       string
	queue     *queue
	counters  *counters
	tail      *tail
	committer *committer
	closeOnce sync.Once
}

// OpenJournal opens the journal kept in dir, and makes that directory where there
// is none; the one above it must be there. Nobody else may have it open: the caller holds a lock.
//
// Files of earlier runs are read whole, and are sealed then. Where the last run
// ended without [Journal.Close], begin entries become records, unfinished; what was
// begun and not recorded otherwise becomes gap records, and so do records that are
// missing because a file is damaged. An error says what is in the way:
// permissions, a full disk, files of a later version, or a key that is missing
// ([ErrKey]), and then nothing was changed.
func OpenJournal(dir string, o JournalOptions) (*Journal, error) {
	err := o.setDefaults()
	if err == nil {
		if err = disk.Mkdir(dir); err == nil {
			err = disk.SyncDir(filepath.Dir(dir))
		} else if errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	var j *Journal
	if err == nil {
		j, err = openJournal(dir, o)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("opening journal in %s: %w: let user %d read and write it", dir, err, os.Getuid())
	case err != nil:
		return nil, fmt.Errorf("opening journal in %s: %w", dir, err)
	}
	return j, nil
}

// Counter returns the counter of calls of a source, the same one each time. It
// counts for "other" where the name is empty or longer than
// [record.MaxSourceLen], and past 255 sources.
func (j *Journal) Counter(source string) *Counter { return j.counters.get(source) }

// Add hands a record over; see [Store.Add]. It never waits for the disk: with
// [ErrFull] too many bytes wait already.
func (j *Journal) Add(r *record.Record, call *Counter) (*Commit, error) { return j.queue.put(r, call) }

// Sequence returns that of the newest committed record, 0 before the first.
func (j *Journal) Sequence() uint64 { return j.tail.sequence.Load() }

// View returns a snapshot of all committed rows of files that are not dropped.
// It costs one atomic load.
func (j *Journal) View() *View { return j.tail.view.Load() }

// Seal ends the file that is being written, if it has records, and begins the next.
func (j *Journal) Seal() error {
	request := make(chan error, 1)
	select {
	case j.committer.sealing <- request:
		return <-request
	case <-j.committer.closing:
		return ErrClosed
	}
}

// Needs reports whether a sealed file was written with that key.
func (j *Journal) Needs(id KeyID) bool {
	return slices.ContainsFunc(j.tail.list(), func(s *Sealed) bool { return s.file.key == id })
}

// Seals has a value when a file was sealed since the last one was received, and
// at first when there are sealed files from earlier runs.
func (j *Journal) Seals() <-chan struct{} { return j.committer.sealed }

// Sealed returns the files that are complete and not dropped, oldest first.
func (j *Journal) Sealed() []*Sealed { return j.tail.list() }

// Drop removes a sealed file, which must be the oldest: since they go in order,
// a hole in the sequence is always damage. Its records are in no View taken later;
// a View taken before can still read them. Begin entries that stand without a
// record are copied to the newest file first, for which Drop waits until ctx ends.
func (j *Journal) Drop(ctx context.Context, s *Sealed) error {
	if !j.tail.isOldest(s) {
		return fmt.Errorf("dropping journal file of sequences %d to %d: it is not the oldest", s.First(), s.Last())
	}
	if err := j.carry(ctx, s); err != nil {
		return err
	}
	return j.tail.drop(s)
}

// Health returns nil while records can be stored, else why the last write failed.
func (j *Journal) Health() error { return j.committer.figures.health() }

// Stats returns the figures of the journal. Bytes and Oldest are those of its
// files alone.
func (j *Journal) Stats() Stats {
	s := j.committer.figures.stats()
	s.Lost = j.counters.figures()
	s.Waiting = j.queue.bytes()
	s.Bytes = j.tail.bytes()
	s.Oldest = j.View().oldest()
	return s
}

// Close commits what was added and closes the files. Calls that are in flight
// become unfinished records where they have a begin entry, and else a gap. When
// ctx ends first, what could not be written is given up, and the error says why;
// the next start then finds it as after a crash. Views can no longer read bodies
// after that. Further calls do nothing but wait.
func (j *Journal) Close(ctx context.Context) error {
	c := j.committer
	forget := func() bool { return true }
	j.closeOnce.Do(func() {
		j.queue.close()
		close(c.closing)
		forget = context.AfterFunc(ctx, func() { close(c.giveUp) })
	})
	select {
	case <-c.done:
		forget() // ctx may live on, and what it knows of stays in memory
		return c.err
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("closing journal: %w", ctx.Err()), j.Health())
	}
}
