package badger

// narrowed is what indexes leave of a block.
type narrowed struct {
	units bitset // of metadata, by sub-block; nil: all
	rows  bitset // by their order; nil: all
}

// narrow asks the indexes of a block which of its records can match. none is true
// where there are none.
func (c *scan) narrow(b *blockReader) (n narrowed, none bool, err error) {
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
	if len(c.plan.conditions) == 0 || !b.hasColumns() || n.units != nil && 4*left < b.block.units {
		return n, false, nil
	}
	n.rows, err = c.rowsOf(b, c.plan.conditions)
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

// rowsOf returns which records of the block meet all conditions.
func (c *scan) rowsOf(b *blockReader, conditions []condition) (bitset, error) {
	rows := newBitset(b.block.count)
	for i := range rows {
		rows[i] = ^uint64(0)
	}
	if rest := b.block.count % 64; rest > 0 {
		rows[len(rows)-1] = 1<<rest - 1
	}
	for entry, columns := range entryColumns {
		if !asked(conditions, columns) {
			continue
		}
		r, raw, err := b.readColumns(entry, c.buffer)
		if err != nil {
			return nil, err
		}
		c.buffer = raw
		for _, number := range columns {
			col, err := r.column()
			if err != nil {
				return nil, b.wrap(err)
			}
			for i := range conditions {
				if conditions[i].column == number {
					conditions[i].keep(rows, col)
				}
			}
		}
		if rows.empty() {
			break
		}
	}
	return rows, nil
}

// asked reports whether a condition is about one of the columns.
func asked(conditions []condition, columns []int) bool {
	for i := range conditions {
		for _, column := range columns {
			if conditions[i].column == column {
				return true
			}
		}
	}
	return false
}

// keep leaves in rows those that meet the condition.
func (c *condition) keep(rows bitset, col *column) {
	meets := make([]bool, len(col.values))
	all := true
	for i, value := range col.values {
		meets[i] = c.matches(value)
		all = all && meets[i]
	}
	if all {
		return
	}
	for i, code := range col.rows {
		if !meets[code] {
			rows[i/64] &^= 1 << (i % 64)
		}
	}
}
