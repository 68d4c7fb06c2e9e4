package backup_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/store/backup"
)

func sample(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w := backup.NewWriter(&out)
	for _, name := range []string{"a", "dir/b"} {
		if err := w.Add(name, 10, strings.NewReader("0123456789")); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish(map[string]int{"sequence": 7}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(data []byte) (names string, about map[string]int, err error) {
	err = backup.Read(bytes.NewReader(data), &about, func(name string, content io.Reader) error {
		names += name + " "
		return nil // not all need be read
	})
	return names, about, err
}

func TestBackupHoldsWhatWasSaved(t *testing.T) {
	names, about, err := read(sample(t))
	if err != nil || names != "a dir/b " || about["sequence"] != 7 {
		t.Errorf("%q about %v: %v", names, about, err)
	}
}

// Wherever it is cut or changed, it is not taken for a backup: but for the zeros at the
// end of a tar, and what only says when it was made.
func TestBackupThatWasCutOrChangedIsRefused(t *testing.T) {
	good := sample(t)
	end := bytes.LastIndex(good, []byte("}\n}")) // of backup.json, about
	if end < 0 {
		end = bytes.LastIndex(good, []byte("]"))
	}
	for at := 0; at < end; at += 7 {
		if _, _, err := read(good[:at]); err == nil {
			t.Fatalf("cut at %d of %d it is read", at, len(good))
		}
	}
	for _, old := range []string{"0123456789", "dir/b"} {
		changed := bytes.Replace(bytes.Clone(good), []byte(old), []byte(strings.ToUpper(strings.Repeat("z", len(old)))), 1)
		if _, _, err := read(changed); err == nil {
			t.Errorf("with %q changed it is read", old)
		}
	}
}

func TestPartOfAnotherSizeIsRefused(t *testing.T) {
	for _, content := range []string{"short", "much too long"} {
		if err := backup.NewWriter(io.Discard).Add("a", 10, strings.NewReader(content)); err == nil {
			t.Errorf("%q was taken for 10 bytes", content)
		}
	}
}
