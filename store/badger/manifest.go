package badger

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// manifest says what a segment may hold; the file segment.json.
type manifest struct {
	Oldest    record.ID `json:"oldest"`
	Newest    record.ID `json:"newest"`
	First     uint64    `json:"first"` // sequence
	Last      uint64    `json:"last"`
	Count     int       `json:"count"`               // of records that are there, and no fewer
	GapsUntil time.Time `json:"gaps_until,omitzero"` // end of the last gap's stretch
	Digest    string    `json:"digest,omitempty"`    // of the blocks that Count counts; see digestBlocks
	Dropping  *dropping `json:"dropping,omitempty"`  // it is about to go; the pointer is not changed
	// Keys are those that its entries are sealed with; none where all are plain.
	Keys []store.KeyID `json:"keys,omitempty"`
}

const manifestFile = "segment.json"

// widen makes room for what m does not cover of more.
func (m *manifest) widen(more *manifest) {
	if m.Last == 0 {
		m.Oldest, m.Newest, m.First = more.Oldest, more.Newest, more.First
	}
	if more.Oldest.Compare(m.Oldest) < 0 {
		m.Oldest = more.Oldest
	}
	if more.Newest.Compare(m.Newest) > 0 {
		m.Newest = more.Newest
	}
	m.First, m.Last = min(m.First, more.First), max(m.Last, more.Last)
	if more.GapsUntil.After(m.GapsUntil) {
		m.GapsUntil = more.GapsUntil
	}
}

// seal notes that blocks to come are sealed with that key, the zero one for not at all.
// The caller has not widened an empty manifest yet.
func (m *manifest) seal(id store.KeyID) {
	if len(m.Keys) == 0 {
		if id == (store.KeyID{}) {
			return
		}
		if m.Last != 0 { // what is there is plain
			m.Keys = []store.KeyID{{}}
		}
	}
	if !slices.Contains(m.Keys, id) {
		m.Keys = append(slices.Clip(m.Keys), id)
	}
}

// update changes the manifest, on disk before it is in memory. The caller holds
// the store's packing lock.
func (s *segment) update(change func(m *manifest)) error {
	m := *s.bound.Load()
	change(&m)
	if reflect.DeepEqual(&m, s.bound.Load()) {
		return nil
	}
	data, err := json.Marshal(&m)
	if err != nil {
		return err
	}
	if err := disk.Replace(filepath.Join(s.dir, manifestFile), append(data, '\n')); err != nil {
		return fmt.Errorf("updating segment %s: %w", s.name(), err)
	}
	s.bound.Store(&m)
	return nil
}
