package badger

import (
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/auditgate/auditgate/record"
)

// The columns of a block tell of each of its records, in their order, what filters
// and summaries ask about, so that they open no metadata. A column that may have any
// value is a dictionary and, for each record, the code of its value.
const (
	columnSource = iota
	columnProject
	columnAction // the name, and the aliases
	columnMethod
	columnStatus
	columnSuccess
	columnOutcome
	columnObjectType
	columnUser // id, name and e-mail address
	columnAddress
	columnURI
	columnCount
)

// The entries that columns stand in, those together that are asked for together.
const (
	entryPlaces = iota // time, sequence and announcement
	entryFacts
	entryUsers
	entryAddresses
	entryURIs
	entryCount
)

// entryColumns are the columns of each entry.
var entryColumns = [entryCount][]int{
	entryFacts: {
		columnSource, columnProject, columnAction, columnMethod, columnStatus, columnSuccess, columnOutcome, columnObjectType,
	},
	entryUsers:     {columnUser},
	entryAddresses: {columnAddress},
	entryURIs:      {columnURI},
}

// entryOf returns the entry that has a column.
func entryOf(column int) int {
	switch column {
	case columnUser:
		return entryUsers
	case columnAddress:
		return entryAddresses
	case columnURI:
		return entryURIs
	}
	return entryFacts
}

// maxCodes is how many different values a column can have: more records than
// that are in no block.
const maxCodes = 1 << 16

// eachValue calls do with the value of each column that s has. A value of several
// parts has each behind its length. It returns scratch, which values may be in.
func eachValue(s *record.Stored, scratch []byte, do func(column int, value []byte)) []byte {
	do(columnSource, s.Source)
	do(columnProject, s.Project)
	scratch = appendPart(scratch[:0], s.Action)
	for _, alias := range s.Aliases {
		scratch = appendPart(scratch, alias)
	}
	do(columnAction, scratch)
	do(columnMethod, s.Method)
	scratch = strconv.AppendInt(scratch[:0], int64(s.Status), 10)
	do(columnStatus, scratch)
	do(columnSuccess, s.Success)
	do(columnOutcome, s.Outcome)
	do(columnObjectType, s.ObjectType)
	scratch = appendPart(appendPart(appendPart(scratch[:0], s.UserID), s.UserName), s.UserEmail)
	do(columnUser, scratch)
	do(columnAddress, s.UserIP)
	do(columnURI, s.URI)
	return scratch
}

func appendPart(dst, part []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(part))), part...)
}

// columnsBuilder gathers the columns of one block after the other.
type columnsBuilder struct {
	count                       int
	times, sequences, announced []byte
	micros                      int64  // of the record before
	sequence                    uint64 // of the record before
	dictionaries                [columnCount]dictionaryBuilder
	scratch                     []byte
}

// add takes the next record.
func (b *columnsBuilder) add(in *input, s *record.Stored) {
	micros := in.id.Time().UnixMicro()
	if b.count == 0 {
		b.micros, b.sequence = micros, 0
	}
	b.count++
	b.times = binary.AppendUvarint(b.times, uint64(b.micros-micros))
	b.sequences = binary.AppendVarint(b.sequences, int64(in.sequence-b.sequence))
	b.announced = binary.AppendUvarint(b.announced, s.Announced)
	b.micros, b.sequence = micros, in.sequence
	b.scratch = eachValue(s, b.scratch, func(column int, value []byte) { b.dictionaries[column].add(value) })
}

// flush hands over the entries, and begins anew.
func (b *columnsBuilder) flush(put func(entry int, raw []byte) error) error {
	for entry, columns := range entryColumns {
		raw := binary.AppendUvarint(nil, uint64(b.count))
		if entry == entryPlaces {
			raw = append(append(append(raw, b.times...), b.sequences...), b.announced...)
		}
		for _, column := range columns {
			raw = b.dictionaries[column].append(raw)
		}
		if err := put(entry, raw); err != nil {
			return err
		}
	}
	b.count = 0
	b.times, b.sequences, b.announced = b.times[:0], b.sequences[:0], b.announced[:0]
	return nil
}

// dictionaryBuilder gathers one column.
type dictionaryBuilder struct {
	codes  map[string]uint16
	values []byte // each behind its length, in the order of their codes
	rows   []uint16
}

func (b *dictionaryBuilder) add(value []byte) {
	code, known := b.codes[string(value)]
	if !known {
		if b.codes == nil {
			b.codes = make(map[string]uint16)
		}
		code = uint16(len(b.codes))
		b.codes[string(value)] = code
		b.values = appendPart(b.values, value)
	}
	b.rows = append(b.rows, code)
}

// append appends the column, and begins anew: how many values, the values, and the
// codes. Those of up to 256 values are bytes; of more, how far they are from the
// lowest that no record before has (uvarint), so that new values are all the same.
func (b *dictionaryBuilder) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b.codes)))
	dst = append(dst, b.values...)
	next := uint16(0)
	for _, code := range b.rows {
		if len(b.codes) <= 256 {
			dst = append(dst, byte(code))
			continue
		}
		dst = binary.AppendUvarint(dst, uint64(next-code))
		next = max(next, code+1)
	}
	clear(b.codes)
	b.values, b.rows = b.values[:0], b.rows[:0]
	return dst
}

// column is one column of a block, read.
type column struct {
	values []string
	rows   []uint16 // the index of each record's value
}

// places are where the records of a block stand.
type places struct {
	micros    []int64
	sequences []uint64
	announced []uint64
}

var errColumns = damaged(errors.New("malformed columns of a block"))

// columnsReader reads an entry of columns from its beginning.
type columnsReader struct {
	rest  string
	count int
}

// newColumnsReader reads the entry of a block of that many records.
func newColumnsReader(raw []byte, count int) (*columnsReader, error) {
	r := &columnsReader{rest: string(raw)} // once: values are parts of it
	n, ok := r.number()
	if !ok || n != uint64(count) || count > maxCodes {
		return nil, errColumns
	}
	r.count = count
	return r, nil
}

func (r *columnsReader) number() (uint64, bool) {
	var v uint64
	for i := 0; i < len(r.rest) && i < binary.MaxVarintLen64; i++ {
		c := r.rest[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return v, true
		}
	}
	return 0, false
}

func (r *columnsReader) part() (string, bool) {
	n, ok := r.number()
	if !ok || n > uint64(len(r.rest)) {
		return "", false
	}
	part := r.rest[:n]
	r.rest = r.rest[n:]
	return part, true
}

// column reads the next column.
func (r *columnsReader) column() (c *column, err error) {
	n, ok := r.number()
	if !ok || n > uint64(r.count) {
		return nil, errColumns
	}
	c = &column{values: make([]string, n), rows: make([]uint16, r.count)}
	for i := range c.values {
		if c.values[i], ok = r.part(); !ok {
			return nil, errColumns
		}
	}
	next := uint64(0)
	for i := range c.rows {
		var code uint64
		if n <= 256 {
			if r.rest == "" {
				return nil, errColumns
			}
			code, r.rest = uint64(r.rest[0]), r.rest[1:]
		} else if code, ok = r.number(); !ok {
			return nil, errColumns
		} else {
			code = next - code
			next = max(next, code+1)
		}
		if code >= n {
			return nil, errColumns
		}
		c.rows[i] = uint16(code)
	}
	return c, nil
}

// places reads the places of a block with that newest record.
func (r *columnsReader) places(newest record.ID) (*places, error) {
	p := &places{make([]int64, r.count), make([]uint64, r.count), make([]uint64, r.count)}
	micros := newest.Time().UnixMicro()
	for i := range p.micros {
		n, ok := r.number()
		if !ok {
			return nil, errColumns
		}
		micros -= int64(n)
		p.micros[i] = micros
	}
	sequence := uint64(0)
	for i := range p.sequences {
		n, ok := r.number()
		if !ok {
			return nil, errColumns
		}
		sequence += n>>1 ^ -(n & 1) // zigzag, as a varint is
		p.sequences[i] = sequence
	}
	for i := range p.announced {
		n, ok := r.number()
		if !ok {
			return nil, errColumns
		}
		p.announced[i] = n
	}
	return p, nil
}

// parts takes apart a value of several; it is nil for what is none.
func parts(value string) (list []string) {
	for r := (columnsReader{rest: value}); r.rest != ""; {
		part, ok := r.part()
		if !ok {
			return nil
		}
		list = append(list, part)
	}
	return list
}
