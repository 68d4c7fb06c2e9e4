package badger

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

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
	// valueThreshold is how long a value may be to stand beside its key; the
	// longest is a piece that is sealed, so nothing ever goes to a value log.
	valueThreshold = pieceSize + int64(store.SealOverhead) + 1
	indexCache     = 4 << 20
	blockCache     = 4 << 20
)

// databaseOptions are those of the Badger in dir.
func databaseOptions(dir string, log func(string, error)) dgraph.Options {
	return dgraph.DefaultOptions(dir).
		WithLogger(logger{dir, log}).
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
		WithValueLogFileSize(1 << 20). // the least; it stays empty
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
func openDatabase(dir string, log func(string, error)) (*dgraph.DB, error) {
	if err := checkDatabase(dir); err != nil {
		return nil, err
	}
	db, err := dgraph.Open(databaseOptions(dir, log))
	if err != nil && strings.Contains(err.Error(), "Create a new file") {
		// Badger removed the file that the crash had left empty; the second
		// time it finds everything.
		db, err = dgraph.Open(databaseOptions(dir, log))
	}
	if err != nil && isDamage(err) && removeUnused(dir) == nil {
		db, err = dgraph.Open(databaseOptions(dir, log))
	}
	if err != nil {
		return nil, err
	}
	return db, nil
}

// removeUnused removes the files of a Badger that it makes anew where they are
// missing, and that have nothing of ours: values never go to the value log, and
// nothing is encrypted.
func removeUnused(dir string) error {
	entries, err := disk.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); filepath.Ext(name) == ".vlog" || name == "DISCARD" || name == dgraph.KeyRegistryFileName {
			if err := disk.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
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
		case ext == logExt || ext == ".vlog":
			// A process that is killed between creating such a file and giving
			// it its size leaves it empty, and nothing was in it yet.
			if info, err := e.Info(); err == nil && info.Size() == 0 {
				if err := disk.Remove(filepath.Join(dir, e.Name())); err != nil {
					return err
				}
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
	dir string
	log func(string, error)
}

func (l logger) Errorf(format string, args ...any)   { l.say(format, args) }
func (l logger) Warningf(format string, args ...any) { l.say(format, args) }
func (l logger) Infof(string, ...any)                {}
func (l logger) Debugf(string, ...any)               {}

func (l logger) say(format string, args []any) {
	l.log("badger in "+filepath.Base(l.dir), errors.New(strings.TrimSpace(fmt.Sprintf(format, args...))))
}
