package badger

import (
	"errors"

	dgraph "github.com/dgraph-io/badger/v4"
)

// transactionBytes is how much one transaction writes, unless a single entry is longer:
// Badger bounds what goes to tables, but not what goes to value logs. Each is synced.
const transactionBytes = 2 << 20

// writer puts entries into a database, in as many transactions as they need.
// Each is on stable storage before the next begins, and the last at flush.
type writer struct {
	db    *database
	txn   *dgraph.Txn
	bytes int          // of the transaction so far
	room  func() error // asked before each
}

func newWriter(db *database, room func() error) *writer {
	return &writer{db: db, txn: db.NewTransaction(true), room: room}
}

// put takes one entry. It keeps key and value.
func (w *writer) put(key, value []byte) error { return w.set(w.db.entry(key, value)) }

// set takes one entry as it is.
func (w *writer) set(e *dgraph.Entry) error {
	size := len(e.Key) + len(e.Value)
	err := dgraph.ErrTxnTooBig
	if w.bytes == 0 || w.bytes+size <= transactionBytes {
		err = w.txn.SetEntry(e)
	}
	if errors.Is(err, dgraph.ErrTxnTooBig) {
		if err = w.flush(); err == nil {
			err = w.txn.SetEntry(e)
		}
	}
	w.bytes += size
	return err
}

// flush returns once everything that was put is on stable storage. Where that failed
// all is to be put again.
func (w *writer) flush() error {
	w.db.unsynced.Store(false)
	if err := w.room(); err != nil {
		return err
	}
	if err := w.txn.Commit(); err != nil {
		return err
	}
	// Badger returns the errors of syncing a write-ahead log, but only logs those of a
	// value log.
	if w.db.unsynced.Load() {
		return errUnsynced
	}
	w.txn, w.bytes = w.db.NewTransaction(true), 0
	return nil
}

var errUnsynced = errors.New("a value log of Badger's could not be synced")

// close drops what was put since the last flush.
func (w *writer) close() { w.txn.Discard() }
