package badger

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/auditgate/auditgate/store"
)

// The defaults and bounds of Options.
const (
	// DefaultPackAfter is how long a record stays in the journal before it is
	// packed, where too few come to fill a journal file sooner.
	DefaultPackAfter = 10 * time.Minute
	// DefaultScanTime, DefaultScanRecords and DefaultScanBytes are the budget of
	// one scan.
	DefaultScanTime    = 10 * time.Second
	DefaultScanRecords = 2_000_000
	DefaultScanBytes   = 4 << 30
	// DefaultOpenSegments is how many segments stay open for the next reader.
	DefaultOpenSegments = 8
)

// Options say where a store lives and how it works. Zero values take the
// defaults; Path has none.
type Options struct {
	// Path is the store's directory, made with mode 0700 where it is missing.
	// One process at a time has it open.
	Path string
	// Durability says when a record counts as stored. Default: [store.Fsync].
	Durability store.Durability

	// Keys seal what is written and open what is read, in journal and segments. What
	// was written plain is read as well. Default: none, and all is plain.
	Keys *store.Keyring

	// JournalFile is how many bytes of one journal file are written before it
	// is packed. Default: that of [store.JournalOptions].
	JournalFile int64
	// Queue is how many bytes of records may wait for their commit; Add returns
	// [store.ErrFull] beyond. Default: that of [store.JournalOptions].
	Queue int64
	// PackAfter is the longest time that a record stays in the journal while
	// the disk has room. Default: [DefaultPackAfter].
	PackAfter time.Duration

	// ScanTime, ScanRecords and ScanBytes are how long one scan may go on, how many
	// records it may look at, but for those that an index dismisses, and how many
	// bytes it may decompress, before it yields [store.InterruptedError].
	// Default: [DefaultScanTime], [DefaultScanRecords] and [DefaultScanBytes].
	ScanTime    time.Duration
	ScanRecords int
	ScanBytes   int
	// OpenSegments is how many segments stay open for the next reader. While it
	// runs, a scan may keep six more. Each takes about 12 MiB and some goroutines.
	// Default: [DefaultOpenSegments].
	OpenSegments int

	// Retention is how long records are kept; [Store.SetRetention] changes it.
	// Default: for ever.
	Retention store.Retention

	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Log is told what an operator should know: damage, packing that waits
	// or fails, and what was dropped. err may be nil. It is called from several goroutines, never with
	// the content of a record. Default: nothing is said.
	Log func(msg string, err error)
}

// complete checks the options and fills in the defaults.
func (o Options) complete() (Options, error) {
	if o.Path == "" {
		return o, fmt.Errorf("store has no path")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return o, fmt.Errorf("store path %q: %w", o.Path, err)
	}
	o.Path = path
	switch o.Durability {
	case "":
		o.Durability = store.Fsync
	case store.Fsync, store.OS:
	default:
		return o, fmt.Errorf("durability %q is unknown: want %q or %q", o.Durability, store.Fsync, store.OS)
	}
	for name, value := range map[string]int64{
		"journal file":  o.JournalFile,
		"queue":         o.Queue,
		"pack after":    int64(o.PackAfter),
		"scan time":     int64(o.ScanTime),
		"scan records":  int64(o.ScanRecords),
		"scan bytes":    int64(o.ScanBytes),
		"open segments": int64(o.OpenSegments),
	} {
		if value < 0 {
			return o, fmt.Errorf("%s is %d: want 0 or more", name, value)
		}
	}
	if err := o.Retention.Check(); err != nil {
		return o, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PackAfter == 0 {
		o.PackAfter = DefaultPackAfter
	}
	if o.ScanTime == 0 {
		o.ScanTime = DefaultScanTime
	}
	if o.ScanRecords == 0 {
		o.ScanRecords = DefaultScanRecords
	}
	if o.ScanBytes == 0 {
		o.ScanBytes = DefaultScanBytes
	}
	if o.OpenSegments == 0 {
		o.OpenSegments = DefaultOpenSegments
	}
	if o.Log == nil {
		o.Log = func(string, error) {}
	}
	return o, nil
}
