package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store/disk"
)

// The calls file counts the calls that have begun. It is mapped into memory, so
// counting is an addition there, and the operating system keeps the count when
// the process is killed. What became of the calls stands in the journal's
// frames; the difference was lost. After a power cut the file is what the disk
// happens to have, so then only its fixed parts are believed.
//
// Its format, version 1, in the byte order of the machine:
//
//	header   128 bytes
//	  0      8  "AGCALLS" and the version, 1
//	  8     16  this run of the journal (a UUID)
//	 24     16  this run of the machine (a UUID; zeros where unknown)
//	 40      8  when the run began, microseconds since 1970
//	 48      4  CRC-32C of all before it
//	 52      4  0: the run goes on, or ended in a crash. 1: it was closed
//	 56      8  sequence of the newest committed record
//	 64      4  how many slots are in use
//	 68      4  zeros
//	 72      8  no call began before this that has neither begin entry nor record nor
//	            gap, microseconds since 1970; 0 where nothing is known
//	 80     48  zeros
//	slot     64 bytes, 256 of them, the last for all sources past the 255th
//	  0      8  count of calls begun
//	  8    1+48 length of the source's name, the name, zeros
//	 57      3  zeros
//	 60      4  CRC-32C of bytes 8 to 59
const (
	callsName   = "calls"
	callsMagic  = "AGCALLS"
	callsFormat = 1
	callsHead   = 128
	slotSize    = 64
	maxSources  = 255
	callsSize   = callsHead + (maxSources+1)*slotSize
)

// calls is the calls file of the run that goes on.
type calls struct {
	mapping []byte
	mapped  *disk.Map
	claimed atomic.Bool // a slot has a name that may not be on stable storage yet
}

// newCalls is the content of a calls file that no source is in.
func newCalls(boot uuid.UUID, now time.Time, sequence uint64) []byte {
	data := make([]byte, callsSize)
	copy(data, callsMagic)
	data[7] = callsFormat
	copy(data[8:], boot[:])
	machine := machineID()
	copy(data[24:], machine[:])
	binary.NativeEndian.PutUint64(data[40:], uint64(now.UnixMicro()))
	binary.NativeEndian.PutUint32(data[48:], crc32.Checksum(data[:48], castagnoli))
	binary.NativeEndian.PutUint64(data[56:], sequence)
	return data
}

// createCalls replaces the calls file in dir. The new one is on stable storage
// when it returns.
func createCalls(dir string, boot uuid.UUID, now time.Time, sequence uint64) (*calls, error) {
	data := newCalls(boot, now, sequence)
	path := filepath.Join(dir, callsName)
	f, err := disk.OpenFile(path+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil { // all of it, so that the mapping never needs room
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	mapped, err := f.Map(callsSize)
	if err != nil {
		return nil, err
	}
	c := &calls{mapping: mapped.Bytes, mapped: mapped}
	// Counters may be used after the journal is closed, so the mapping goes when
	// the last of them has gone.
	runtime.AddCleanup(c, disk.Unmap, mapped.Bytes)
	if err := disk.Rename(f.Name(), path); err != nil {
		return nil, err
	}
	return c, disk.SyncDir(dir)
}

// claim gives a slot to source and returns its count. It does not wait for the disk:
// calls of a new source would. The caller claims one at a time, and no source twice.
func (c *calls) claim(source string) *atomic.Uint64 {
	used := (*atomic.Uint32)(unsafe.Pointer(&c.mapping[64]))
	n := int(used.Load())
	slot := c.mapping[callsHead+n*slotSize:][:slotSize]
	slot[8] = byte(copy(slot[9:57], source))
	binary.NativeEndian.PutUint32(slot[60:], crc32.Checksum(slot[8:60], castagnoli))
	used.Store(uint32(n + 1)) // now the slot counts
	c.claimed.Store(true)
	return (*atomic.Uint64)(unsafe.Pointer(&slot[0]))
}

// syncNames waits until all names are on stable storage, as far as the disk works:
// after a power cut they tell which sources have a gap.
func (c *calls) syncNames() {
	if c.claimed.Swap(false) {
		_ = c.mapped.Sync()
	}
}

// setSequence notes the newest committed record.
func (c *calls) setSequence(n uint64) {
	(*atomic.Uint64)(unsafe.Pointer(&c.mapping[56])).Store(n)
}

// setOldest notes that no call which began before t is untold of.
func (c *calls) setOldest(t time.Time) {
	(*atomic.Int64)(unsafe.Pointer(&c.mapping[72])).Store(t.UnixMicro())
}

// oldest returns what setOldest was told, zero before the first time.
func (c *calls) oldest() (t time.Time) {
	return timeOf((*atomic.Int64)(unsafe.Pointer(&c.mapping[72])).Load())
}

// timeOf returns the time of a field of microseconds, zero for 0.
func timeOf(micros int64) (t time.Time) {
	if micros != 0 {
		t = time.UnixMicro(micros).UTC()
	}
	return t
}

// close notes that the run has ended in order.
func (c *calls) close() error {
	(*atomic.Uint32)(unsafe.Pointer(&c.mapping[52])).Store(1)
	return c.mapped.Sync()
}

// lastRun is what the calls file says of the run before this one.
type lastRun struct {
	boot     string
	rebooted bool // the machine was started since
	closed   bool
	begun    time.Time
	sequence uint64
	oldest   time.Time         // no call that is untold of began before; zero where that is not known
	calls    map[string]uint64 // begun, by source
}

// readCalls reads the calls file in dir. Where there is none, the error wraps
// fs.ErrNotExist; where it is damaged, errFormat.
func readCalls(dir string) (*lastRun, error) {
	data, err := disk.ReadFile(filepath.Join(dir, callsName))
	if err != nil {
		return nil, err
	}
	return parseCalls(data, machineID())
}

func parseCalls(data []byte, machine uuid.UUID) (*lastRun, error) {
	switch {
	case len(data) < 52 || string(data[:7]) != callsMagic:
		return nil, fmt.Errorf("%w: no calls file", errFormat)
	case crc32.Checksum(data[:48], castagnoli) != binary.NativeEndian.Uint32(data[48:]): // so in all versions
		return nil, fmt.Errorf("%w: calls file has a wrong checksum", errFormat)
	case data[7] != callsFormat:
		return nil, fmt.Errorf("%w: calls file of format %d, want %d", errVersion, data[7], callsFormat)
	case len(data) != callsSize:
		return nil, fmt.Errorf("%w: calls file has %d bytes, want %d", errFormat, len(data), callsSize)
	}
	run := &lastRun{
		boot:     uuid.UUID(data[8:24]).String(),
		rebooted: uuid.UUID(data[24:40]) != machine,
		begun:    time.UnixMicro(int64(binary.NativeEndian.Uint64(data[40:]))).UTC(),
		closed:   binary.NativeEndian.Uint32(data[52:]) == 1,
		sequence: binary.NativeEndian.Uint64(data[56:]),
		oldest:   timeOf(int64(binary.NativeEndian.Uint64(data[72:]))),
		calls:    map[string]uint64{},
	}
	used := binary.NativeEndian.Uint32(data[64:])
	if used > maxSources+1 {
		return nil, fmt.Errorf("%w: calls file has %d slots in use", errFormat, used)
	}
	for i := range int(used) {
		slot := data[callsHead+i*slotSize:][:slotSize]
		length := int(slot[8])
		if length > record.MaxSourceLen || crc32.Checksum(slot[8:60], castagnoli) != binary.NativeEndian.Uint32(slot[60:]) {
			if run.rebooted { // pages reach the disk one by one
				continue
			}
			return nil, fmt.Errorf("%w: slot %d of the calls file", errFormat, i)
		}
		run.calls[string(slot[9:9+length])] = binary.NativeEndian.Uint64(slot)
	}
	return run, nil
}

// machineID is machineBoot as a UUID, zero where it is none.
func machineID() uuid.UUID {
	id, _ := uuid.Parse(strings.TrimSpace(machineBoot()))
	return id
}
