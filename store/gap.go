package store

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/auditgate/auditgate/record"
)

// The reasons of gaps that a store finds by itself.
const (
	// ReasonKilled: the process ended without closing its store. The count is
	// exact: calls in flight, and records that waited for their commit.
	ReasonKilled = "killed"
	// ReasonPowerCut: the machine stopped. How many calls there were since the
	// last commit is unknown.
	ReasonPowerCut = "power cut"
	// ReasonShutdown: the calls were in flight when the store was closed.
	ReasonShutdown = "shutdown"
	// ReasonRestored: the store is one from a backup. Which calls there were after that
	// is not known here.
	ReasonRestored = "restored"
	// ReasonDamage: records were stored and cannot be read any more. They are of
	// any source; the gap's own is [record.Self].
	ReasonDamage = "damage"
)

// newGap returns the record of a gap: calls of source that ended, as far as is
// known, from start to end.
func newGap(source string, start, end time.Time, g record.Gap) *record.Record {
	id := record.IDAt(start)
	r := &record.Record{
		EventID: id, Timestamp: id.Time(), EndTime: end.UTC(), Source: source,
		Success: record.SuccessUnknown, Outcome: record.OutcomeGap, Gap: &g,
	}
	if r.EndTime.Before(r.Timestamp) { // the clock was set back
		r.EndTime = r.Timestamp
	}
	return r
}

// DamageGap returns the gap record of records that were stored and cannot be read
// any more. Whoever finds the same again, which found names, gets the same id.
func DamageGap(start, end time.Time, g record.Gap, found ...any) *record.Record {
	g.Reason = ReasonDamage
	return foundGap(record.Self, start, end, g, found...)
}

// foundGap is newGap for what a start finds of an earlier run. A start that is
// itself cut off finds the same again, so the id follows from what was found. The
// reason is no part of that: a later start may not know it any more.
func foundGap(source string, start, end time.Time, g record.Gap, found ...any) *record.Record {
	r := newGap(source, start, end, g)
	sum := sha256.Sum256(fmt.Append(nil, source, "\n", found))
	copy(r.EventID[8:], sum[:])
	r.EventID[8] = r.EventID[8]&0x3f | 0x80 // the variant of RFC 9562
	return r
}
