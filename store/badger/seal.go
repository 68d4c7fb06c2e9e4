package badger

import (
	"errors"
	"fmt"

	dgraph "github.com/dgraph-io/badger/v4"

	"github.com/auditgate/auditgate/store"
)

// sealedEntry marks, as Badger's user metadata, an entry whose value is sealed.
const sealedEntry = 1

// txn reads and writes the entries of one segment.
type txn struct {
	*dgraph.Txn
	sealer *store.Sealer // nil where there is no key
}

// View calls do with a snapshot of the segment.
func (d *database) View(do func(*txn) error) error {
	return d.DB.View(func(t *dgraph.Txn) error { return do(&txn{t, d.sealer}) })
}

// get returns an entry.
func (t *txn) get(key []byte) (*item, error) {
	i, err := t.Txn.Get(key)
	return t.item(i), err
}

// item returns an entry that an iterator stands at.
func (t *txn) item(i *dgraph.Item) *item { return &item{i, t.sealer} }

// entry returns an entry to write, sealed where there is a key: about its key, so that
// it opens in its own place alone. It keeps key and value.
func (d *database) entry(key, value []byte) *dgraph.Entry {
	e := dgraph.NewEntry(key, value)
	if d.sealer != nil {
		e.Value = d.sealer.Seal(make([]byte, 0, len(value)+store.SealOverhead), value, key)
		e.WithMeta(sealedEntry)
	}
	return e
}

// valueOf calls do with an entry's value as it is stored. Where a value log does not
// have it Badger says so in its log alone, and gives nothing; none of ours is empty.
func valueOf(i *dgraph.Item, do func([]byte) error) error {
	return i.Value(func(data []byte) error {
		if len(data) == 0 {
			return damaged(fmt.Errorf("entry %x has no value", i.Key()))
		}
		return do(data)
	})
}

// item is an entry of a segment.
type item struct {
	*dgraph.Item
	sealer *store.Sealer
}

// Value calls do with the entry's value, opened. It is valid until do returns.
func (i *item) Value(do func([]byte) error) error {
	if i.UserMeta() != sealedEntry {
		return valueOf(i.Item, do)
	}
	return valueOf(i.Item, func(data []byte) error {
		plain, err := i.sealer.Open(make([]byte, 0, len(data)), data, i.Key())
		if err != nil {
			if err = fmt.Errorf("entry %x: %w", i.Key(), err); !errors.Is(err, store.ErrKey) {
				err = damaged(err)
			}
			return err
		}
		return do(plain)
	})
}
