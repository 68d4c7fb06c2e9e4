package store_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// flipFrame changes a byte in the nth last frame of the oldest journal file in dir.
func flipFrame(t *testing.T, dir string, last int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var frames []int
	for at := store.FirstFrame; bytes.HasPrefix(data[at:], data[8:16]); at += store.FrameLen(data[at:]) {
		frames = append(frames, at)
	}
	if len(frames) <= last {
		t.Fatalf("%d frames", len(frames))
	}
	data[frames[len(frames)-last]+60] ^= 1
	write(t, files[0], data)
}

// next opens what a kill has left of j, which is closed then.
func next(t *testing.T, dir *string, j *store.Journal, o store.JournalOptions) *store.Journal {
	t.Helper()
	killed := snapshot(t, *dir)
	shut(t, j)
	*dir = killed
	return open(t, killed, o)
}

// missing returns how many records gaps say were lost by damage, and whether they say so
// of an unknown count too.
func missing(t *testing.T, j *store.Journal) (n uint64, unknown bool) {
	t.Helper()
	self := count(t, j.View(), record.Self)
	return self.gaps[store.ReasonDamage] + self.gaps[store.ReasonPowerCut], len(self.unknown) > 0
}

// A file stands although what it has may be kept elsewhere: it was half packed.
func TestHoleInAFileOfAnEarlierRunIsToldWhateverIsKeptElsewhere(t *testing.T) {
	const n = 20
	for what, last := range map[string]int{"at the end": 1, "in the middle": n / 2} {
		for _, after := range []uint64{0, n, n + 1} {
			t.Run(fmt.Sprint(what, " ", after), func(t *testing.T) {
				dir := quickDir(t)
				o := store.JournalOptions{Durability: store.OS, FileSize: 64 << 10}
				j := open(t, dir, o)
				for range n {
					keep(t, j, newCall("nova"), nil)
				}
				o.After = min(after, n)
				j = next(t, &dir, j, o)
				keep(t, j, newCall("nova"), nil)

				killed := snapshot(t, dir)
				shut(t, j)
				flipFrame(t, killed, last)
				o.After = after
				j = open(t, killed, o)
				for run := range 4 { // told once, also when the file is gone
					if got := count(t, j.View(), "nova").records; run < 2 && got != n {
						t.Errorf("run %d: %d records can be read, want %d", run, got, n)
					}
					if got, unknown := missing(t, j); got != 1 || unknown {
						t.Errorf("run %d: %d records are told to be missing, %v; want 1", run, got, unknown)
					}
					if run == 1 {
						if err := j.Drop(t.Context(), j.Sealed()[0]); err != nil {
							t.Fatal(err)
						}
					}
					j = next(t, &killed, j, o)
				}
			})
		}
	}
}

// The files are older than what is kept elsewhere: the sequence goes on behind that, and
// what the journal never had is no hole, whatever becomes of the files.
func TestRunThatBeginsBehindWhatIsKeptElsewhereLeavesNoHole(t *testing.T) {
	const n, after = 5, 30
	for _, empty := range []bool{false, true} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("empty %v cut %v", empty, cut), func(t *testing.T) {
				dir := quickDir(t)
				o := store.JournalOptions{Durability: store.OS, FileSize: 64 << 10}
				j := open(t, dir, o)
				for range n {
					keep(t, j, newCall("nova"), nil)
				}
				calls, err := os.ReadFile(filepath.Join(dir, "calls"))
				if err != nil {
					t.Fatal(err)
				}
				sound := func(run int) {
					t.Helper()
					if got, unknown := missing(t, j); got != 0 || unknown {
						t.Errorf("run %d: %d records are told to be missing, %v", run, got, unknown)
					}
				}
				o.After = after
				want := uint64(after)
				for run := range 5 {
					j = next(t, &dir, j, o)
					sound(run)
					if j.Sequence() != want {
						t.Errorf("run %d begins behind %d, want %d", run, j.Sequence(), want)
					}
					if cut && run < 2 { // the start ended before it replaced this
						shut(t, j)
						write(t, filepath.Join(dir, "calls"), calls)
						j = open(t, dir, o)
						sound(run)
					}
					if !empty || run == 2 { // one run in the middle has a record in any case
						keep(t, j, newCall("nova"), nil)
						want++
					}
					if run == 3 {
						if err := j.Drop(t.Context(), j.Sealed()[0]); err != nil {
							t.Fatal(err)
						}
					}
				}
				shut(t, j)
			})
		}
	}
}

// A backup has what an empty file says, too.
func TestBackupOfARunThatBeganBehindWhatIsKeptElsewhereHasNoHole(t *testing.T) {
	dir := quickDir(t)
	o := store.JournalOptions{Durability: store.OS, FileSize: 64 << 10}
	j := open(t, dir, o)
	keep(t, j, newCall("nova"), nil)
	o.After = 30
	j = next(t, &dir, j, o)
	restored := quickDir(t)
	if err := j.Snapshot().Each(func(name string, _ int64, content io.Reader) error {
		data, err := io.ReadAll(content)
		write(t, filepath.Join(restored, name), data)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	shut(t, j)
	j = open(t, restored, store.JournalOptions{})
	if got, unknown := missing(t, j); got != 0 || unknown || j.Sequence() != 30 {
		t.Errorf("%d records are told to be missing, %v, behind %d", got, unknown, j.Sequence())
	}
	shut(t, j)
}
