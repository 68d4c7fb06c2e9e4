// Package storetest is the suite that every store passes: what package store
// promises, as claims that run against real files.
//
// A store's own tests call [Run] with a function that opens it. What a claim
// needs to know beyond the contract it asks for: a store that has a method
// Pack(ctx) error, which moves records from where they were committed to where
// they stay, is tested before, after and in the middle of that.
package storetest

import (
	"context"
	"testing"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// Open opens the store kept in dir. It fails the test where that fails.
type Open func(t *testing.T, dir string) store.Store

// Run runs the suite against the stores that open opens.
func Run(t *testing.T, open Open) {
	for _, claim := range []struct {
		name string
		test func(*testing.T, Open)
	}{
		{"RecordsComeBackWhole", recordsComeBackWhole},
		{"LargeBodyComesBackWhole", largeBodyComesBackWhole},
		{"AddCopiesTheRecord", addCopiesTheRecord},
		{"YieldedRecordIsTheCallers", yieldedRecordIsTheCallers},
		{"AddedBeforeCloseIsKept", addedBeforeCloseIsKept},
		{"SequenceHasNoHoles", sequenceHasNoHoles},
		{"UnknownIDIsNotFound", unknownIDIsNotFound},
		{"CounterIsOneForASource", counterIsOneForASource},
		{"LostCallsBecomeGaps", lostCallsBecomeGaps},
		{"ForgottenCallIsNothing", forgottenCallIsNothing},
		{"BeginEntryStandsUntilItsRecordComes", beginEntryStandsUntilItsRecordComes},
		{"BeginEntriesAreFilteredLikeRecords", beginEntriesAreFiltered},
		{"BeginEntriesBecomeUnfinished", beginEntriesBecomeUnfinished},
		{"BeginEntryThatIsLateOrTwiceIsDropped", lateEntryIsDropped},
		{"PagesShowEachStreamOnce", pagesShowEachStreamOnce},
		{"StreamsComeAndGoWhileAllIsRead", streamsComeAndGo},
		{"GapsAreFoundByTheirStretch", gapsAreFoundByTheirStretch},
		{"NewestFirstWithEqualTimestamps", newestFirstWithEqualTimestamps},
		{"LongCallsStayInOrder", longCallsStayInOrder},
		{"FiltersFindWhatTheModelFinds", filtersFindWhatTheModelFinds},
		{"ScopeHides", scopeHides},
		{"SummariesCountWhatScansFind", summariesCount},
		{"PagesAreASnapshotWhileWritersGoOn", pagesAreASnapshot},
		{"ScanIsASnapshot", scanIsASnapshot},
		{"ScanEndsWithItsContext", scanEndsWithItsContext},
		{"CloseEndsScans", closeEndsScans},
		{"ClosedStoreSaysSo", closedStoreSaysSo},
	} {
		t.Run(claim.name, func(t *testing.T) {
			t.Parallel()
			claim.test(t, open)
		})
	}
}

// packer is a store that can be told to pack.
type packer interface{ Pack(context.Context) error }

// Pack packs what s has, and reports whether it can.
func Pack(t *testing.T, s store.Store) bool {
	t.Helper()
	p, ok := s.(packer)
	if ok {
		if err := p.Pack(t.Context()); err != nil {
			t.Fatalf("packing: %v", err)
		}
	}
	return ok
}

// Close verifies and closes s, and fails the test where that fails. A test that has
// damaged its store on purpose calls the store's own.
func Close(t *testing.T, s store.Store) {
	t.Helper()
	if s.Health() == nil && !t.Failed() {
		Verify(t, s)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatalf("closing: %v", err)
	}
}

// stages runs check on a store with these records in three states: half of them
// packed, all of them, and after it was closed and opened again.
func stages(t *testing.T, open Open, records []*record.Record, check func(t *testing.T, s store.Store)) {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	Add(t, s, records[:len(records)/2]...)
	packs := Pack(t, s)
	Add(t, s, records[len(records)/2:]...)
	t.Run("half packed", func(t *testing.T) { check(t, s) })
	if packs {
		Pack(t, s)
		t.Run("packed", func(t *testing.T) { check(t, s) })
	}
	Close(t, s)
	s = open(t, dir)
	t.Run("reopened", func(t *testing.T) { check(t, s) })
	Verify(t, s)
	Close(t, s)
}
