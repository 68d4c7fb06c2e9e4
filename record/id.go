package record

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ID names one record: a UUIDv7 (RFC 9562, section 5.7). Its first 60 bits
// are the time at which the call began, so ids sort by time, and an id leads
// to the place where its record is kept. Within a process each new ID is
// greater than the one before it, also when the clock stands still or steps
// back.
type ID uuid.UUID

// NewID returns a new ID for a call that begins now.
func NewID() ID { return ids.Next() }

// ids are those of this process.
var ids = NewIDs(time.Now)

// IDs makes ids by a clock, each greater than the one before: where the clock
// stands still or steps back they go on from the last one, in the least steps that
// there are. So while a clock that was set back catches up, ids, and with them
// timestamps, stand still but for 256 ns a call.
type IDs struct {
	now func() time.Time

	mu   sync.Mutex // guards last
	last int64      // time of the last ID, in units of 1/4096 ms
}

// NewIDs returns a maker of ids that reads the time from now.
func NewIDs(now func() time.Time) *IDs { return &IDs{now: now} }

// Next returns a new ID. The 62 bits behind the time are random, so that ids of
// two processes differ also where their clocks say the same, or one clock says the
// same twice.
func (s *IDs) Next() ID {
	var id ID
	rand.Read(id[8:]) // never fails
	id[8] = id[8]&0x3f | 0x80
	nano := s.now().UnixNano()
	t := nano/1e6<<12 | nano%1e6>>8
	s.mu.Lock()
	t = max(t, s.last+1)
	if t&0xfff > 999_999>>8 { // the millisecond has no more units
		t = (t>>12 + 1) << 12
	}
	s.last = t
	s.mu.Unlock()
	binary.BigEndian.PutUint64(id[:8], uint64(t>>12)<<16|0x7000|uint64(t)&0xfff)
	return id
}

// ParseID reads the usual text form of an ID: 36 characters, hexadecimal
// digits in five groups. Anything but a UUIDv7 is an error.
func ParseID(s string) (ID, error) {
	if len(s) != 36 { // uuid.Parse also takes URNs, braces and bare digits
		return ID{}, fmt.Errorf("event id has %d characters, want the 36 of a UUID", len(s))
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fmt.Errorf("parsing event id: %w", err)
	}
	if u.Version() != 7 || u.Variant() != uuid.RFC4122 {
		return ID{}, fmt.Errorf("event id is a UUID of version %d, want 7", u.Version())
	}
	return ID(u), nil
}

// Time is when the call began, to the microsecond, in UTC. It is the record's
// timestamp: one clock reading gives both, so the order of ids is the order
// of timestamps.
func (id ID) Time() time.Time {
	milli := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
	fraction := int64(id[6]&0x0f)<<8 | int64(id[7]) // of the millisecond, in units of 256 ns
	return time.UnixMicro(milli*1000 + fraction*256/1000).UTC()
}

// FirstID returns the smallest ID of a call that began at t or later, with the
// precision of [ID.Time]. It names no record; it is a bound for searching.
func FirstID(t time.Time) ID {
	var id ID
	micro := max(t.UnixMicro(), 0)
	milli := micro / 1000
	fraction := (micro%1000*1000 + 255) / 256 // the first unit whose microsecond is this one
	for i := range 6 {
		id[i] = byte(milli >> (40 - 8*i))
	}
	id[6], id[7] = 0x70|byte(fraction>>8), byte(fraction)
	return id
}

// IDAt returns an ID for what began at t, which is not now: a gap is named when
// it is known, and begins long before. Two of the same t differ by chance alone.
func IDAt(t time.Time) ID {
	id := FirstID(t)
	random := uuid.New()
	copy(id[8:], random[8:]) // its variant bits are those of every UUID
	return id
}

// Compare orders ids, oldest first.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the 36 characters that ParseID reads.
func (id ID) String() string { return uuid.UUID(id).String() }

// MarshalText implements [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}
