package store_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/store"
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

func TestKeysAreHexadecimalOrBase64(t *testing.T) {
	for _, length := range []int{16, 24, 32} {
		want := bytes.Repeat([]byte{0xfb, 0xef}, length/2) // with both signs of base64
		for _, text := range []string{
			hex.EncodeToString(want), strings.ToUpper(hex.EncodeToString(want)), base64.StdEncoding.EncodeToString(want),
			base64.RawStdEncoding.EncodeToString(want), base64.URLEncoding.EncodeToString(want), " " + hex.EncodeToString(want) + "\r\n",
		} {
			if got, err := store.ParseKey(text); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%q: %x, %v", text, got, err)
			}
		}
	}
	for _, text := range []string{"", "secret word", strings.Repeat("s3", 17), strings.Repeat("ab", 15), strings.Repeat("ab", 33), strings.Repeat("a", 31), "ä"} {
		_, err := store.ParseKey(text)
		if err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, want an error that does not tell it", text, err)
		}
	}
}

func TestSealedOpensInItsPlaceAlone(t *testing.T) {
	s := ring(t, 1).Sealer("here")
	sealed := s.Seal([]byte("before"), []byte("text"), []byte("about"))
	data := sealed[len("before"):]
	if len(data) != len("text")+store.SealOverhead || bytes.Contains(data, []byte("text")) {
		t.Fatalf("sealed: %q", data)
	}
	if again := s.Seal(nil, []byte("text"), []byte("about")); bytes.Equal(again, data) {
		t.Error("sealed twice it is the same")
	}
	if got, err := ring(t, 2, 1).Sealer("here").Open(nil, data, []byte("about")); err != nil || string(got) != "text" {
		t.Errorf("with the key as an old one: %q, %v", got, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"about something else": func() ([]byte, error) { return s.Open(nil, data, []byte("else")) },
		"elsewhere":            func() ([]byte, error) { return ring(t, 1).Sealer("there").Open(nil, data, []byte("about")) },
		"cut":                  func() ([]byte, error) { return s.Open(nil, data[:len(data)-1], []byte("about")) },
		"nothing":              func() ([]byte, error) { return s.Open(nil, nil, []byte("about")) },
	} {
		if got, err := open(); err == nil || errors.Is(err, store.ErrKey) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, other := range map[string]*store.Keyring{"another key": ring(t, 2), "no key": nil} {
		if got, err := other.Sealer("here").Open(nil, data, []byte("about")); !errors.Is(err, store.ErrKey) {
			t.Errorf("with %s: %q, %v", name, got, err)
		}
	}
}

func TestJournalIsEncryptedAndRotates(t *testing.T) {
	dir := t.TempDir()
	var want []string
	add := func(keys *store.Keyring) {
		t.Helper()
		j := open(t, dir, store.JournalOptions{Keys: keys})
		for range 3 {
			r := newCall("nova")
			r.URI = "/planted/words"
			keep(t, j, r, nil)
			want = append(want, r.EventID.String())
		}
		if err := j.Seal(); err != nil {
			t.Fatal(err)
		}
		list := records(t, j.View())
		for i, r := range list {
			if id := want[len(want)-1-i]; r.EventID.String() != id || !bytes.Contains(r.RequestBody.Content, []byte(id)) {
				t.Errorf("record %d is %s with body %s, want %s", i, r.EventID, r.RequestBody.Content, id)
			}
		}
		if len(list) != len(want) {
			t.Errorf("%d records, want %d", len(list), len(want))
		}
		shut(t, j)
	}
	add(ring(t, 1))
	if files := filesWith(t, dir, "planted", "server"); len(files) != 0 {
		t.Errorf("in clear: %q", files)
	}
	add(ring(t, 2, 1))
	add(ring(t, 2, 1))
	if files := filesWith(t, dir, "planted", "server"); len(files) != 0 {
		t.Errorf("in clear: %q", files)
	}

	before := content(t, dir)
	for name, keys := range map[string]*store.Keyring{"none": nil, "another": ring(t, 3), "the new one alone": ring(t, 2)} {
		j, err := store.OpenJournal(dir, store.JournalOptions{Keys: keys})
		if !errors.Is(err, store.ErrKey) || errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "give ") {
			t.Errorf("with %s: %v, want an error that says what to do", name, err)
		}
		if err == nil {
			shut(t, j)
		}
		if after := content(t, dir); after != before {
			t.Errorf("with %s: files changed", name)
		}
	}
	add(ring(t, 1, 2))
}

// A journal that was plain goes on with a key, and back.
func TestJournalTakesKeyAndLeavesIt(t *testing.T) {
	dir := t.TempDir()
	for i, keys := range []*store.Keyring{nil, ring(t, 1)} {
		j := open(t, dir, store.JournalOptions{Keys: keys})
		keep(t, j, newCall("nova"), nil)
		if n := len(records(t, j.View())); n != i+1 {
			t.Errorf("%d records, want %d", n, i+1)
		}
		shut(t, j)
	}
}

// Bytes that are changed together with their checksum are no record, and told.
func TestForgedFrameIsDamage(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{Keys: ring(t, 1)})
	keep(t, j, newCall("nova"), nil)
	keep(t, j, newCall("nova"), nil)
	shut(t, j)
	name, data := newest(t, dir)
	first := store.FirstFrame + store.FrameLen(data[store.FirstFrame:])
	frame := data[first:][:store.FrameLen(data[first:])]
	frame[len(frame)-20] ^= 1
	store.SignFrame(frame)
	write(t, filepath.Join(dir, name), data)
	j = open(t, dir, store.JournalOptions{Keys: ring(t, 1)})
	if c := count(t, j.View(), "auditgate"); c.gaps[store.ReasonDamage] != 1 {
		t.Errorf("one record was forged: %+v", c)
	}
	shut(t, j)
}

// filesWith returns the files below dir that have one of the words.
func filesWith(t testing.TB, dir string, words ...string) (found []string) {
	t.Helper()
	each(t, dir, func(path string, data []byte) {
		for _, w := range words {
			if bytes.Contains(data, []byte(w)) {
				found = append(found, path+": "+w)
			}
		}
	})
	return found
}

// content is all that is in the files below dir.
func content(t testing.TB, dir string) string {
	t.Helper()
	var all bytes.Buffer
	each(t, dir, func(path string, data []byte) {
		all.WriteString(path)
		all.Write(data)
	})
	return all.String()
}

func each(t testing.TB, dir string, do func(path string, data []byte)) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		do(path, data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
