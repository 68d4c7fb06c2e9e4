package badger_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// ring returns the keyring of keys of 32 equal bytes.
func ring(t testing.TB, keys ...byte) *store.Keyring {
	t.Helper()
	var secrets [][]byte
	for _, k := range keys {
		secrets = append(secrets, bytes.Repeat([]byte{k}, 32))
	}
	r, err := store.NewKeyring(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// words are planted in every part of a record that a caller decides about.
var words = []string{"planted-uri", "planted-query", "planted-user", "planted-header", "planted-request", "planted-response", "planted-project"}

func planted(id record.ID) *record.Record {
	r := storetest.NewRecords(uint64(id[15])).At(id)
	r.URI, r.Query, r.UserID, r.Project = "/planted-uri", "planted-query", "planted-user", "planted-project"
	r.RequestHeaders = append(r.RequestHeaders, record.Headers{{Name: "X-Planted", Value: "planted-header"}}...)
	r.RequestBody.Content, r.ResponseBody.Content = []byte("planted-request"), []byte("planted-response")
	return r
}

// At every stage, with segments open and closed, packed and in the journal.
func TestEncryptedStoreHasNoWordInClear(t *testing.T) {
	dir := t.TempDir()
	open := opener(badger.Options{Keys: ring(t, 1)})
	clear := func(when string) {
		t.Helper()
		if found := inClear(t, dir); len(found) != 0 {
			t.Errorf("%s: in clear: %q", when, found)
		}
	}
	s := open(t, dir)
	var want []*record.Record
	add := func() {
		t.Helper()
		for range 5 {
			r := planted(record.NewID())
			storetest.Add(t, s, r)
			want = append(want, r)
		}
	}
	add()
	clear("in the journal")
	storetest.Pack(t, s)
	clear("packed")
	add()
	e := storetest.Entry(planted(record.NewID()))
	storetest.Add(t, s, e)
	clear("packed and in the journal")
	copied := copyOf(t, dir)
	storetest.Close(t, s)
	clear("closed")

	s = open(t, copied)
	for _, r := range want {
		got, err := s.Get(t.Context(), r.EventID)
		if err != nil {
			t.Error(err)
		} else if diff := storetest.Diff(r, got); diff != "" {
			t.Error(diff)
		}
	}
	storetest.Verify(t, s)
	storetest.Close(t, s)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	dir = copied
	clear("after a kill")
}

func TestMissingKeyIsToldAndChangesNothing(t *testing.T) {
	for name, pack := range map[string]bool{"segments": true, "journal": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := opener(badger.Options{Keys: ring(t, 1)})(t, dir)
			storetest.Add(t, s, planted(record.NewID()))
			if pack {
				storetest.Close(t, s)
			} else {
				copied := copyOf(t, dir)
				storetest.Close(t, s)
				dir = copied
			}
			before := files(t, dir)
			for name, keys := range map[string]*store.Keyring{"no key": nil, "another key": ring(t, 2)} {
				s, err := badger.Open(badger.Options{Path: dir, Keys: keys})
				if err == nil {
					storetest.Close(t, s)
				}
				if !errors.Is(err, store.ErrKey) || errors.Is(err, store.ErrCorrupt) ||
					!strings.Contains(err.Error(), "needs key "+ring(t, 1).ID().String()) || !strings.Contains(err.Error(), "give") {
					t.Errorf("with %s: %v, want what to do", name, err)
				}
				after := files(t, dir)
				for path, content := range before {
					if path != "lock" && !bytes.Equal(after[path], content) {
						t.Errorf("with %s: %s changed", name, path)
					}
				}
				if len(after) != len(before) {
					t.Errorf("with %s: there are %d files, were %d", name, len(after), len(before))
				}
			}
			s = opener(badger.Options{Keys: ring(t, 1)})(t, dir).(*badger.Store)
			if all := storetest.Verify(t, s); !slices.ContainsFunc(all, func(r *record.Record) bool { return r.URI == "/planted-uri" }) {
				t.Error("with the key the record is not there")
			}
			storetest.Close(t, s)
		})
	}
}

// On one day: from no key to a key, to another, and each is known by its segment.
func TestKeysRotateWithinADay(t *testing.T) {
	dir := t.TempDir()
	start := time.Now().Truncate(24 * time.Hour).Add(time.Minute)
	var logged []string
	step := func(n int, keys *store.Keyring) {
		t.Helper()
		logged = nil
		s, err := badger.Open(badger.Options{Path: dir, Keys: keys, Log: func(msg string, err error) { logged = append(logged, msg) }})
		if err != nil {
			t.Fatal(err)
		}
		r := planted(record.IDAt(start.Add(time.Duration(n) * time.Second)))
		r.Method = "POST"
		storetest.Add(t, s, r)
		storetest.Pack(t, s)
		if all := storetest.Verify(t, s); len(all) != n {
			t.Errorf("%d records, want %d", len(all), n)
		}
		storetest.Close(t, s)
	}
	keysOf := func() (ids []string) {
		paths, _ := filepath.Glob(filepath.Join(dir, "segments", "*.writes", "segment.json"))
		data, err := os.ReadFile(paths[0])
		if err != nil || len(paths) != 1 {
			t.Fatal(paths, err)
		}
		var m struct{ Keys []string }
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		return m.Keys
	}
	one, two := ring(t, 1).ID().String(), ring(t, 2).ID().String()
	step(1, nil)
	if got := keysOf(); len(got) != 0 {
		t.Errorf("plain: keys are %q", got)
	}
	step(2, ring(t, 1))
	if want, got := []string{"none", one}, keysOf(); !slices.Equal(got, want) {
		t.Errorf("keys are %q, want %q", got, want)
	}
	step(3, ring(t, 2, 1))
	step(4, ring(t, 2, 1, 3))
	if want, got := []string{"none", one, two}, keysOf(); !slices.Equal(got, want) {
		t.Errorf("keys are %q, want %q", got, want)
	}
	if len(logged) != 1 || !strings.Contains(logged[0], ring(t, 3).ID().String()) {
		t.Errorf("logged %q, want that the third key can be left out", logged)
	}
}

// An entry that is changed, or stands where another was, is damage, whatever its
// checksum says.
func TestChangedEntryIsDamage(t *testing.T) {
	dir := t.TempDir()
	open := opener(badger.Options{Keys: ring(t, 1)})
	s := open(t, dir)
	r := planted(record.NewID())
	storetest.Add(t, s, r)
	storetest.Close(t, s)
	if err := badger.ChangeEntries(dir, func(value []byte) { value[len(value)-1] ^= 1 }); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if _, err := s.Get(t.Context(), r.EventID); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("%v, want damage", err)
	}
	if err := s.Close(t.Context()); err != nil { // not verified: it is damaged
		t.Error(err)
	}
}

// inClear returns the files below dir that have one of the words.
func inClear(t testing.TB, dir string) (found []string) {
	for path, content := range files(t, dir) {
		for _, w := range words {
			if bytes.Contains(content, []byte(w)) {
				found = append(found, path+": "+w)
			}
		}
	}
	return found
}

// files are the contents of all files below dir.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all[path], err = os.ReadFile(filepath.Join(dir, path))
		}
		if errors.Is(err, fs.ErrNotExist) { // replaced meanwhile
			delete(all, path)
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
