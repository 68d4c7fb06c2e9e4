package badger

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	dgraph "github.com/dgraph-io/badger/v4"

	"github.com/auditgate/auditgate/store"
)

// Backup says what a backup holds.
type Backup struct {
	Made     time.Time `json:"made"`
	Node     string    `json:"node"`     // the store that it was made of
	Sequence uint64    `json:"sequence"` // of the newest record in it
	// Records is how many records are in it, those lost from the middle of the journal
	// counted with them, and Segments of how many segments it has blocks.
	Records  uint64 `json:"records"`
	Segments int    `json:"segments"`
	// Missing says of which segments not all could be read, and why.
	Missing []string `json:"missing,omitempty"`
}

// Backup hands all records that are committed now, and the begin entries, to put, one
// part after the other, for [Restore]. What is sealed stays so. The store goes on
// meanwhile, and nothing is held up or held open while put takes its time, but for
// the room of journal files that are packed meanwhile.
//
// A part of a segment is a block: blocks never change. One that was packed later than
// the journal was looked at is left out, since what is older in it stands in the journal's
// part, which will be packed once more, and at its new end into other blocks.
func (s *Store) Backup(ctx context.Context, put func(name string, size int64, content io.Reader) error) (*Backup, error) {
	if s.closed.Load() {
		return nil, store.ErrClosed
	}
	journal := s.journal.Snapshot() // before the segments: a row may move meanwhile
	b := &Backup{Made: journal.Taken.UTC(), Node: journal.Node, Sequence: journal.Sequence, Records: journal.Sequence + 1 - journal.First}
	add := func(name string, data []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return put(name, int64(len(data)), bytes.NewReader(data))
	}
	err := add(formatFile, []byte(format))
	if err == nil {
		var dropped []byte
		memory := s.memory.get()
		if dropped, err = json.Marshal(known{Sequence: memory.Sequence, Healed: memory.Healed}); err == nil {
			err = add(retentionFile, dropped)
		}
	}
	for _, seg := range s.segments.asides() {
		b.Missing = append(b.Missing, fmt.Sprintf("%s: it is damaged, and set aside in %s", seg.name(), seg.dir))
	}
	for _, seg := range s.segments.list() {
		if err != nil {
			break
		}
		err = s.backupSegment(b, seg, journal.First, add)
	}
	if err == nil {
		err = journal.Each(func(name string, size int64, content io.Reader) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return put(path.Join(journalDir, name), size, content)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("making a backup: %w", err)
	}
	return b, nil
}

// backupSegment adds the blocks of one segment that were packed before that sequence,
// and what they are. A segment that is
// damaged, or dropped by retention meanwhile, does not keep the others from being saved.
func (s *Store) backupSegment(b *Backup, seg *segment, before uint64, add func(string, []byte) error) error {
	dir := path.Join(segmentsDir, seg.name())
	missing := func(err error) error {
		if !errors.Is(err, errDropped) && !errors.Is(err, store.ErrCorrupt) {
			return err
		}
		b.Missing = append(b.Missing, fmt.Sprintf("%s: %v", seg.name(), err))
		return nil
	}
	var blocks []block
	if err := s.segments.use(seg, func(d *database) error {
		blocks = *d.blocks.Load()
		return nil
	}); err != nil {
		return missing(err)
	}
	saved := manifest{Anew: seg.bound.Load().Anew, Keys: seg.bound.Load().Keys}
	var whole []block
	for i := range blocks {
		k := &blocks[i]
		if k.last >= before {
			continue
		}
		key := k.key()
		var entries []byte
		if err := s.segments.use(seg, func(d *database) (err error) {
			entries, err = d.dump(key)
			return err
		}); err != nil {
			if err := missing(err); err != nil {
				return err
			}
			continue
		}
		if err := add(path.Join(dir, hex.EncodeToString(key[:])), entries); err != nil {
			return err
		}
		saved.widen(&manifest{Oldest: k.oldest, Newest: k.newest, First: k.first, Last: k.last, GapsUntil: k.gapsUntil})
		saved.Count += k.count
		whole = append(whole, *k)
	}
	if saved.Count == 0 {
		return nil
	}
	b.Records += uint64(saved.Count)
	b.Segments++
	saved.Digest = digestBlocks(whole)
	data, err := saved.encode()
	if err != nil {
		return err
	}
	return add(path.Join(dir, manifestFile), data)
}

// dump returns all entries of a block as they are stored, one after the other: uvarint
// length and key, user metadata (1), uvarint length and value.
func (d *database) dump(key blockKey) (data []byte, err error) {
	err = d.DB.View(func(txn *dgraph.Txn) error {
		it := txn.NewIterator(dgraph.IteratorOptions{Prefix: key[:], PrefetchValues: true, PrefetchSize: 8})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			item := it.Item()
			data = binary.AppendUvarint(data, uint64(len(item.Key())))
			data = append(append(data, item.Key()...), item.UserMeta())
			if err := valueOf(item, func(value []byte) error {
				data = append(binary.AppendUvarint(data, uint64(len(value))), value...)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(data) == 0 {
		err = damaged(errors.New("a block has no entries"))
	}
	return data, err
}

// eachEntry takes apart what dump made.
func eachEntry(data []byte, do func(e *dgraph.Entry) error) error {
	cut := func() []byte {
		n, width := binary.Uvarint(data)
		if width <= 0 || n > uint64(len(data)-width) {
			data = nil
			return nil
		}
		part := data[width:][:n:n]
		data = data[width+int(n):]
		return part
	}
	for len(data) > 0 {
		key := cut()
		if len(key) == 0 || len(data) == 0 {
			return damaged(errors.New("malformed entries"))
		}
		meta := data[0]
		data = data[1:]
		value := cut()
		if value == nil {
			return damaged(errors.New("malformed entries"))
		}
		if err := do(dgraph.NewEntry(key, value).WithMeta(meta)); err != nil {
			return err
		}
	}
	return nil
}

// partOf takes the name of a part of a segment apart; ok is false for what is none.
func partOf(name string) (segment, part string, ok bool) {
	rest, ok := strings.CutPrefix(name, segmentsDir+"/")
	segment, part, found := strings.Cut(rest, "/")
	return segment, part, ok && found && !strings.Contains(part, "/")
}
