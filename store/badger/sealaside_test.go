package badger_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// rotated is a store with one packed record, sealed with the first key, whose journal
// is sealed with the second. It returns the segment's directory.
func rotated(t *testing.T, dir string) (seg string, r *record.Record) {
	t.Helper()
	s := opener(badger.Options{Keys: ring(t, 1)})(t, dir)
	r = planted(record.NewID())
	r.Method = "POST"
	storetest.Add(t, s, r)
	storetest.Close(t, s)
	storetest.Close(t, opener(badger.Options{Keys: ring(t, 2, 1)})(t, dir))
	names, _ := filepath.Glob(filepath.Join(dir, "segments", "*"))
	if len(names) != 1 {
		t.Fatalf("segments: %q, want one", names)
	}
	return names[0], r
}

// openSealed opens a store with keys and returns what it said until it was open.
func openSealed(t *testing.T, dir string, keys *store.Keyring) (*badger.Store, string) {
	t.Helper()
	var mu sync.Mutex
	var said strings.Builder
	s, err := badger.Open(badger.Options{Path: dir, Keys: keys, Log: func(msg string, err error) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&said, msg, err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return s, said.String()
}

func TestKeyIsNeededByWhatIsSetAsideOrUnknown(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir, seg string){
		"set aside": func(t *testing.T, dir, seg string) {
			setAsideByHand(t, dir, seg)
		},
		"set aside, and its segment.json is cut": func(t *testing.T, dir, seg string) {
			if err := os.Truncate(filepath.Join(setAsideByHand(t, dir, seg), "segment.json"), 9); err != nil {
				t.Fatal(err)
			}
		},
		"segment.json is cut": func(t *testing.T, _, seg string) {
			if err := os.Truncate(filepath.Join(seg, "segment.json"), 9); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			seg, _ := rotated(t, dir)
			damage(t, dir, seg)
			s, said := openSealed(t, dir, ring(t, 2, 1))
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if strings.Contains(said, "can be left out") {
				t.Errorf("it says of a key that is needed: %s", said)
			}
		})
	}
}

// setAsideByHand moves a segment to where it is set aside.
func setAsideByHand(t *testing.T, dir, seg string) string {
	t.Helper()
	aside := filepath.Join(dir, "quarantine", filepath.Base(seg)+".1")
	if err := os.MkdirAll(filepath.Dir(aside), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(seg, aside); err != nil {
		t.Fatal(err)
	}
	return aside
}

func TestSegmentSetAsideIsToldOfWithoutItsKey(t *testing.T) {
	dir := t.TempDir()
	seg, _ := rotated(t, dir)
	aside := setAsideByHand(t, dir, seg)
	foreign := filepath.Join(dir, "quarantine", "notes of the operator")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	s, said := openSealed(t, dir, ring(t, 2))
	defer s.Close(t.Context())
	if err := s.Health(); err == nil || !strings.Contains(err.Error(), aside) || strings.Contains(err.Error(), foreign) {
		t.Errorf("health: %v, want %s in it", err, aside)
	}
	if !strings.Contains(said, aside) || !strings.Contains(said, foreign) {
		t.Errorf("the log does not tell of both: %s", said)
	}
	gaps, err := s.Gaps(t.Context(), time.Time{}, time.Time{}, 10)
	if err != nil || len(gaps) != 1 || gaps[0].Gap.Count != 1 {
		t.Errorf("gaps: %v, %v; want one of one record", gaps, err)
	}
}

// Where segment.json is damaged, too, only its entries tell which key it needs.
func TestMissingKeyIsNoDamage(t *testing.T) {
	dir := t.TempDir()
	seg, r := rotated(t, dir)
	if err := os.Truncate(filepath.Join(seg, "segment.json"), 9); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, _ := openSealed(t, dir, ring(t, 2))
		if _, err := s.Get(t.Context(), r.EventID); !errors.Is(err, store.ErrKey) || errors.Is(err, store.ErrCorrupt) {
			t.Errorf("without its key: %v", err)
		}
		if err, want := s.Health(), ring(t, 1).ID().String(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "give") {
			t.Errorf("health: %v, want that key %s is to be given", err, want)
		}
		gaps, err := s.Gaps(t.Context(), time.Time{}, time.Time{}, 10)
		if err != nil || len(gaps) != 1 || gaps[0].Gap.Reason != "unavailable" {
			t.Errorf("gaps: %v, %v; want one, for the time being", gaps, err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if !exists(t, seg) || exists(t, filepath.Join(dir, "quarantine")) {
			t.Error("it was set aside")
		}
	}
	s, _ := openSealed(t, dir, ring(t, 2, 1))
	if all := storetest.Verify(t, s); !slices.ContainsFunc(all, func(got *record.Record) bool { return got.EventID == r.EventID }) {
		t.Error("with the key the record is not there")
	}
	if gaps, err := s.Gaps(t.Context(), time.Time{}, time.Time{}, 10); err != nil || len(gaps) != 0 {
		t.Errorf("with the key: %v, %v; want no gap", gaps, err)
	}
	storetest.Close(t, s)
}
