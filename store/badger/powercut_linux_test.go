package badger_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// cuts is how often the power is cut.
func cuts() int {
	if testing.Short() {
		return 1
	}
	return *loops
}

// disk is a file system of its own, whose power can be cut.
type disk struct {
	t    *testing.T
	loop string // its device
	dir  string // where it is mounted
}

// newDisk makes a file system and mounts it, where this process may do that.
func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: only root can mount a file system")
	}
	image := filepath.Join(t.TempDir(), "image")
	d := &disk{t: t, dir: filepath.Join(t.TempDir(), "disk")}
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 4<<30), os.Mkdir(d.dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: no file system can be made: %v %s", err, out)
	}
	out, err := exec.Command("losetup", "--find", "--show", image).Output()
	if err != nil {
		t.Skipf("NOT TESTED: there is no loop device: %v", err)
	}
	d.loop = strings.TrimSpace(string(out))
	t.Cleanup(func() { d.run("losetup", "--detach", d.loop) })
	if err := syscall.Mount(d.loop, d.dir, "ext4", 0, ""); err != nil {
		t.Skipf("NOT TESTED: a file system cannot be mounted: %v", err)
	}
	t.Cleanup(d.unmount)
	return d
}

func (d *disk) run(name string, args ...string) {
	d.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		d.t.Errorf("%s %v: %v %s", name, args, err, out)
	}
}

func (d *disk) mount() {
	d.t.Helper()
	if err := syscall.Mount(d.loop, d.dir, "ext4", 0, ""); err != nil {
		d.t.Fatalf("mounting: %v", err)
	}
}

// unmount returns when nobody has the file system any more: a process that was
// killed had it mounted, too.
func (d *disk) unmount() {
	d.t.Helper()
	for tries := 0; ; tries++ {
		err := syscall.Unmount(d.dir, 0)
		if err == nil {
			break
		}
		if err != syscall.EBUSY || tries == 1000 {
			d.t.Fatalf("unmounting: %v", err)
		}
		runtime.GC() // which closes the files that a closed store has left to it
		time.Sleep(time.Millisecond)
	}
	for {
		if _, err := os.Stat("/sys/fs/ext4/" + filepath.Base(d.loop)); err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// cut ends the file system as it is on the disk now: nothing that was written and
// not synced gets there any more, not even what its own journal has in memory.
func (d *disk) cut() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	const shutdown, noLogFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN
	return unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noLogFlush)
}

// stop stops a process, and returns when none of its threads runs any more: one
// that syncs would be told that it did, after the cut.
func stop(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case status.Stopped():
			return nil
		default:
			return fmt.Errorf("the process has ended: %v", status)
		}
	}
}

// onAnotherStart makes a command run on what it takes for another start of the
// machine than ours.
func onAnotherStart(t *testing.T) func(*exec.Cmd) {
	boot := filepath.Join(t.TempDir(), "boot_id")
	if err := os.WriteFile(boot, []byte("11111111-2222-4333-8444-555555555555\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *exec.Cmd) {
		shell := exec.Command("/bin/sh", "-c", `mount --bind "$1" /proc/sys/kernel/random/boot_id && exec "$2"`, "sh", boot, c.Path)
		c.Path, c.Args = shell.Path, shell.Args
		c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
}

// cutPower lets a writer write to the store in dir, cuts the power at some moment,
// and starts the disk anew.
func (d *disk) cutPower(dir string, durability store.Durability) *writer {
	d.t.Helper()
	w := startWriter(d.t, dir, durability, onAnotherStart(d.t))
	cut := make(chan error, 1)
	go func() { // ends when the writer has
		<-w.ready
		time.Sleep(time.Duration(rand.IntN(800)) * time.Millisecond)
		pid := w.child.Process.Pid
		err := stop(pid)
		cut <- errors.Join(err, d.cut(), syscall.Kill(pid, syscall.SIGKILL))
	}()
	w.listen()
	if err := <-cut; err != nil {
		d.t.Fatal(err)
	}
	d.unmount()
	d.mount()
	return w
}

// books is what a store tells of calls.
type books struct {
	records map[record.ID]*record.Record
	gaps    []*record.Record
	cuts    int    // gaps after a power cut
	damaged uint64 // records that were stored, in gaps with a count
	missing uint64 // sequences that no record has
}

func readBooks(all []*record.Record, last uint64) *books {
	b := &books{records: make(map[record.ID]*record.Record), missing: last}
	for _, r := range all {
		b.records[r.EventID] = r
		if r.Sequence > 0 {
			b.missing--
		}
		if r.Gap == nil {
			continue
		}
		b.gaps = append(b.gaps, r)
		switch {
		case r.Source == record.Self:
			b.damaged += r.Gap.Count
		case r.Gap.Reason == store.ReasonPowerCut && r.Gap.CountUnknown:
			b.cuts++
		}
	}
	return b
}

// tells reports whether a call is a record, or its time in that of a gap.
func (b *books) tells(id record.ID) bool {
	at := id.Time()
	return b.records[id] != nil || slices.ContainsFunc(b.gaps, func(g *record.Record) bool {
		return !at.Before(g.Timestamp) && !at.After(g.EndTime)
	})
}

func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	d := newDisk(t)
	dir := filepath.Join(d.dir, "store")
	stored := make(map[record.ID]bool)
	begun, gone, packing := 0, 0, 0
	for loop := range cuts() {
		w := d.cutPower(dir, store.Fsync)
		maps.Copy(stored, w.stored)
		if len(writeAheadLogs(t, dir)) > 0 {
			packing++
		}
		s := opener(badger.Options{})(t, dir)
		b := readBooks(storetest.Verify(t, s), s.Sequence())
		for id := range stored {
			if b.records[id] == nil {
				t.Errorf("loop %d: record %s was stored and is gone", loop, id)
			}
		}
		for id := range w.begun {
			if begun++; b.records[id] == nil {
				gone++
			}
			if !b.tells(id) {
				t.Errorf("loop %d: call %s has begun, and is neither a record nor in the time of a gap", loop, id)
			}
		}
		if b.cuts != loop+1 || b.damaged != 0 {
			t.Errorf("loop %d: %d gaps are of a power cut, and %d records are called damaged", loop, b.cuts, b.damaged)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d power cuts, %d with segments open: %d calls begun, %d records acknowledged, none of these lost; %d others are in the %d gaps; every start worked",
		cuts(), packing, begun, len(stored), gone, cuts())
}

// With the weaker durability a power cut costs what the disk had not got, and the
// store says so.
func TestPowerCutTellsWhatDurabilityOSHasLost(t *testing.T) {
	d := newDisk(t)
	dir := filepath.Join(d.dir, "store")
	var kept []*record.Record // of earlier loops: a store that is closed is on the disk
	stored, gone, holes := 0, 0, uint64(0)
	for loop := range cuts() {
		w := d.cutPower(dir, store.OS)
		s := opener(badger.Options{})(t, dir)
		all := storetest.List(t, s, record.Query{Scope: storetest.Everything, UpTo: s.Sequence()})
		b := readBooks(all, s.Sequence())
		for _, r := range kept {
			if b.records[r.EventID] == nil {
				t.Errorf("loop %d: record %s was there before, and is gone", loop, r.EventID)
			}
		}
		kept = all
		for id := range w.stored {
			if stored++; b.records[id] == nil {
				gone++
			}
		}
		unfinished := uint64(0)
		for id := range w.begun {
			if r := b.records[id]; r != nil && r.Outcome == record.OutcomeUnfinished {
				unfinished++
			}
			long := time.Since(id.Time()) > time.Minute // a true call has had its begin entry on the disk since then
			if !long && !b.tells(id) {
				t.Errorf("loop %d: call %s has begun, and is neither a record nor in the time of a gap", loop, id)
			}
		}
		// A record that is missing is not told of again where its begin entry is there.
		if b.cuts != loop+1 || b.damaged > b.missing || b.damaged+unfinished < b.missing-holes {
			t.Errorf("loop %d: %d gaps are of a power cut; of %d records that are missing %d are told, and %d unfinished",
				loop, b.cuts, b.missing, b.damaged, unfinished)
		}
		holes = b.missing
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d power cuts: %d records acknowledged, %d of these lost, all of them in the time of a gap; %d are counted, as holes in the sequence",
		cuts(), stored, gone, holes)
}
