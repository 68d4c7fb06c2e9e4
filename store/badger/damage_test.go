package badger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
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

var flips = flag.Int("flips", 8, "how many bytes of a store are flipped, one at a time")

// witnessDir names the variable that makes this program open the store there and
// print what it sees: whatever a damaged store does to its process, the test hears.
const witnessDir = "AUDITGATE_TEST_WITNESS_DIR"

func init() {
	if dir := os.Getenv(witnessDir); dir != "" {
		if err := json.NewEncoder(os.Stdout).Encode(witness(dir)); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
}

// testimony is what a process saw of a store.
type testimony struct {
	Refused string            // why the store was not opened
	Failed  string            // why it could not be listed
	Listed  map[string]string // digest of each record, by id
	Gaps    []*record.Record
	Health  string
	Said    []string
}

func witness(dir string) *testimony {
	saw := &testimony{Listed: map[string]string{}}
	var mu sync.Mutex
	s, err := badger.Open(badger.Options{Path: dir, Log: func(msg string, err error) {
		mu.Lock()
		defer mu.Unlock()
		saw.Said = append(saw.Said, fmt.Sprint(msg, ": ", err))
	}})
	if err != nil {
		saw.Refused = err.Error()
		return saw
	}
	ctx := context.Background()
	q := &record.Query{Scope: storetest.Everything, Bodies: true}
	for more := true; more; {
		more = false
		for r, err := range s.Scan(ctx, q) {
			var stopped *store.InterruptedError
			if errors.As(err, &stopped) { // the machine is busy
				q.Before, more = stopped.At, true
				break
			}
			if err != nil {
				saw.Failed = "listing: " + err.Error()
				break
			}
			if r.Gap == nil {
				saw.Listed[r.EventID.String()] = digest(r)
			}
		}
	}
	if saw.Gaps, err = s.Gaps(ctx, time.Time{}, time.Time{}, 1000); err != nil {
		saw.Failed = "reading gaps: " + err.Error()
	}
	if err := s.Health(); err != nil {
		saw.Health = err.Error()
	}
	if err := s.Pack(ctx); err != nil {
		saw.Failed = "packing: " + err.Error()
	}
	if err := s.Close(ctx); err != nil {
		saw.Failed = "closing: " + err.Error()
	}
	return saw
}

func digest(r *record.Record) string {
	text, err := r.MarshalJSON()
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// ask runs a witness. An error is that its process died.
func ask(dir string) (*testimony, error) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), witnessDir+"="+dir)
	var said bytes.Buffer
	child.Stderr = &said
	out, err := child.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, said.String())
	}
	saw := new(testimony)
	return saw, json.Unmarshal(out, saw)
}

// sound is a store with packed segments of three days and a journal.
type sound struct {
	dir   string
	open  string // the same while it was open, with write-ahead logs
	model map[string]string
	times map[string]time.Time
}

func soundStore(t *testing.T) *sound {
	t.Helper()
	s := &sound{dir: quickDir(t) + "/sound", open: quickDir(t) + "/open", times: map[string]time.Time{}}
	o := openRoomy(t, s.dir)
	o.StopPacker()
	maker, now := storetest.NewRecords(1), time.Now()
	for day := range 3 {
		var records []*record.Record
		for i := range 1500 { // two blocks
			r := maker.At(record.IDAt(now.AddDate(0, 0, day-3).Add(time.Duration(i) * 10 * time.Millisecond)))
			r.Method = "POST"
			records = append(records, r)
		}
		storetest.Add(t, o, records...)
		storetest.Pack(t, o)
	}
	for range 60 {
		storetest.Add(t, o, maker.Next())
	}
	copyDir(t, s.dir, s.open)
	// As a stop without time to pack leaves it.
	ended, end := context.WithCancel(t.Context())
	end()
	_ = o.Close(ended)
	o.Settle()
	saw, err := ask(copyOf(t, s.dir))
	if err != nil || saw.Failed != "" || len(saw.Listed) != 4560 || len(saw.Gaps) != 0 {
		t.Fatalf("the sound store: %v %+v", err, saw)
	}
	s.model = saw.Listed
	for id := range s.model {
		id, err := record.ParseID(id)
		if err != nil {
			t.Fatal(err)
		}
		s.times[id.String()] = id.Time()
	}
	return s
}

func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := quickDir(t) + "/copy"
	copyDir(t, dir, to)
	return to
}

// verdict is what became of a damaged store.
type verdict struct {
	lost, told int
	health     string
	said       []string
}

// judge opens a damaged store, twice, and checks that nothing of it is lost in
// silence and no process dies.
func (s *sound) judge(t *testing.T, name, dir string) (v verdict) {
	t.Helper()
	for time := range 2 {
		saw, err := ask(dir)
		if err != nil {
			t.Errorf("%s, opened %d times: the process died: %v", name, time+1, err)
			return v
		}
		if saw.Refused != "" || saw.Failed != "" {
			t.Errorf("%s, opened %d times: refused %q, failed %q", name, time+1, saw.Refused, saw.Failed)
			return v
		}
		lost, silent := 0, 0
		for id, want := range s.model {
			if saw.Listed[id] == want {
				continue
			}
			lost++
			if at := s.times[id]; !slices.ContainsFunc(saw.Gaps, func(g *record.Record) bool {
				return !at.Before(g.Timestamp) && !at.After(g.EndTime)
			}) {
				silent++
			}
		}
		if silent > 0 {
			t.Errorf("%s, opened %d times: %d of %d lost records are in no gap; it said %q", name, time+1, silent, lost, saw.Said)
		}
		if lost > 0 && len(saw.Said) == 0 && time == 0 {
			t.Errorf("%s: %d records are lost, and the log does not say so", name, lost)
		}
		if len(saw.Listed) > len(s.model) {
			t.Errorf("%s: %d records are listed, want %d at most", name, len(saw.Listed), len(s.model))
		}
		v.lost = max(v.lost, lost)
		if time == 0 {
			v.told, v.health, v.said = len(saw.Gaps), saw.Health, saw.Said
		}
	}
	return v
}

// flip changes one bit of a file, at a place counted from its end where at is
// negative.
func flip(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return err
	} else if at < 0 {
		at += info.Size()
	}
	return change(f, at, 0x10)
}

// change changes those bits of the byte there.
func change(f *os.File, at int64, bits byte) error {
	b := make([]byte, 1)
	_, err := f.ReadAt(b, at)
	if b[0] ^= bits; err == nil {
		_, err = f.WriteAt(b, at)
	}
	return err
}

// cut takes bytes off the end of a file; all of them where n is 0.
func cut(path string, n int64) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if n == 0 {
		n = info.Size()
	}
	return os.Truncate(path, info.Size()-n)
}

// one returns the file that matches the pattern below dir, the first by name.
func one(dir, pattern string) string {
	names, _ := filepath.Glob(filepath.Join(dir, pattern))
	if len(names) == 0 {
		return filepath.Join(dir, pattern)
	}
	return names[0]
}

func TestDamageIsNeitherSilentNorFatal(t *testing.T) {
	s := soundStore(t)
	type damage struct {
		what string
		file string // pattern; the segment is one of three days
		do   func(path string) error
		open bool // the store was not closed in order
	}
	at := func(n int64) func(string) error { return func(path string) error { return flip(path, n) } }
	short := func(n int64) func(string) error { return func(path string) error { return cut(path, n) } }
	instead := func(old, new string) func(string) error {
		return func(path string) error {
			data, err := os.ReadFile(path)
			if err == nil && !bytes.Contains(data, []byte(old)) {
				err = fmt.Errorf("%s has no %s", path, old)
			}
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Replace(data, []byte(old), []byte(new), 1), 0o600)
		}
	}
	var table []string
	for i, d := range []damage{
		{"a table: a byte of a value flipped", "segments/*/*.sst", at(20_000), false},
		{"a table: a byte of a value in its midst flipped", "segments/*/*.sst", at(-30_000), false},
		{"a table: a byte of its index flipped", "segments/*/*.sst", at(-300), false},
		{"a table: a byte of its footer flipped", "segments/*/*.sst", at(-2), false},
		{"a table: a byte flipped in the lengths of its first block", "segments/*/*.sst", at(4), false},
		{"a table cut in half", "segments/*/*.sst", short(30_000), false},
		{"a table of no length", "segments/*/*.sst", short(0), false},
		{"a table is missing", "segments/*/*.sst", os.Remove, false},
		{"Badger's MANIFEST: a byte flipped", "segments/*/MANIFEST", at(-3), false},
		{"Badger's MANIFEST five bytes short", "segments/*/MANIFEST", short(5), false},
		{"Badger's MANIFEST of no length", "segments/*/MANIFEST", short(0), false},
		{"Badger's MANIFEST is missing", "segments/*/MANIFEST", os.Remove, false},
		{"Badger's KEYREGISTRY is missing", "segments/*/KEYREGISTRY", os.Remove, false},
		{"Badger's KEYREGISTRY: a byte flipped", "segments/*/KEYREGISTRY", at(3), false},
		{"Badger's value log: a byte of its header flipped", "segments/*/*.vlog", at(3), false},
		{"Badger's value log: a byte in its midst flipped", "segments/*/*.vlog", at(30_000), false},
		{"Badger's value log cut in half", "segments/*/*.vlog", short(400_000), false},
		{"Badger's value log of no length", "segments/*/*.vlog", short(0), false},
		{"Badger's value log is missing", "segments/*/*.vlog", os.Remove, false},
		{"Badger's value log: a byte in its midst flipped, not closed in order", "segments/*/*.vlog", at(30_000), true},
		{"Badger's value log is missing, not closed in order", "segments/*/*.vlog", os.Remove, true},
		{"Badger's DISCARD of no length", "segments/*/DISCARD", short(0), false},
		{"Badger's write-ahead log: a byte flipped", "segments/*/*.mem", at(20_000), true},
		{"Badger's write-ahead log of no length", "segments/*/*.mem", short(0), true},
		{"not closed in order, MANIFEST five bytes short", "segments/*/MANIFEST", short(5), true},
		{"segment.json is missing", "segments/*/segment.json", os.Remove, false},
		{"segment.json of no length", "segments/*/segment.json", short(0), false},
		{"segment.json cut", "segments/*/segment.json", short(30), false},
		{"segment.json: a byte flipped", "segments/*/segment.json", at(2), false},
		{"segment.json counts more", "segments/*/segment.json", instead(`"count":1500`, `"count":1900`), false},
		{"segment.json counts less", "segments/*/segment.json", instead(`"count":1500`, `"count":1000`), false},
		{"segment.json begins later", "segments/*/segment.json", instead(`"first":1,`, `"first":9,`), false},
		{"journal: a byte of a frame flipped", "journal/*.journal", at(3000), false},
		{"journal: a byte of its header flipped", "journal/*.journal", at(20), false},
		{"journal: both headers damaged", "journal/*.journal", func(path string) error { _ = flip(path, 20); return flip(path, 276) }, false},
		{"journal cut", "journal/*.journal", short(9000), false},
		{"journal of no length", "journal/*.journal", short(0), false},
		{"journal file is missing", "journal/*.journal", os.Remove, false},
		{"calls is missing", "journal/calls", os.Remove, false},
		{"calls of no length", "journal/calls", short(0), false},
		{"calls: a byte flipped", "journal/calls", at(10), false},
		{"calls: its version flipped", "journal/calls", at(7), false},
		{"format is missing", "format", os.Remove, false},
		{"format of no length", "format", short(0), false},
		{"format: a byte flipped", "format", at(2), false},
		{"node is missing", "node", os.Remove, false},
		{"node of no length", "node", short(0), false},
		{"lock is missing", "lock", os.Remove, false},
	} {
		if !*long && i%4 != 0 || testing.Short() && i%10 != 0 {
			continue
		}
		from := s.dir
		if d.open {
			from = s.open
		}
		dir := copyOf(t, from)
		if err := d.do(one(dir, d.file)); err != nil {
			t.Errorf("%s: %v", d.what, err)
			continue
		}
		v := s.judge(t, d.what, dir)
		said := "-"
		if len(v.said) > 0 {
			said, _, _ = strings.Cut(v.said[0], ": ")
		}
		table = append(table, fmt.Sprintf("| %s | %d | %d | %d | %s | %s |", d.what, v.lost, len(s.model)-v.lost, v.told, yes(v.health != ""), said))
		os.RemoveAll(filepath.Dir(dir))
	}
	t.Logf("| damage | lost | served | gaps | healthz tells | the log begins with |\n|---|---|---|---|---|---|\n%s", strings.Join(table, "\n"))
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// Any byte of any file.
func TestFlippedByteIsNeitherSilentNorFatal(t *testing.T) {
	flips := *flips
	if testing.Short() {
		flips = min(flips, 2)
	}
	s := soundStore(t)
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	type tally struct{ flips, harmless, told, lost int }
	kinds := map[string]*tally{}
	for i := range flips {
		from := s.dir
		if i%5 == 4 {
			from = s.open
		}
		var files []string
		for _, pattern := range []string{"*", "journal/*", "segments/*/*"} {
			names, _ := filepath.Glob(filepath.Join(from, pattern))
			for _, name := range names {
				if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
					files = append(files, strings.TrimPrefix(name, from))
				}
			}
		}
		file := files[rng.IntN(len(files))]
		dir := copyOf(t, from)
		data, err := os.ReadFile(dir + file)
		if err != nil {
			t.Fatal(err)
		}
		end := len(bytes.TrimRight(data, "\x00")) // what is behind it was never written
		at := int64(rng.IntN(max(end, 1)))
		f, err := os.OpenFile(dir+file, os.O_RDWR, 0)
		if err == nil {
			err = errors.Join(change(f, at, byte(1+rng.IntN(255))), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		v := s.judge(t, fmt.Sprintf("%s, byte %d", file, at), dir)
		kind := strings.TrimPrefix(filepath.Ext(file), ".")
		if kind == "" {
			kind = filepath.Base(file)
		}
		k := kinds[kind]
		if k == nil {
			k = new(tally)
			kinds[kind] = k
		}
		k.flips++
		if v.lost == 0 && v.told == 0 {
			k.harmless++
		}
		if v.told > 0 {
			k.told++
		}
		k.lost += v.lost
		os.RemoveAll(filepath.Dir(dir))
	}
	var table []string
	for kind, k := range kinds {
		table = append(table, fmt.Sprintf("| %s | %d | %d | %d | %d |", kind, k.flips, k.harmless, k.told, k.lost))
	}
	slices.Sort(table)
	t.Logf("| file | flips | cost nothing | told of by a gap | records lost, in all |\n|---|---|---|---|---|\n%s", strings.Join(table, "\n"))
}
