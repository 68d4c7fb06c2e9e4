package badger_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// A golden store is a directory as one version of this program left it when it was
// killed, and what it listed before. Each is read by every later version. They are
// never changed; the next one is made, after a format got something new, with
//
//	go test ./store/badger -run TestGoldenStores -make-golden NAME
//
// where NAME says what it holds that the others do not. One that begins with "sealed"
// is sealed with the key of goldenKeys.
var makeGolden = flag.String("make-golden", "", "make a golden store of that name of what this version writes")

const goldenDir = "testdata/golden"

// goldenKeys are the keys of a golden store of that name.
func goldenKeys(t *testing.T, name string) *store.Keyring {
	if strings.HasPrefix(name, "sealed") {
		return ring(t, 7)
	}
	return nil
}

// golden is what is known of a golden store.
type golden struct {
	Records []json.RawMessage `json:"records"` // as listed, newest first
}

func TestGoldenStoresAreReadAndGoOn(t *testing.T) {
	if *makeGolden != "" {
		writeGolden(t, *makeGolden)
	}
	archives, err := filepath.Glob(filepath.Join(goldenDir, "*.tar.zst"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("%d golden stores: %v", len(archives), err)
	}
	for _, archive := range archives {
		name := strings.TrimSuffix(archive, ".tar.zst")
		t.Run(filepath.Base(name), func(t *testing.T) {
			var want golden
			data, err := os.ReadFile(name + ".json")
			if err == nil {
				err = json.Unmarshal(data, &want)
			}
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			unpack(t, archive, dir)
			goOn(t, dir, goldenKeys(t, filepath.Base(name)), &want)
		})
	}
}

// goOn opens a golden store, and adds and packs more.
func goOn(t *testing.T, dir string, keys *store.Keyring, want *golden) {
	open := opener(badger.Options{Keys: keys})
	s := open(t, dir)
	checkGolden(t, want, storetest.Verify(t, s))
	maker := storetest.NewRecords(2)
	for range 20 {
		storetest.Add(t, s, maker.Next(), maker.At(record.IDAt(goldenDays[1].Add(time.Hour))))
	}
	storetest.Pack(t, s)
	checkGolden(t, want, storetest.Verify(t, s))
	storetest.Close(t, s)
	s = open(t, dir)
	all := storetest.Verify(t, s)
	checkGolden(t, want, all)
	if len(all) < len(want.Records)+40 {
		t.Errorf("%d records after 40 more, before there were %d", len(all), len(want.Records))
	}
	storetest.Close(t, s)
}

// checkGolden looks for the records that there were. A field that was not there
// then is nothing new; begin entries have become records.
func checkGolden(t *testing.T, want *golden, all []*record.Record) {
	t.Helper()
	found := make(map[string]map[string]any, len(all))
	for _, r := range all {
		fields := fieldsOf(t, r)
		found[fields["event_id"].(string)] = fields
	}
	for _, text := range want.Records {
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		id := fields["event_id"].(string)
		got, ok := found[id]
		if !ok {
			t.Errorf("record %s is missing", id)
			continue
		}
		delete(found, id)
		if fields["outcome"] == string(record.OutcomeInProgress) {
			fields["outcome"] = string(record.OutcomeUnfinished)
			delete(fields, "sequence")
			delete(fields, "boot") // that of the start that made a record of it
		}
		for name, value := range fields {
			if !reflect.DeepEqual(value, got[name]) {
				t.Errorf("record %s: %s is %v, was %v", id, name, got[name], value)
			}
		}
	}
}

func fieldsOf(t *testing.T, r *record.Record) (fields map[string]any) {
	t.Helper()
	text, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

// goldenDays are those of golden stores.
var goldenDays = []time.Time{time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC), time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)}

// writeGolden makes a golden store: segments of two days and of all classes, of
// which some are closed and some as a kill leaves them, and a journal with records,
// a begin entry and a gap.
func writeGolden(t *testing.T, name string) {
	t.Helper()
	path := filepath.Join(goldenDir, name)
	if _, err := os.Stat(path + ".json"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("there is a golden store %s already: give the new one another name (%v)", name, err)
	}
	dir := t.TempDir()
	s := opener(badger.Options{OpenSegments: 1, Keys: goldenKeys(t, name)})(t, dir)
	s.(*badger.Store).StopPacker()
	maker := storetest.NewRecords(1)
	for i, day := range goldenDays {
		for j := range 7 {
			storetest.Add(t, s, maker.At(record.IDAt(day.Add(time.Duration(j)*time.Minute))))
		}
		self := maker.At(record.IDAt(day))
		self.Source = record.Self
		storetest.Add(t, s, self, storetest.Gap(record.IDAt(day), day.Add(time.Minute), "nova", uint64(i+3)))
		storetest.Pack(t, s)
	}
	calls := s.Counter("nova")
	calls.Begin()
	r := maker.Next()
	r.Source = "nova"
	c, err := s.Add(storetest.Entry(r), calls)
	if err == nil {
		err = c.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	storetest.Add(t, s, maker.Next(), maker.Next(), storetest.Gap(record.NewID(), time.Now(), "nova", 2))

	var made golden
	for _, r := range storetest.Verify(t, s) {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		made.Records = append(made.Records, text)
	}
	pack(t, dir, path+".tar.zst") // as a kill would leave it
	text, err := json.MarshalIndent(&made, "", "")
	if err == nil {
		err = os.WriteFile(path+".json", append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	storetest.Close(t, s)
}

// pack writes all files below dir into an archive.
func pack(t *testing.T, dir, archive string) {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err == nil {
		w := tar.NewWriter(z)
		err = errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), z.Close())
	}
	if err == nil {
		err = os.WriteFile(archive, out.Bytes(), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// unpack does the reverse. What is zero becomes a hole: most of it is.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil && h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(filepath.Join(dir, h.Name), 0o700)
		} else if err == nil {
			err = unpackFile(filepath.Join(dir, h.Name), r, h.Size)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func unpackFile(path string, from io.Reader, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	buf, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := io.ReadFull(from, buf)
		if !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := f.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
