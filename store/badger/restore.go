package badger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/auditgate/auditgate/store/disk"
)

// restoredFile says that the store is one from a backup, until it was opened once.
const restoredFile = "restored"

// restoring is how the name ends under which a store is made, beside its place.
const restoring = ".restoring"

// Restore makes the parts of a backup a store. It is made beside its place and gets
// there whole, by [Restore.Finish], or not at all.
//
// The store is a new one: it draws a name of its own when it is opened, and its
// sequence goes on after that of the backup. So what it writes is never taken for what
// the old one wrote after the backup, which may have been told to others, or may still
// go on. What is missing since is a gap, reason [store.ReasonRestored].
type Restore struct {
	dir, place string
	segment    string // of writer
	writer     *writer
}

// NewRestore begins to restore a store to dir, which must be empty or missing.
func NewRestore(dir string) (*Restore, error) {
	place, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("restoring to %s: %w", dir, err)
	}
	if entries, err := os.ReadDir(place); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("restoring to %s: it is not empty: name a directory that is, or that is not there", place)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("restoring to %s: %w", place, err)
	}
	r := &Restore{dir: place + restoring, place: place}
	err = os.MkdirAll(filepath.Dir(place), 0o700)
	if err == nil {
		err = os.Mkdir(r.dir, 0o700)
	}
	if errors.Is(err, os.ErrExist) {
		err = fmt.Errorf("%s is there: another restore is under way, or was broken off; remove it then", r.dir)
	}
	for _, sub := range []string{journalDir, segmentsDir} {
		if err == nil {
			err = os.Mkdir(filepath.Join(r.dir, sub), 0o700)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("restoring to %s: %w", place, err)
	}
	return r, nil
}

// The parts of a backup.
var (
	journalPart = regexp.MustCompile(`^journal/([0-9]{16}\.journal|calls)$`)
	segmentPart = regexp.MustCompile(`^segments/[0-9]{4}-[0-9]{2}-[0-9]{2}\.[a-z]+(\.[0-9]+)*/([0-9a-f]{50}|segment\.json)$`)
)

// maxPart is how large a block in a backup may be, in bytes: that of the largest
// records there can be, and room.
const maxPart = 256 << 20

// Put takes one part, as [Store.Backup] gave it.
func (r *Restore) Put(name string, content io.Reader) error {
	if err := r.put(name, content); err != nil {
		return fmt.Errorf("restoring %s: %w", name, err)
	}
	return nil
}

func (r *Restore) put(name string, content io.Reader) error {
	switch {
	case name == formatFile:
		data, err := io.ReadAll(io.LimitReader(content, 100))
		if err == nil && string(data) != format {
			err = fmt.Errorf("backup is of %.40q, and this program reads %q: use the version that made it", data, format)
		}
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(r.dir, name), bytes.NewReader(data))
	case name == retentionFile, journalPart.MatchString(name):
		return writeFile(filepath.Join(r.dir, name), content)
	case segmentPart.MatchString(name):
	default:
		return errors.New("it is no part of a store")
	}
	segment, part, _ := partOf(name)
	if err := r.open(segment); err != nil {
		return err
	}
	if part == manifestFile {
		return writeFile(filepath.Join(r.dir, name), content)
	}
	data, err := io.ReadAll(io.LimitReader(content, maxPart+1))
	if err != nil {
		return err
	}
	if len(data) > maxPart {
		return fmt.Errorf("it has more than %d bytes", maxPart)
	}
	return eachEntry(data, r.writer.set)
}

// open opens the Badger of a segment, and closes the one before.
func (r *Restore) open(segment string) (err error) {
	if r.segment == segment {
		return nil
	}
	if err = r.shut(); err != nil {
		return err
	}
	dir := filepath.Join(r.dir, segmentsDir, segment)
	if err = os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err = room(r.dir); err != nil {
		return err
	}
	d, err := openDatabase(dir, func(string, error) {})
	if err == nil {
		r.writer = newWriter(d, func() error { return room(r.dir) })
	}
	r.segment = segment
	return err
}

// shut writes what is left and closes the segment.
func (r *Restore) shut() (err error) {
	if r.writer != nil {
		err = r.writer.flush()
		r.writer.close()
		err = errors.Join(err, r.writer.db.Close())
	}
	r.writer, r.segment = nil, ""
	return err
}

// Finish puts the store in its place, once all parts are there and were found whole.
func (r *Restore) Finish(b *Backup) error {
	err := r.shut()
	if err == nil {
		var note []byte
		if note, err = json.Marshal(b); err == nil {
			err = writeFile(filepath.Join(r.dir, restoredFile), bytes.NewReader(append(note, '\n')))
		}
	}
	for _, dir := range []string{filepath.Join(r.dir, journalDir), filepath.Join(r.dir, segmentsDir), r.dir} {
		if err == nil {
			err = disk.SyncDir(dir)
		}
	}
	if err == nil {
		if err = os.Remove(r.place); errors.Is(err, os.ErrNotExist) { // it is empty
			err = nil
		}
	}
	if err == nil {
		err = os.Rename(r.dir, r.place)
	}
	if err == nil {
		err = disk.SyncDir(filepath.Dir(r.place))
	}
	if err != nil {
		return fmt.Errorf("restoring to %s: %w", r.place, err)
	}
	return nil
}

// Abandon removes what was restored so far.
func (r *Restore) Abandon() error {
	return errors.Join(r.shut(), os.RemoveAll(r.dir))
}

// restored returns when the backup was made that the store comes from, zero where it
// comes from none or was opened since.
func (r *root) restored() (time.Time, error) {
	data, err := os.ReadFile(filepath.Join(r.path, restoredFile))
	if errors.Is(err, os.ErrNotExist) {
		return time.Time{}, nil
	}
	var b Backup
	if err == nil {
		err = json.Unmarshal(data, &b)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading %s: %w", restoredFile, err)
	}
	return b.Made, nil
}

// forgetRestored notes that the gap after the backup is written.
func (r *root) forgetRestored() error {
	if err := os.Remove(filepath.Join(r.path, restoredFile)); err != nil {
		return err
	}
	return disk.SyncDir(r.path)
}

// writeFile writes a new file. It is on stable storage when it returns, its name not.
func writeFile(path string, content io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Sync(), f.Close())
}
