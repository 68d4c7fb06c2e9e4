package store_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

var loops = flag.Int("loops", 3, "how often processes are killed")

// The test binary is also the process that is killed: childJournal names the
// directory of its journal, childScene what it does there.
const (
	childJournal = "JOURNAL_CHILD_DIR"
	childScene   = "JOURNAL_CHILD_SCENE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childJournal); dir != "" {
		j, err := store.OpenJournal(dir, store.JournalOptions{FileSize: 256 << 10})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		scenes[os.Getenv(childScene)](j)
		select {}
	}
	os.Exit(m.Run())
}

var scenes = map[string]func(*store.Journal){
	// load writes from many goroutines, loses every 10th call, and prints what is
	// acknowledged.
	"load": func(j *store.Journal) {
		for range 8 {
			go func() {
				call := j.Counter("nova")
				for i := 0; ; i++ {
					call.Begin()
					if i%10 == 9 {
						call.Lose("test", time.Now())
						continue
					}
					r := newCall("nova")
					c, err := j.Add(r, call)
					if err != nil || c.Wait(context.Background()) != nil {
						panic(err)
					}
					fmt.Println(r.EventID)
				}
			}()
		}
	},
	// streams has calls of every kind with begin entries, from many goroutines, and
	// prints what has become a record.
	"streams": func(j *store.Journal) {
		for n := range 8 {
			go func() {
				call := j.Counter("nova")
				for i := n; ; i++ {
					r := newCall("nova")
					call.Begin()
					if i%8 != 7 {
						if _, err := j.Add(begin(r), call); err != nil {
							panic(err)
						}
					}
					switch i % 8 {
					case 0: // goes on
					case 1, 7:
						call.Abandon(r.EventID, "test", time.Now())
					default:
						c, err := j.Add(r, call)
						if err != nil || c.Wait(context.Background()) != nil {
							panic(err)
						}
						fmt.Println(r.EventID)
					}
				}
			}()
		}
	},
	// flight has 10 calls of one source begun, 6 recorded and 1 lost, and all
	// calls of another recorded.
	"flight": func(j *store.Journal) {
		nova, glance := j.Counter("nova"), j.Counter("glance")
		for range 10 {
			nova.Begin()
		}
		for range 6 {
			must(j, nova, "nova")
		}
		glance.Begin()
		must(j, glance, "glance")
		nova.Lose("test", time.Now())
		for len(j.View().Gaps()) == 0 { // its gap comes with one of the next commits
			runtime.Gosched()
		}
		fmt.Println("ready")
	},
}

func must(j *store.Journal, call *store.Counter, source string) {
	c, err := j.Add(newCall(source), call)
	if err != nil || c.Wait(context.Background()) != nil {
		panic(err)
	}
}

// kill runs a scene until it has printed so many lines, kills it, and returns all
// that it printed.
func kill(t *testing.T, dir, scene string, lines int) (printed []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childJournal+"="+dir, childScene+"="+scene)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for scan := bufio.NewScanner(out); scan.Scan(); {
		if printed = append(printed, scan.Text()); len(printed) == lines {
			cmd.Process.Kill()
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended by itself: %v: %q", err, printed)
	}
	return printed
}

func TestAcknowledgedRecordSurvivesKill(t *testing.T) {
	var dir string
	var acknowledged []string
	var begun, all, total uint64
	for loop := range *loops {
		if loop%20 == 0 { // all is read after each kill
			dir, acknowledged, begun = t.TempDir(), nil, 0
		}
		printed := kill(t, dir, "load", 100+(loop*377)%1500)
		acknowledged = append(acknowledged, printed...)
		n, err := store.Begun(dir, "nova")
		if err != nil {
			t.Fatal(err)
		}
		begun, all, total = begun+n, all+n, total+uint64(len(printed))

		j := open(t, dir, store.JournalOptions{})
		for _, text := range acknowledged {
			id, err := record.ParseID(text)
			if err != nil {
				continue // the line was cut off by the kill, or is of a failed test
			}
			if _, ok := j.View().Find(id); !ok {
				t.Fatalf("loop %d: %s was acknowledged and is gone", loop, id)
			}
		}
		got := count(t, j.View(), "nova")
		if got.total() != begun {
			t.Fatalf("loop %d: %d calls have begun, %d are records and gaps: %+v", loop, begun, got.total(), got)
		}
		checkSequences(t, j.View(), j.Sequence())
		shut(t, j)
	}
	t.Logf("%d kills: %d calls begun, %d records acknowledged, none lost", *loops, all, total)
}

func TestGapAfterKillIsExact(t *testing.T) {
	dir := t.TempDir()
	kill(t, dir, "flight", 1)
	for range 2 { // what the first start finds, the second does not find again
		j := open(t, dir, store.JournalOptions{})
		got := count(t, j.View(), "nova")
		if got.records != 6 || got.gaps["test"] != 1 || got.gaps[store.ReasonKilled] != 3 {
			t.Errorf("nova: %+v, want 6 records, 1 lost, 3 killed", got)
		}
		if got := count(t, j.View(), "glance"); got.records != 1 || len(got.gaps) != 0 {
			t.Errorf("glance: %+v, want 1 record", got)
		}
		shut(t, j)
	}
}

// quick are the options of a sweep.
var quick = store.JournalOptions{Durability: store.OS, FileSize: 1, Log: func(string, error) {}}

// quickDir returns a directory in memory, where there is one: a sweep over every
// byte opens a journal for each, and is not about durability.
func quickDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "journal")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// snapshot copies a journal's files as a kill would leave them.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	to := quickDir(t)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, e.Name()), data)
	}
	return to
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// newest returns the name and the content of the newest journal file.
func newest(t testing.TB, dir string) (string, []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no journal file: %v", err)
	}
	name := slices.Max(files)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(name), data
}

func TestTornLastFrameIsCutAtEveryByte(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{Durability: store.OS, FileSize: 16 << 10})
	call := j.Counter("nova")
	for range 3 {
		call.Begin()
		keep(t, j, newCall("nova"), call)
	}
	call.Begin()
	calls, err := os.ReadFile(filepath.Join(dir, "calls")) // the fourth was not acknowledged
	if err != nil {
		t.Fatal(err)
	}
	_, before := newest(t, dir)
	keep(t, j, newCall("nova"), call)
	name, after := newest(t, dir)
	start, end := differ(before, after)

	for cut := start; cut <= end; cut++ {
		for _, tail := range [][]byte{nil, make([]byte, len(after)-cut)} {
			torn := quickDir(t)
			write(t, filepath.Join(torn, "calls"), calls)
			write(t, filepath.Join(torn, name), append(slices.Clone(after[:cut]), tail...))
			j := open(t, torn, quick)
			got := count(t, j.View(), "nova")
			whole := cut == end || tail != nil && isZero(after[cut:end])
			if whole && (got.records != 4 || len(got.gaps) != 0) || !whole && (got.records != 3 || got.gaps[store.ReasonKilled] != 1) {
				t.Fatalf("cut at %d of %d to %d: %+v", cut, start, end, got)
			}
			if damage := count(t, j.View(), record.Self); len(damage.gaps)+len(damage.unknown) > 0 {
				t.Fatalf("cut at %d: taken for damage: %+v", cut, damage)
			}
			shut(t, j)
			os.RemoveAll(torn)
		}
	}
}

// differ returns where two files of the same length first and last differ.
func differ(a, b []byte) (start, end int) {
	for start = 0; a[start] == b[start]; start++ {
	}
	for end = len(a); a[end-1] == b[end-1]; end-- {
	}
	return start, end
}

func isZero(data []byte) bool { return strings.Trim(string(data), "\x00") == "" }

func TestFlippedByteCostsNoOtherFrame(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{Durability: store.OS, FileSize: 16 << 10})
	const total = 5
	for range total {
		keep(t, j, newCall("nova"), nil)
	}
	crashed := snapshot(t, dir)
	name, data := newest(t, crashed)
	end := len(strings.TrimRight(string(data), "\x00"))
	step := 3
	if testing.Short() {
		step = 7
	}
	for at := 0; at < end; at += step {
		flipped := snapshot(t, crashed)
		broken := slices.Clone(data)
		broken[at] ^= 1 << (at % 8)
		write(t, filepath.Join(flipped, name), broken)
		j, err := store.OpenJournal(flipped, quick)
		if err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		kept := count(t, j.View(), "nova").records
		missing := count(t, j.View(), record.Self).gaps[store.ReasonDamage]
		if kept < total-1 || kept+int(missing) != total {
			t.Fatalf("byte %d of %d: %d records are left and %d known to be missing, of %d", at, end, kept, missing, total)
		}
		if at < store.FirstFrame && kept != total {
			t.Fatalf("byte %d: one copy of the header is damaged, and %d records are left", at, kept)
		}
		keep(t, j, newCall("nova"), nil)
		if j.Sequence() <= total {
			t.Fatalf("byte %d: sequence %d is given twice", at, j.Sequence())
		}
		shut(t, j)

		again := open(t, flipped, quick)
		if n := count(t, again.View(), record.Self).gaps[store.ReasonDamage]; n != missing {
			t.Fatalf("byte %d: the next start finds %d missing, the first %d", at, n, missing)
		}
		shut(t, again)
		os.RemoveAll(flipped)
	}
}

func TestLostFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{Durability: store.OS})
	for range 3 {
		for range 5 {
			keep(t, j, newCall("nova"), nil)
		}
		if err := j.Seal(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	if err != nil || len(files) != 4 {
		t.Fatal(files, err)
	}
	for _, c := range []struct {
		what    string
		harm    func(path string) error
		file    int
		missing uint64
		unknown int
	}{
		{"removed in the middle", os.Remove, 1, 5, 0},
		{"cut in the middle", func(path string) error { return os.Truncate(path, store.FirstFrame+10) }, 1, 5, 0},
		{"header overwritten in the middle", overwrite, 1, 5, 1},
		{"header overwritten at the beginning", overwrite, 0, 0, 1},
		{"header overwritten at the end", overwrite, 3, 0, 1},
	} {
		t.Run(c.what, func(t *testing.T) {
			harmed := snapshot(t, dir)
			if err := c.harm(filepath.Join(harmed, filepath.Base(files[c.file]))); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				j := open(t, harmed, store.JournalOptions{})
				got := count(t, j.View(), record.Self)
				if got.gaps[store.ReasonDamage] != c.missing || len(got.unknown) != c.unknown {
					t.Errorf("%+v, want %d missing and %d gaps of unknown count", got, c.missing, c.unknown)
				}
				if j.Sequence() < 15 {
					t.Errorf("sequence goes on after %d, want 15 at least", j.Sequence())
				}
				shut(t, j)
			}
		})
	}
}

func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write([]byte(strings.Repeat("x", store.FirstFrame)))
	return err
}

func TestPowerCutIsAGapOfUnknownCount(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	for _, source := range []string{"nova", "glance"} {
		call := j.Counter(source)
		call.Begin()
		keep(t, j, newCall(source), call)
	}
	cut := snapshot(t, dir)
	restartMachine(t, cut)
	j = open(t, cut, store.JournalOptions{})
	for _, source := range []string{"nova", "glance"} {
		if got := count(t, j.View(), source); got.records != 1 || !slices.Equal(got.unknown, []string{store.ReasonPowerCut}) {
			t.Errorf("%s: %+v, want a record and a power cut", source, got)
		}
	}
}

func TestDamagedCallsFileIsAGapOfUnknownCount(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	call := j.Counter("nova")
	call.Begin()
	keep(t, j, newCall("nova"), call)
	for what, harm := range map[string]func(string) error{
		"removed":     os.Remove,
		"empty":       func(path string) error { return os.Truncate(path, 0) },
		"overwritten": overwrite,
	} {
		harmed := snapshot(t, dir)
		if err := harm(filepath.Join(harmed, "calls")); err != nil {
			t.Fatal(err)
		}
		j := open(t, harmed, store.JournalOptions{})
		if got := count(t, j.View(), record.Self); !slices.Equal(got.unknown, []string{store.ReasonDamage}) {
			t.Errorf("%s: %+v, want a gap of unknown count", what, got)
		}
	}
}

func TestLaterVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	keep(t, j, newCall("nova"), nil)
	shut(t, j)
	name, _ := newest(t, dir)
	for file, versions := range map[string][]int{name: {7, store.FirstFrame/2 + 7}, "calls": {7}} {
		later := snapshot(t, dir)
		data, err := os.ReadFile(filepath.Join(later, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range versions {
			data[at] = 99
		}
		if file == "calls" { // as a later version would write it, and not as damage
			binary.NativeEndian.PutUint32(data[48:], crc32.Checksum(data[:48], crc32.MakeTable(crc32.Castagnoli)))
		}
		write(t, filepath.Join(later, file), data)
		if _, err := store.OpenJournal(later, store.JournalOptions{}); err == nil || !strings.Contains(err.Error(), "version") {
			t.Errorf("%s: got %v, want a word about the version", file, err)
		}
	}
}

func TestStartThatWasCutOffIsFoundOnce(t *testing.T) {
	dir := t.TempDir()
	kill(t, dir, "flight", 1)
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, dir, store.JournalOptions{})
	shut(t, j)
	write(t, filepath.Join(dir, "calls"), calls) // as if the start had ended before this was replaced
	j = open(t, dir, store.JournalOptions{})
	if got := count(t, j.View(), "nova"); got.gaps[store.ReasonKilled] != 3 {
		t.Errorf("%+v, want 3 killed", got)
	}
	checkSequences(t, j.View(), j.Sequence())
}

func TestUnreadableFileIsAnErrorThatSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, store.JournalOptions{})
	keep(t, j, newCall("nova"), nil)
	shut(t, j)
	name, _ := newest(t, dir)
	if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	if os.Getuid() == 0 { // who can read everything: let somebody else try
		cmd.Path = "/proc/self/exe" // in a directory that is root's
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chown(dir, 65534, 65534), os.Chown(filepath.Join(dir, "calls"), 65534, 65534)); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Env = append(os.Environ(), childJournal+"="+dir)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), name) || !strings.Contains(string(out), "let user") {
		t.Errorf("%v: %s", err, out)
	}
}
