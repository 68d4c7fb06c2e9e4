package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/disk"
)

// CompletionRoom is how many bytes a receipt sets aside beyond its own size, for
// what the record that completes it has more than it: the header of the answer, how
// the call ended, digests. A record that is larger is not refused while there is
// room for it anyway; its bodies have no room set aside.
const CompletionRoom = 4 << 10

// hangTime is how long one write may take until the disk is taken to hang: receipts
// are refused then without waiting for it once more.
const hangTime = 2 * time.Second

// spareDisk is how many bytes the volume must have free, beyond what is set aside,
// for a receipt to be taken where the journal's file has no room of its own left.
const spareDisk = 64 << 10

// errNoPlace says that what is set aside would not fit on the disk.
var errNoPlace = fmt.Errorf("%w: the disk has no room for what is promised", ErrFull)

// Receipt stores a begin entry; see [Store.Receipt].
func (j *Journal) Receipt(ctx context.Context, r *record.Record, call *Counter) error {
	failing, err := j.committer.figures.writable()
	if err != nil {
		return err
	}
	c, err := j.queue.receipt(r, call, j.committer.room.Load())
	if errors.Is(err, errNoPlace) { // the next file will have room, if the disk has
		var volume disk.Volume
		if volume, err = disk.VolumeOf(j.dir); err == nil {
			c, err = j.queue.receipt(r, call, volume.Free-spareDisk)
		}
	}
	if err != nil {
		return err
	}
	j.queue.hasten()
	select {
	case <-c.done:
		return c.err
	case <-failing:
		err = errors.New("writing failed")
	case <-ctx.Done():
		err = ctx.Err()
	}
	select {
	case <-c.done: // just then
		return c.err
	default:
	}
	if _, why := j.committer.figures.writable(); why != nil {
		err = why
	}
	return fmt.Errorf("storing a receipt: %w", err)
}

// receipt adds a begin entry to the queue and sets room aside for the record to
// come, of which the disk has so much.
func (q *queue) receipt(r *record.Record, call *Counter, disk int64) (*Commit, error) {
	buf, err := encodeMeta(r)
	if err != nil {
		return nil, err
	}
	defer scratch.Put(buf)
	size := int64(len(*buf) + maxRowHead)
	promise := size + CompletionRoom

	q.mu.Lock()
	defer q.mu.Unlock()
	e, known := q.entries[r.EventID]
	switch {
	case q.closed:
		return nil, ErrClosed
	case known && e.promise > 0:
		return e.commit, nil
	case q.promised+promise > q.limit/2 || q.waiting+q.promised+size+promise > q.limit:
		return nil, ErrFull
	case q.waiting+q.promised+size+promise > disk:
		return nil, fmt.Errorf("%w: %s is left", errNoPlace, humanize.IBytes(uint64(max(disk, 0))))
	}
	c, err := q.announce(r, *buf, call)
	if err != nil {
		return nil, err
	}
	e = q.entries[r.EventID]
	e.promise = promise
	q.entries[r.EventID] = e
	q.promised += promise
	return c, nil
}
