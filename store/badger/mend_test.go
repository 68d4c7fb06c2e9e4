package badger_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

func TestBrokenManifestCostsNothing(t *testing.T) {
	sound, maker := quickDir(t), storetest.NewRecords(1)
	var records []*record.Record
	times := 3
	if *long {
		times = 50 // more tables than Badger leaves unmerged
	}
	for range times {
		more := writes(maker, 40)
		records = append(records, more...)
		packedWrites(t, sound, more)
	}
	seg, _ := filepath.Glob(filepath.Join(sound, "segments", "*.writes"))
	if tables, _ := filepath.Glob(filepath.Join(seg[0], "*.sst")); len(tables) < 3 {
		t.Fatalf("the segment has %d tables, want more", len(tables))
	}
	for name, do := range map[string]func(path string) error{
		"missing":                           os.Remove,
		"of no length":                      func(path string) error { return cut(path, 0) },
		"cut":                               func(path string) error { return cut(path, 5) },
		"a flipped byte in its last change": func(path string) error { return flip(path, -3) },
		"a flipped byte in its first":       func(path string) error { return flip(path, 20) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyOf(t, sound)
			if err := do(filepath.Join(dir, "segments", filepath.Base(seg[0]), "MANIFEST")); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				s := openRoomy(t, dir)
				if n := lost(t, s, records); n > 0 {
					t.Errorf("the bodies of %d records are lost", n)
				}
				if gaps := gapsOf(t, s); len(gaps) > 0 {
					t.Errorf("%d gaps", len(gaps))
				}
				if err := s.Health(); err != nil {
					t.Error(err)
				}
				storetest.Close(t, s)
			}
			packedWrites(t, dir, writes(storetest.NewRecords(2), 40))
			s := openRoomy(t, dir)
			if n := len(storetest.List(t, s, record.Query{Scope: storetest.Everything})); n != len(records)+40 {
				t.Errorf("%d records after 40 more, before there were %d", n, len(records))
			}
			storetest.Close(t, s)
		})
	}
}

// Badger does not open tables that overlap on a level but the first.
func TestTablesThatOverlapAreOnLevelsOfTheirOwn(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var ranges [][2][]byte
		for range rng.IntN(60) {
			key := func() []byte { return fmt.Appendf(nil, "%c%03d", 'a'+rng.IntN(2), rng.IntN(200)) }
			a, b := key(), key()
			if bytes.Compare(a, b) > 0 {
				a, b = b, a
			}
			ranges = append(ranges, [2][]byte{a, b})
		}
		count := 0
		for level, tables := range badger.Levels(ranges) {
			count += len(tables)
			for i := 1; i < len(tables) && level > 0; i++ {
				if bytes.Compare(ranges[tables[i-1]][1], ranges[tables[i]][0]) >= 0 {
					t.Fatalf("on level %d %s follows %s", level, ranges[tables[i]], ranges[tables[i-1]])
				}
			}
		}
		if count != len(ranges) {
			t.Fatalf("%d tables on all levels, want %d", count, len(ranges))
		}
	}
}
