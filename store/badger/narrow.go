package badger

import (
	"errors"

	"github.com/auditgate/auditgate/store"
)

// narrowed is what indexes leave of a block.
type narrowed struct {
	units bitset // of metadata, by sub-block; nil: all
	rows  bitset // by their order; nil: all
}

// narrow asks the indexes of a block which of its records can match. none is true
// where there are none. A damaged index is as none: what it tells about is read whole,
// and damage there is told.
func (c *scan) narrow(b *blockReader) (n narrowed, none bool, err error) {
	n, none, err = c.ask(b)
	if errors.Is(err, store.ErrCorrupt) {
		return narrowed{}, false, nil
	}
	return n, none, err
}

func (c *scan) ask(b *blockReader) (n narrowed, none bool, err error) {
	left := b.block.units
	if len(c.plan.clauses) > 0 && b.block.filters.pages > 0 {
		units, err := c.unitsOf(b)
		if err != nil {
			return n, false, err
		}
		n.units = newBitset(b.block.units)
		left = 0
		for i := range b.block.units {
			if units.has(b.block.unit + i) {
				n.units.add(i)
				left++
			}
		}
		if left == 0 {
			return n, true, nil
		}
	}
	// A few sub-blocks are opened faster than columns of all records are read.
	if len(b.conditions) == 0 || !b.hasColumns() || n.units != nil && 4*left < b.block.units {
		return n, false, nil
	}
	n.rows, err = c.rowsOf(&blockColumns{blockReader: b, buffer: &c.buffer}, b.conditions)
	return n, n.rows.empty(), err
}

// maxGroups is how many groups of blocks a scan remembers the units of: those of
// the segments that it reads at the same time.
const maxGroups = 64

// unitsOf returns the units that can have what the clauses ask for, of all blocks
// in the block's group.
func (c *scan) unitsOf(b *blockReader) (bitset, error) {
	key := groupKey{b.segment, b.block.filters}
	if units, known := c.groups[key]; known {
		return units, nil
	}
	var left bitset // nil: all
	for i := range c.plan.clauses {
		clause := &c.plan.clauses[i]
		var found bitset
		for _, token := range clause.tokens {
			if err := b.readPage(pageOf(token, b.block.filters.pages), func(page []byte) error {
				return eachUnit(page, func(unit int, filter []byte) {
					if unit/64 == len(found) {
						found = append(found, 0)
					}
					if left.has(unit) && (filter == nil || hasBits(filter, token, clause.probes)) {
						found.add(unit)
					}
				})
			}); err != nil {
				return nil, err
			}
		}
		if left = found; left.empty() {
			break
		}
	}
	if len(c.groups) >= maxGroups {
		clear(c.groups)
	}
	if c.groups == nil {
		c.groups = make(map[groupKey]bitset)
	}
	c.groups[key] = left
	return left, nil
}

// groupKey names a group of blocks in all segments.
type groupKey struct {
	segment *segment
	group   group
}

// rowsOf returns which records of a block meet all conditions. nil: all.
func (c *scan) rowsOf(cols *blockColumns, conditions []condition) (rows bitset, err error) {
	for i := range conditions {
		col, err := cols.column(conditions[i].column)
		if err != nil {
			return nil, err
		}
		if rows = conditions[i].keep(rows, col); rows.empty() {
			break
		}
	}
	return rows, nil
}

// blockColumns are the columns of a block, read as they are asked for.
type blockColumns struct {
	*blockReader
	buffer *[]byte // room to read into
	read   [columnCount]*column
}

func (b *blockColumns) column(number int) (*column, error) {
	if b.read[number] != nil {
		return b.read[number], nil
	}
	entry := entryOf(number)
	r, err := b.entry(entry)
	if err != nil {
		return nil, err
	}
	for _, n := range entryColumns[entry] {
		if b.read[n], err = r.column(); err != nil {
			return nil, b.wrap(err)
		}
	}
	return b.read[number], nil
}

func (b *blockColumns) places() (*places, error) {
	r, err := b.entry(entryPlaces)
	if err != nil {
		return nil, err
	}
	p, err := r.places(b.block.newest)
	return p, b.wrap(err)
}

func (b *blockColumns) entry(entry int) (r *columnsReader, err error) {
	r, *b.buffer, err = b.readColumns(entry, *b.buffer)
	return r, err
}

// keep returns of rows those that meet the condition.
func (c *condition) keep(rows bitset, col *column) bitset {
	meets, all := make([]bool, len(col.values)), true
	for i, value := range col.values {
		meets[i] = c.matches(value)
		all = all && meets[i]
	}
	if all {
		return rows
	}
	left := newBitset(len(col.rows))
	for i, code := range col.rows {
		if meets[code] && rows.has(i) {
			left.add(i)
		}
	}
	return left
}
