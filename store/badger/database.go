package badger

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"

	dgraph "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// How each Badger is made: small, since several are open at once.
const (
	memTable  = 4 << 20
	memTables = 2
	// Blocks of Badger's as large as most of our pieces: a table is built in
	// buffers that double until a value fits.
	tableBlock = 32 << 10
	// Packed keys do not overlap, so merging tables only writes them again, in
	// buffers of some 100 MiB; a look-up asks the bloom filter of each instead.
	// Measured under load, against the default of 5: 150 MiB of anonymous memory
	// instead of 290, and 4.1 KB written a call instead of 4.9.
	unmerged = 40
	// valueThreshold is how long a value may be to stand beside its key, in tables;
	// longer ones, as sub-blocks of bodies mostly are, stand in a value log. What is in a
	// table was written, and faulted in page by page, three times before: into the
	// write-ahead log, a memory table and a buffer. Measured by BenchmarkPack, against
	// all in tables: 53 µs of CPU a record instead of 75. Segments are dropped
	// whole, so a value log is never collected.
	valueThreshold = 10 << 10
	// valueLog is how long a value log gets.
	valueLog   = 32 << 20
	indexCache = 4 << 20
	blockCache = 4 << 20
)

// databaseOptions are those of the Badger in dir.
func databaseOptions(dir string, log dgraph.Logger) dgraph.Options {
	return dgraph.DefaultOptions(dir).
		WithLogger(log).
		// A block counts as packed once its transaction returns, and then its
		// journal file goes. db.Sync would be no barrier: it syncs the newest
		// write-ahead log alone.
		WithSyncWrites(true).
		WithMemTableSize(memTable).
		WithNumMemtables(memTables).
		WithBaseTableSize(2 << 20).
		WithBlockSize(tableBlock).
		WithNumCompactors(2).
		WithNumLevelZeroTables(unmerged).
		WithNumLevelZeroTablesStall(2 * unmerged).
		WithValueThreshold(valueThreshold).
		WithValueLogFileSize(valueLog).
		WithVerifyValueChecksum(true).
		WithIndexCacheSize(indexCache).
		WithBlockCacheSize(blockCache).
		// Sub-blocks are compressed already.
		WithCompression(options.None).
		// Checked block by block as they are read. Were a table checked when it
		// is opened, Badger would leave a damaged one out and say nothing.
		WithChecksumVerificationMode(options.OnBlockRead).
		// One writer, and it never writes what it has read.
		WithDetectConflicts(false).
		WithMetricsEnabled(false)
}

// openDatabase opens the Badger in dir.
func openDatabase(dir string, log func(string, error)) (*database, error) {
	if err := checkDatabase(dir); err != nil {
		return nil, err
	}
	if err := endValueLogs(dir); err != nil {
		return nil, err
	}
	d := new(database)
	open := func() (err error) {
		d.DB, err = dgraph.Open(databaseOptions(dir, logger{dir, log, &d.unsynced}))
		return err
	}
	err := open()
	if err != nil && strings.Contains(err.Error(), "Create a new file") {
		// Badger removed the file that the crash had left empty; the second
		// time it finds everything.
		err = open()
	}
	if err != nil && isDamage(err) && mendUnused(dir) == nil {
		err = open()
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// mendUnused removes the files of a Badger that it makes anew where they are missing
// and that have nothing of ours, and makes the headers of value logs what they were:
// they say which of Badger's keys encrypts them, and there are none.
func mendUnused(dir string) error {
	entries, err := disk.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case filepath.Ext(path) == valueExt:
			err = mendHeader(path)
		case e.Name() == "DISCARD" || e.Name() == dgraph.KeyRegistryFileName:
			err = disk.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkDatabase refuses what Badger would make worse by opening it, and removes
// what a crash can leave that it would not open.
func checkDatabase(dir string) error {
	entries, err := disk.ReadDir(dir)
	if err != nil {
		return err
	}
	var tables, manifest bool
	for _, e := range entries {
		switch ext := filepath.Ext(e.Name()); {
		case e.Name() == dgraph.ManifestFilename:
			manifest = true
		case ext == tableExt:
			tables = true
		case ext == logExt || ext == valueExt:
			// A process that is killed between creating such a file and giving
			// it its size leaves it empty, and nothing was in it yet. The number
			// of a value log is not used again: it may have been cut off.
			if info, err := e.Info(); err != nil || info.Size() > 0 {
				continue
			}
			if ext == logExt {
				err = disk.Remove(filepath.Join(dir, e.Name()))
			} else {
				err = mendHeader(filepath.Join(dir, e.Name()))
			}
			if err != nil {
				return err
			}
		}
	}
	if tables && !manifest {
		return fmt.Errorf("%w: %s has tables and no %s, and Badger would delete them: bring the file back from a copy, or move the directory away",
			store.ErrCorrupt, dir, dgraph.ManifestFilename)
	}
	return nil
}

// logger passes on what Badger warns about.
type logger struct {
	dir      string
	log      func(string, error)
	unsynced *atomic.Bool
}

// Errorf hears what Badger tells nobody else.
func (l logger) Errorf(format string, args ...any) {
	if strings.Contains(format, "sync") {
		l.unsynced.Store(true)
	}
	if strings.HasPrefix(format, "Unable to read: Key") || strings.HasPrefix(format, "Key: ") {
		return // whoever reads finds out, and tells of it once
	}
	l.say(format, args)
}

func (l logger) Warningf(format string, args ...any) { l.say(format, args) }
func (l logger) Infof(string, ...any)                {}
func (l logger) Debugf(string, ...any)               {}

func (l logger) say(format string, args []any) {
	l.log("badger in "+filepath.Base(l.dir), errors.New(strings.TrimSpace(fmt.Sprintf(format, args...))))
}
