package badger

import (
	"cmp"
	"slices"

	dgraph "github.com/dgraph-io/badger/v4"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/auditgate/auditgate/record"
)

// A directory is one entry that has of each block of a group what its head says of it
// as a whole. Heads stand among what they are heads of, each in a place of its own on
// the disk; directories stand together, before all blocks. So a segment is opened by a
// few reads. They are copies: where one cannot be read, where all do not tell of as many
// records as there must be, or where some blocks never had one, the heads are asked.
const directoryPrefix = 'a'

// The fields of a directory: a message for each block, which has the fields of a head
// that are of the block, and these.
const (
	directoryBlock  protowire.Number = 1
	directoryNewest protowire.Number = 101 // with first, what the keys of the block have in common
	directoryFirst  protowire.Number = 102
	directoryDigest protowire.Number = 103
	directoryUnits  protowire.Number = 104
)

// directoryKey is that of the directory of a group.
func directoryKey(g *group) []byte {
	key := newBlockKey(g.newest, g.first)
	key[0] = directoryPrefix
	return key[:]
}

// appendDirectory appends the directory of the blocks with these heads to dst.
func appendDirectory(dst []byte, heads []head) []byte {
	for i := range heads {
		b := &heads[i].block
		m := b.append(nil)
		m = protowire.AppendBytes(protowire.AppendTag(m, directoryNewest, protowire.BytesType), b.newest[:])
		m = protowire.AppendVarint(protowire.AppendTag(m, directoryFirst, protowire.VarintType), b.first)
		m = protowire.AppendBytes(protowire.AppendTag(m, directoryDigest, protowire.BytesType), b.digest[:])
		m = protowire.AppendVarint(protowire.AppendTag(m, directoryUnits, protowire.VarintType), uint64(b.units))
		dst = protowire.AppendBytes(protowire.AppendTag(dst, directoryBlock, protowire.BytesType), m)
	}
	return dst
}

// parseDirectory appends what appendDirectory wrote to blocks.
func parseDirectory(blocks []block, data []byte) ([]block, error) {
	err := record.EachField(data, func(n protowire.Number, _ uint64, data []byte) error {
		if n != directoryBlock {
			return nil
		}
		var b block
		var columns []sub
		err := record.EachField(data, func(n protowire.Number, number uint64, data []byte) error {
			switch n {
			case directoryNewest:
				copy(b.newest[:], data)
			case directoryFirst:
				b.first = number
			case directoryDigest:
				copy(b.digest[:], data)
			case directoryUnits:
				b.units = int(min(number, maxSub))
			default:
				return b.set(n, number, data, &columns)
			}
			return nil
		})
		if err == nil {
			err = b.finish(columns)
		}
		blocks = append(blocks, b)
		return err
	})
	return blocks, err
}

// readDirectories lists the blocks of the segment, in the order of their keys, if the
// directories tell of so many records or more.
func (d *database) readDirectories(records int) (blocks []block, ok bool) {
	blocks, err := d.directories()
	return blocks, err == nil && countRecords(blocks) >= records
}

func (d *database) directories() (blocks []block, err error) {
	defer recoverDamage(&err)
	err = d.View(func(txn *txn) error {
		it := txn.NewIterator(dgraph.IteratorOptions{Prefix: []byte{directoryPrefix}})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if err := txn.item(it.Item()).Value(func(data []byte) (err error) {
				blocks, err = parseDirectory(blocks, data)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return sortBlocks(blocks), err
}

// sortBlocks brings blocks into the order of their keys, each once.
func sortBlocks(blocks []block) []block {
	slices.SortFunc(blocks, func(a, b block) int {
		return cmp.Or(b.newest.Compare(a.newest), cmp.Compare(a.first, b.first))
	})
	return slices.CompactFunc(blocks, func(a, b block) bool { return a.newest == b.newest && a.first == b.first })
}
