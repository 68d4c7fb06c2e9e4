package badger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
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
	// Values are all that stand in some columns, by the name of each. Of one that is
	// not named nothing is known; and of none where entries are sealed, since this
	// file is not.
	Values map[string][]string `json:"values,omitempty"`
	// Directories says that whatever was packed into the segment has some, from its
	// first block on. It is never so where blocks came from elsewhere.
	Directories bool `json:"directories,omitempty"`
	// Anew is the name that the segment had when this was made anew of what was found in
	// it: nobody knows whether that is all.
	Anew string `json:"anew,omitempty"`

	// ValueLog is the highest number of a value log when the segment was packed into last.
	ValueLog int `json:"value_log,omitempty"`

	unknown bool // the file could not be read: what the segment holds is found when it is opened
}

const manifestFile = "segment.json"

// encode returns the content of the file. Its last member is a checksum of all before
// it: what is changed and still an object must not hide a record.
func (m *manifest) encode() ([]byte, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	data = data[:len(data)-1]
	return fmt.Appendf(data, "%s%08x\"}\n", sumMember, crc32.Checksum(data, castagnoli)), nil
}

// sumMember is what the checksum stands behind.
const sumMember = `,"crc32c":"`

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parseManifest reads the content of the file. Those of earlier versions have no checksum.
func parseManifest(data []byte) (*manifest, error) {
	m := new(manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, damaged(err)
	}
	if at := bytes.LastIndex(data, []byte(sumMember)); at >= 0 {
		if want := fmt.Sprintf("%08x\"}\n", crc32.Checksum(data[:at], castagnoli)); string(data[at+len(sumMember):]) != want {
			return nil, damaged(errors.New("its checksum is wrong"))
		}
	}
	if m.Last < m.First || m.Newest.Compare(m.Oldest) < 0 {
		return nil, damaged(errors.New("its newest record is older than its oldest"))
	}
	return m, nil
}

// unknownManifest covers all that a segment of that day can hold.
func unknownManifest() *manifest {
	m := &manifest{First: 1, unknown: true, GapsUntil: time.UnixMicro(math.MaxInt64 / 2)}
	for i := range m.Newest {
		m.Newest[i] = 0xff
	}
	return m
}

// manifestOf returns the manifest of blocks, which any of the keys may have sealed.
func manifestOf(blocks []block, keys *store.Keyring) *manifest {
	m := new(manifest)
	for i := range blocks {
		b := &blocks[i]
		m.widen(&manifest{Oldest: b.oldest, Newest: b.newest, First: b.first, Last: b.last, GapsUntil: b.gapsUntil})
	}
	m.Count, m.Digest = countRecords(blocks), digestBlocks(blocks)
	m.seal(keys.ID())
	for _, id := range keys.Old() {
		m.seal(id)
	}
	return m
}

// widen makes room for what m does not cover of more.
func (m *manifest) widen(more *manifest) {
	if m.Last == 0 {
		m.Oldest, m.Newest, m.First, m.Values = more.Oldest, more.Newest, more.First, more.Values
	}
	if m.Values = joinValues(m.Values, more.Values); m.isSealed() {
		m.Values = nil
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

// isSealed reports whether some entries are sealed.
func (m *manifest) isSealed() bool {
	return slices.ContainsFunc(m.Keys, func(id store.KeyID) bool { return id != store.KeyID{} })
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

// update changes the manifest, on disk before it is in memory. Most who do hold the
// store's packing lock; but one that is unknown is made anew by whoever opens the segment,
// a reader too. So they take turns here, and nobody else changes one before it is known.
func (s *segment) update(change func(m *manifest)) error {
	s.updating.Lock()
	defer s.updating.Unlock()
	m := *s.bound.Load()
	change(&m)
	if reflect.DeepEqual(&m, s.bound.Load()) {
		return nil
	}
	data, err := m.encode()
	if err != nil {
		return err
	}
	if err := disk.Replace(filepath.Join(s.dir, manifestFile), data); err != nil {
		return fmt.Errorf("updating segment %s: %w", s.name(), err)
	}
	s.bound.Store(&m)
	return nil
}
