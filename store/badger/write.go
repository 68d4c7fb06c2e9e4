package badger

import (
	"errors"

	dgraph "github.com/dgraph-io/badger/v4"
)

// writer puts entries into a database, in as many transactions as they need.
// Each is on stable storage before the next begins, and the last at flush.
type writer struct {
	db   *database
	txn  *txn
	room func() error // asked before each
}

func newWriter(db *database, room func() error) *writer {
	return &writer{db, db.begin(), room}
}

// put takes one entry. It keeps key and value.
func (w *writer) put(key, value []byte) error {
	err := w.txn.set(key, value)
	if errors.Is(err, dgraph.ErrTxnTooBig) {
		if err = w.flush(); err == nil {
			err = w.txn.set(key, value)
		}
	}
	return err
}

// flush returns once everything that was put is on stable storage.
func (w *writer) flush() error {
	if err := w.room(); err != nil {
		return err
	}
	if err := w.txn.Commit(); err != nil {
		return err
	}
	w.txn = w.db.begin()
	return nil
}

// close drops what was put since the last flush.
func (w *writer) close() { w.txn.Discard() }
