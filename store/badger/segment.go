package badger

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
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

	// mu guards database, which is nil while it is closed. It is held while one
	// is opened or closed.
	mu       sync.Mutex
	database *database

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
}

// name is that of the segment's directory.
func (s *segment) name() string { return filepath.Base(s.dir) }

func (s *segment) class() record.Class {
	_, class, _ := strings.Cut(s.name(), ".")
	return record.Class(class)
}

// segmentName is the directory of a day, in UTC, and class.
func segmentName(day time.Time, class record.Class) string {
	return day.Format(time.DateOnly) + "." + string(class)
}

// readSegment returns the segment kept in dir; nil where a crash came before
// anything was in it.
func readSegment(dir string, keys *store.Keyring) (*segment, error) {
	day, class, _ := strings.Cut(filepath.Base(dir), ".")
	if _, err := time.Parse(time.DateOnly, day); err != nil || !slices.Contains(classes, record.Class(class)) {
		return nil, fmt.Errorf("%s is no segment of a store: move it away", dir)
	}
	data, err := disk.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		if entries, err := disk.ReadDir(dir); err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
			return !strings.HasPrefix(e.Name(), manifestFile) // what a crash leaves has that name and an ending
		}) {
			return nil, nil
		}
		return nil, damaged(fmt.Errorf("%s has no %s: bring it back from a copy, or move the directory away", dir, manifestFile))
	}
	if err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, damaged(fmt.Errorf("reading %s of %s: %w", manifestFile, dir, err))
	}
	for _, id := range m.Keys {
		if err := keys.Check(id, dir); err != nil {
			return nil, err
		}
	}
	s := &segment{dir: dir, keys: keys}
	s.bound.Store(m)
	return s, s.measure()
}

// measure looks how much disk the segment takes.
func (s *segment) measure() error {
	size, err := diskUsage(s.dir)
	s.size.Store(size)
	return err
}

// open opens the segment's Badger and finds its blocks. The caller holds mu.
func (s *segment) open(log func(string, error)) error {
	db, err := openDatabase(s.dir, log)
	if err != nil {
		return err
	}
	d := &database{DB: db, sealer: s.keys.Sealer("segment\n" + s.name())}
	blocks, err := d.findBlocks()
	if count := countRecords(blocks); err == nil && count < s.bound.Load().Count {
		err = damaged(fmt.Errorf("%d records of %d are there", count, s.bound.Load().Count))
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	d.blocks.Store(&blocks)
	s.database = d
	return nil
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
// is packed again.
func (d *database) findBlocks() (blocks []block, err error) {
	err = d.View(func(txn *txn) error {
		it := txn.NewIterator(dgraph.IteratorOptions{Prefix: []byte{blockPrefix}})
		defer it.Close()
		for it.Seek([]byte{blockPrefix}); it.Valid(); {
			newest, first, kind, ok := parseKey(it.Item().Key())
			if !ok {
				return damaged(fmt.Errorf("entry %x is of no block", it.Item().Key()))
			}
			if kind == kindHead {
				if err := txn.item(it.Item()).Value(func(data []byte) error {
					h, err := parseHead(newest, first, data)
					blocks = append(blocks, h.block)
					return damaged(err)
				}); err != nil {
					return err
				}
			}
			key := newBlockKey(newest, first)
			it.Seek(key.next())
		}
		return nil
	})
	return blocks, err
}

// add makes blocks that were written known to readers that come later.
func (d *database) add(more []block) {
	blocks := slices.Concat(*d.blocks.Load(), more)
	slices.SortFunc(blocks, func(a, b block) int {
		return cmp.Or(b.newest.Compare(a.newest), cmp.Compare(a.first, b.first))
	})
	blocks = slices.CompactFunc(blocks, func(a, b block) bool { return a.newest == b.newest && a.first == b.first })
	d.blocks.Store(&blocks)
}
