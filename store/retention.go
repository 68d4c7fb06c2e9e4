package store

import (
	"fmt"
	"time"

	"github.com/auditgate/auditgate/record"
)

// The bounds of a Retention, and how long control records are kept at least.
const (
	Day              = 24 * time.Hour
	MinRetention     = Day
	MaxRetention     = 36_500 * Day
	ControlRetention = 400 * Day
	// DiskSpares is what the volume's fullness never takes: the last days.
	DiskSpares = 7 * Day
	MinDisk    = 10 // percent
	MaxDisk    = 100
)

// Retention says how long records are kept. What was committed together goes
// together: a part of the store goes once its newest record is old enough. Its zero
// value keeps everything.
type Retention struct {
	// Writes and Reads are how long records of these classes are kept, counted
	// from when their calls began. 0: for ever.
	Writes, Reads time.Duration
	// Disk is how full the volume may be, in percent. Past it the oldest reads go
	// before their time, but never those of the last DiskSpares, and with DiskWrites
	// then the oldest writes; never control records. 0 or 100: no bound.
	Disk       int
	DiskWrites bool
}

// Of returns how long records of a class are kept; 0: for ever. Control records
// stay for ControlRetention, and longer where other records do: without gaps a
// listing would look complete that is not.
func (r Retention) Of(c record.Class) time.Duration {
	switch {
	case c == record.ClassReads:
		return r.Reads
	case c == record.ClassWrites:
		return r.Writes
	case r.Writes == 0 || r.Reads == 0:
		return 0
	}
	return max(ControlRetention, r.Writes, r.Reads)
}

// Check returns what is wrong with r.
func (r Retention) Check() error {
	for _, of := range []struct {
		name string
		keep time.Duration
	}{{"writes", r.Writes}, {"reads", r.Reads}} {
		if of.keep != 0 && (of.keep < MinRetention || of.keep > MaxRetention) {
			return fmt.Errorf("retention of %s is %s: want %s to %s", of.name, Days(of.keep), Days(MinRetention), Days(MaxRetention))
		}
	}
	if r.Writes != 0 && r.Reads > r.Writes {
		return fmt.Errorf("retention of reads is %s: want no more than that of writes, %s", Days(r.Reads), Days(r.Writes))
	}
	if r.Disk != 0 && (r.Disk < MinDisk || r.Disk > MaxDisk) {
		return fmt.Errorf("disk is %d%%: want %d%% to %d%%", r.Disk, MinDisk, MaxDisk)
	}
	return nil
}

// Days writes a duration as retention is given: 30d, or 36h0m0s where it is no
// whole days.
func Days(d time.Duration) string {
	if d > 0 && d%Day == 0 {
		return fmt.Sprintf("%dd", d/Day)
	}
	return d.String()
}

// The reasons of Stats.Dropped.
const (
	DroppedAge  = "age"  // older than Retention says
	DroppedDisk = "disk" // the volume was fuller than Retention says
)
