package badger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	dgraph "github.com/dgraph-io/badger/v4"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// segment is what was committed on one day in one class.
type segment struct {
	dir   string // absolute; its base is day.class
	keys  *store.Keyring
	size  atomic.Int64 // bytes on disk, as last measured
	bound atomic.Pointer[manifest]

	updating sync.Mutex // guards bound and its file against other updates; taken last

	// mu guards database, which is nil while it is closed. It is held while one
	// is opened or closed.
	mu       sync.Mutex
	database *database
	gone     atomic.Bool // it was set aside
	whole    atomic.Bool // it was opened, and all that it counts was there

	aside bool // its directory is in quarantine

	// These are guarded by segments.mu: how many use the database now, how many
	// will come back to it, and when it was used last.
	refs, leases int
	used         uint64
	dropped      chan struct{} // no new use any more; closed when there is no old one. nil: not dropped

	// recorded is the commit of the record that it is dropped; guarded by the
	// store's packing lock.
	recorded *store.Commit
}

// database is a segment's Badger while it is open.
type database struct {
	*dgraph.DB
	sealer *store.Sealer // nil where there is no key
	// blocks are all blocks in the order of their keys, newest first. The slice
	// is not changed, but replaced by a longer one.
	blocks atomic.Pointer[[]block]
	// written: Badger may hold what it has not put into tables yet. Guarded by the
	// store's packing lock.
	written bool
	// unsynced: Badger has failed to sync a value log.
	unsynced atomic.Bool
}

// name is that of the segment's directory.
func (s *segment) name() string { return filepath.Base(s.dir) }

func (s *segment) class() record.Class {
	return record.Class(strings.SplitN(s.name(), ".", 3)[1])
}

// span is when its calls may have begun.
func (s *segment) span() (oldest, newest time.Time) {
	m := s.bound.Load()
	if m.unknown { // the day that it is named after, and calls that had begun before
		day, _ := time.Parse(time.DateOnly, s.name()[:len(time.DateOnly)])
		return day.AddDate(0, 0, -1), day.AddDate(0, 0, 1)
	}
	return m.Oldest.Time(), m.Newest.Time()
}

// newest is when its newest call may have begun.
func (s *segment) newest() time.Time {
	_, newest := s.span()
	return newest
}

// segmentName is the directory of a day, in UTC, and class.
func segmentName(day time.Time, class record.Class) string {
	return day.Format(time.DateOnly) + "." + string(class)
}

// place is the day and class of the segment, also of one that was brought back.
func (s *segment) place() string {
	return strings.Join(strings.SplitN(s.name(), ".", 3)[:2], ".")
}

func (s *segment) isGone() bool { return s.gone.Load() }

// errNoSegment says that a directory is none.
var errNoSegment = errors.New("no segment of a store: move it away")

// readSegment returns the segment kept in dir; nil where a crash came before
// anything was in it. One that was brought back from quarantine has a number behind
// its name. Where the manifest cannot be read, what is in the segment is unknown. Whether
// its keys are there is another question, and one that is set aside needs none. With
// any error but errNoSegment the segment is returned all the same.
func readSegment(dir string, keys *store.Keyring) (*segment, error) {
	name := strings.SplitN(filepath.Base(dir), ".", 3)
	if _, err := time.Parse(time.DateOnly, name[0]); err != nil || len(name) < 2 || !slices.Contains(classes, record.Class(name[1])) {
		return nil, fmt.Errorf("%s is %w", dir, errNoSegment)
	}
	data, err := disk.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		if entries, err := disk.ReadDir(dir); err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
			return !strings.HasPrefix(e.Name(), manifestFile) // what a crash leaves has that name and an ending
		}) {
			return nil, nil
		}
	}
	var m *manifest
	denied := err
	if err == nil {
		m, err = parseManifest(data)
	}
	if err != nil {
		m = unknownManifest()
	}
	s := &segment{dir: dir, keys: keys}
	s.bound.Store(m)
	if errors.Is(denied, fs.ErrPermission) {
		return s, denied
	}
	return s, s.measure()
}

// checkKeys returns an error where a key is missing that the segment needs.
func (s *segment) checkKeys() error {
	for _, id := range s.bound.Load().Keys {
		if err := s.keys.Check(id, s.dir); err != nil {
			return err
		}
	}
	return nil
}

// measure looks how much disk the segment takes.
func (s *segment) measure() error {
	size, err := diskUsage(s.dir)
	s.size.Store(size)
	return err
}

// open opens the segment's Badger and finds its blocks, after another process has
// shown that it can be opened, where that is in doubt. An error wraps ErrCorrupt
// where the segment is damaged. lost is how many records are not found any more.
// The caller holds mu.
func (s *segment) open(log func(string, error)) (lost int, err error) {
	if err := s.reserveValueLogs(log); err != nil {
		return 0, err
	}
	mended, err := mendManifest(s.dir)
	if err != nil {
		log("making "+dgraph.ManifestFilename+" of segment "+s.name()+" anew", err)
	}
	bound := s.bound.Load()
	why := inspect(s.dir)
	if why == nil && mended {
		why = suspect("its %s could not be read, and was made anew of its tables", dgraph.ManifestFilename)
		log("mending segment "+s.name(), why)
	}
	if why == nil && bound.unknown {
		why = suspect("its %s cannot be read", manifestFile)
	}
	probed, orphans := isSuspicion(why), false
	switch {
	case probed:
		if orphans, err = probe(s.dir, log); err != nil {
			return 0, fmt.Errorf("%w: %w", why, err)
		}
	case why != nil:
		return 0, why
	}
	d, err := openDatabase(s.dir, log)
	if err != nil {
		if isDamage(err) && s.check() == nil {
			err = damaged(err)
		}
		return 0, err
	}
	d.sealer = s.keys.Sealer("segment\n" + s.place())
	var blocks []block
	var unread int
	listed := false
	if bound.Directories && !probed { // what is in doubt is looked at whole
		blocks, listed = d.readDirectories(bound.Count)
	}
	if !listed {
		if blocks, unread, err = d.findBlocks(); err != nil {
			if errors.Is(err, store.ErrKey) {
				err = fmt.Errorf("%w: give that one too, behind the first, and start again", err)
			}
			return 0, errors.Join(err, d.Close())
		}
	}
	if bound.unknown && unread > 0 { // nothing else tells what is missing
		return 0, errors.Join(damaged(fmt.Errorf("neither its %s nor the heads of %d blocks can be read", manifestFile, unread)), d.Close())
	}
	if bound.unknown {
		log("finding out what segment "+s.name()+" holds", suspect("its %s cannot be read", manifestFile))
		if err := s.update(func(m *manifest) { *m = *manifestOf(blocks, s.keys); m.Anew = s.name() }); err != nil {
			return 0, errors.Join(err, d.Close())
		}
		if err := s.noteValueLogs(); err != nil {
			return 0, errors.Join(err, d.Close())
		}
	}
	lost = max(0, bound.Count-countRecords(blocks))
	if lost > 0 && orphans {
		// The tables that Badger removed had the rest: it is to be found again.
		err = damaged(fmt.Errorf("%d records are missing in the tables that its %s names", lost, dgraph.ManifestFilename))
		return 0, errors.Join(err, d.Close(), restore(s.dir))
	}
	if probed {
		if err := release(s.dir); err != nil {
			return 0, errors.Join(err, d.Close())
		}
	}
	d.blocks.Store(&blocks)
	s.database = d
	return lost, nil
}

// check returns nil where the directory itself can be read.
func (s *segment) check() error {
	_, err := disk.ReadDir(s.dir)
	return err
}

func countRecords(blocks []block) (n int) {
	for i := range blocks {
		n += blocks[i].count
	}
	return n
}

// digestBlocks returns a digest of blocks in the order of their keys, in
// hexadecimal: the SHA-256 of the digests of each.
func digestBlocks(blocks []block) string {
	h := sha256.New()
	for i := range blocks {
		h.Write(blocks[i].digest[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// findBlocks lists the blocks of the segment, seeking from one head to the next.
// Entries without a head are those of a block that a crash cut short, and which
// is packed again. An error wraps store.ErrKey, and names the key, where one
// is missing.
func (d *database) findBlocks() (blocks []block, unread int, err error) {
	defer recoverDamage(&err)
	err = d.View(func(txn *txn) error {
		it := txn.NewIterator(dgraph.IteratorOptions{Prefix: []byte{blockPrefix}})
		defer it.Close()
		for it.Seek([]byte{blockPrefix}); it.Valid(); {
			newest, first, kind, ok := parseKey(it.Item().Key())
			if !ok {
				return damaged(fmt.Errorf("entry %x is of no block", it.Item().Key()))
			}
			if kind == kindHead {
				err := txn.item(it.Item()).Value(func(data []byte) error {
					h, err := parseHead(newest, first, data)
					if err == nil {
						blocks = append(blocks, h.block)
					}
					return err
				})
				if errors.Is(err, store.ErrKey) { // nothing is damaged
					return err
				}
				if err != nil { // it is missed by who counts the records
					unread++
				}
			}
			key := newBlockKey(newest, first)
			it.Seek(key.next())
		}
		return nil
	})
	return blocks, unread, err
}

// recoverDamage makes an error of a panic of Badger's: it believes the lengths that
// stand in a block of its own before it checks them.
func recoverDamage(err *error) {
	if r := recover(); r != nil {
		if _, ok := r.(runtime.Error); !ok {
			panic(r)
		}
		*err = damaged(fmt.Errorf("reading it went wrong: %v", r))
	}
}

// add makes blocks that were written known to readers that come later.
func (d *database) add(more []block) {
	blocks := slices.Concat(*d.blocks.Load(), more)
	blocks = sortBlocks(blocks)
	d.blocks.Store(&blocks)
}
