package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/auditgate/auditgate/store/disk"
)

// file is one file of a journal.
type file struct {
	header
	number uint64 // files are numbered in the order in which they were begun
	path   string
	f      *disk.File
	sealer *Sealer // nil where frames are plain
	cache  *frameCache

	// These are owned by the committer while it writes to the file, and constant
	// after that.
	end    int64  // where the next frame goes
	limit  int64  // past it the next file is begun
	size   int64  // that the disk has set aside for the file
	last   uint64 // sequence of the newest record; first-1 where there is none
	broken bool   // a write failed: what stands behind end is not known
	unread bool   // parts of it could not be read at the start; not changed after that
	runs   [][]Row
	gaps   []Row // those of the rows that are gaps, in order of commit
}

const fileSuffix = ".journal"

// damagedSuffix is that of a file which is not read any more, and kept for whoever
// can read more of it.
const damagedSuffix = ".damaged"

func filePath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016d%s", number, fileSuffix))
}

// createFile begins a file of about size bytes, whose first frame is settled.
// The file and its name are on stable storage when it returns.
func createFile(dir string, number uint64, h header, size int64, settled []byte, keys *Keyring, cache *frameCache) (_ *file, err error) {
	h.key = keys.ID()
	f := &file{header: h, number: number, path: filePath(dir, number), cache: cache, limit: size, last: h.first - 1}
	if _, err = rand.Read(f.mark[:]); err != nil {
		return nil, err
	}
	f.sealer = f.header.sealer(keys)
	if f.f, err = disk.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_EXCL); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.discard()
		}
	}()
	if f.size = size; f.f.Preallocate(size) != nil {
		f.size = 0
		// The disk has less room, or cannot do this: room is taken as it is needed.
		if err = f.f.Truncate(0); err != nil {
			return nil, err
		}
	}
	data := f.header.append(nil)
	data = append(data, f.finish(appendFrame(nil, h.first, h.begun, 0, settled, nil, f.sealer != nil), nil)...)
	if _, err = f.f.WriteAt(data, 0); err != nil {
		return nil, err
	}
	f.end = int64(len(data))
	if err = f.f.Sync(); err != nil {
		return nil, err
	}
	return f, disk.SyncDir(dir)
}

// finish makes frames those of this file: with its mark, and sealed where it has a
// key, then behind dst. They can be finished again, for another file.
func (f *file) finish(frames, dst []byte) []byte {
	setMarks(frames, f.mark)
	if f.sealer == nil {
		return frames
	}
	return appendSealed(dst, frames, f.sealer)
}

// write appends finished frames, and with sync waits until they are on stable storage.
// After an error the file is broken: whether the operating system still has
// what it was given is not to be found out by asking again.
func (f *file) write(frames []byte, sync bool) error {
	_, err := f.f.WriteAt(frames, f.end)
	if err == nil && sync {
		err = f.f.Datasync()
	}
	if err != nil {
		f.broken = true
		return err
	}
	f.end += int64(len(frames))
	return nil
}

// room returns how many bytes behind the last frame the disk has set aside.
func (f *file) room() int64 {
	if f.broken {
		return 0
	}
	return max(f.size-f.end, 0)
}

// trim gives back the room behind the last frame.
func (f *file) trim() error {
	if f.unread {
		return nil
	}
	return f.f.Truncate(f.end)
}

func (f *file) hasRows() bool { return len(f.runs) > 0 }

// hasRecords reports whether there are others among the rows than begin entries.
func (f *file) hasRecords() bool { return f.last >= f.first }

// remove takes the file's name away. Views that have its rows can still read
// them: the garbage collector closes the file after the last of these, and then
// its room is free. A file that could not be read whole is set aside instead.
func (f *file) remove() error {
	err := error(nil)
	if f.unread {
		err = disk.Rename(f.path, f.path+damagedSuffix)
	} else {
		err = disk.Remove(f.path)
	}
	if err != nil {
		return err
	}
	return disk.SyncDir(filepath.Dir(f.path))
}

// discard removes a file that has no rows, so that nobody reads from it.
func (f *file) discard() {
	_ = f.f.Close()
	_ = disk.Remove(f.path) // left over, it is removed at the next start
}

// frame is where some rows of a file stand, as they were written.
type frame struct {
	file   *file
	offset int64
	size   int
}

// rows appends the rows of the frame, whose records are raw and well formed, and
// to gaps those that are gaps. next is the sequence of the first record, and then
// of the one after the last. Nothing of raw is kept.
func (fr *frame) rows(rows, gaps []Row, next uint64, raw []byte) ([]Row, []Row, uint64) {
	// The metadata of begin entries stands apart: it goes when their records have come.
	var sizes [2]int
	kind := func(r rawRow) int { return int((r.flags & flagBegin) / flagBegin) }
	_ = eachRow(raw, func(r rawRow) { sizes[kind(r)] += len(r.meta) })
	metas := [2][]byte{make([]byte, 0, sizes[0]), make([]byte, 0, sizes[1])}
	_ = eachRow(raw, func(r rawRow) {
		meta := &metas[kind(r)]
		at := len(*meta)
		*meta = append(*meta, r.meta...)
		row := Row{
			ID: r.id, Meta: (*meta)[at:len(*meta):len(*meta)],
			frame: fr, at: uint32(r.at), request: uint32(r.request), response: uint32(r.response),
		}
		if r.flags&flagBegin == 0 {
			row.Sequence = next
			next++
		}
		rows = append(rows, row)
		if r.flags&flagGap != 0 {
			gaps = append(gaps, row)
		}
	})
	return rows, gaps, next
}

// records returns the raw records of the frame. They are shared.
func (fr *frame) records() ([]byte, error) {
	f := fr.file
	if raw := f.cache.get(fr); raw != nil {
		return raw, nil
	}
	data := make([]byte, fr.size)
	if _, err := f.tryRead(data, fr.offset); err != nil {
		if errors.Is(err, os.ErrClosed) {
			return nil, ErrClosed
		}
		return nil, fmt.Errorf("%w: reading %s at %d: %w", ErrCorrupt, f.path, fr.offset, err)
	}
	_, _, raw, err := openFrame(data, f.mark, f.sealer, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %s at %d: %w", ErrCorrupt, f.path, fr.offset, err)
	}
	f.cache.put(fr, raw)
	return raw, nil
}
