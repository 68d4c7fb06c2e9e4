package badger_test

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// restoreTo names the variable that makes this program restore what it reads from its
// standard input to that place, and say a word after each part: so that it can be killed.
const restoreTo = "AUDITGATE_TEST_RESTORE_TO"

func init() {
	if place := os.Getenv(restoreTo); place != "" {
		if err := restoreParts(place); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
}

// saved is a backup as one process gives it to the other.
type saved struct {
	Names    []string
	Contents [][]byte
	Backup   badger.Backup
}

func restoreParts(place string) error {
	var s saved
	if err := gob.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	r, err := badger.NewRestore(place)
	if err != nil {
		return err
	}
	for i, name := range s.Names {
		if err := r.Put(name, bytes.NewReader(s.Contents[i])); err != nil {
			return err
		}
		fmt.Println("put", name)
	}
	return r.Finish(&s.Backup)
}

func TestRestoreThatIsKilledIsWholeOrNotThereAndTold(t *testing.T) {
	s := opener(badger.Options{Durability: store.OS})(t, t.TempDir())
	maker := storetest.NewRecords(1)
	for range 40 {
		storetest.Add(t, s, maker.Next(), maker.At(record.IDAt(goldenDays[0])))
	}
	storetest.Pack(t, s)
	storetest.Add(t, s, maker.Next())
	parts, b := save(t, s, func(int) {})
	all := len(storetest.Verify(t, s))
	storetest.Close(t, s)
	whole := saved{Backup: *b}
	for _, p := range parts {
		whole.Names, whole.Contents = append(whole.Names, p.name), append(whole.Contents, p.content)
	}
	var input bytes.Buffer
	if err := gob.NewEncoder(&input).Encode(&whole); err != nil {
		t.Fatal(err)
	}
	there := 0
	for n := 0; n <= len(parts); n++ { // killed after so many parts; at last, while all is put in its place
		if !*long && n%3 != 0 && n < len(parts) {
			continue
		}
		place := filepath.Join(t.TempDir(), "store")
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), restoreTo+"="+place)
		child.Stdin, child.Stderr = bytes.NewReader(input.Bytes()), os.Stderr
		out, err := child.StdoutPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		words := bufio.NewScanner(out)
		for range n {
			words.Scan()
		}
		_ = child.Process.Kill() // it may have ended
		_ = child.Wait()

		if exists(t, place) {
			there++
			s := opener(badger.Options{})(t, place)
			if got := len(storetest.Verify(t, s)); got != all+1 {
				t.Errorf("killed after %d of %d parts: %d records, want all %d and a gap", n, len(parts), got, all)
			}
			storetest.Close(t, s)
			continue
		}
		if !exists(t, place+".restoring") { // it had not begun
			continue
		}
		if _, err := badger.NewRestore(place); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("restoring again: %v, want what is in the way", err)
		}
		said := ""
		s, err := badger.Open(badger.Options{Path: place, Log: func(msg string, err error) { said += fmt.Sprintln(msg, err) }})
		if err != nil {
			t.Fatal(err)
		}
		if s.Sequence() != 0 {
			t.Errorf("a store that is not restored has records up to %d", s.Sequence())
		}
		storetest.Close(t, s)
		if !strings.Contains(said, place+".restoring") {
			t.Errorf("a start after a restore that was killed says %q, want that it was", said)
		}
	}
	t.Logf("of %d restores that were killed %d had come to their end", len(parts)+1, there)
}

// What can be read is saved, and what cannot is named.
func TestBackupOfADamagedStoreHasTheRest(t *testing.T) {
	dir := t.TempDir()
	s := opener(badger.Options{})(t, dir)
	maker := storetest.NewRecords(1)
	var sound []*record.Record
	for i, day := range goldenDays {
		r := maker.At(record.IDAt(day))
		r.Method = "POST"
		storetest.Add(t, s, r)
		storetest.Pack(t, s)
		if i > 0 {
			sound = append(sound, r)
		}
	}
	last := maker.Next()
	storetest.Close(t, s)
	name := goldenDays[0].Format("2006-01-02") + ".writes"
	spoil(t, filepath.Join(dir, "segments", name))
	s = opener(badger.Options{})(t, dir)
	storetest.Add(t, s, last)
	parts, b := save(t, s, func(int) {})
	if _, again := save(t, s, func(int) {}); len(again.Missing) != 1 || !strings.Contains(again.Missing[0], name) {
		t.Errorf("once it is set aside missing are %q, want %s", again.Missing, name)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(b.Missing) != 1 || !strings.Contains(b.Missing[0], name) {
		t.Errorf("missing are %q, want %s", b.Missing, name)
	}
	place := filepath.Join(t.TempDir(), "restored")
	restore(t, place, parts, b)
	s = opener(badger.Options{})(t, place)
	for _, want := range append(sound, last) {
		if got, err := s.Get(t.Context(), want.EventID); err != nil {
			t.Errorf("record %s: %v", want.EventID, err)
		} else if diff := storetest.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
