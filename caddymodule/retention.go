package caddymodule

import (
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/auditgate/auditgate/store"
)

// The defaults of Retention.
const (
	defaultWrites = 400 * store.Day
	defaultReads  = 30 * store.Day
	defaultDisk   = 90
)

// Retention says how long records are kept. What was committed on one day goes
// together, once the newest of it is old enough: at start, and then once an hour.
// Each part that goes is a record of source `auditgate` and action `retention.drop`,
// which says what it had and why it went; its request body has that as JSON.
//
// What Auditgate records about itself, gaps among it, is kept for 400 days, and
// longer where other records are. After the clock has moved by more than a day at
// once, nothing is dropped on its word before it has gone on from there for a day.
type Retention struct {
	// How long records are kept, from 1 day to 100 years. Default: 400 days.
	Writes caddy.Duration `json:"writes,omitempty"`

	// How long records of GET, HEAD and OPTIONS are kept; no longer than others.
	// Default: 30 days, or as long as others where that is less.
	Reads caddy.Duration `json:"reads,omitempty"`

	// How full the volume of the store may be, in percent, from 10 to 100. Past it
	// the oldest records of GET, HEAD and OPTIONS go before their time, but never
	// those of the last 7 days; it is looked at every minute. Where nothing more may
	// go the log says so, and so does the metric `auditgate_store_overfull`. 100
	// lets nothing go. Default: 90.
	Disk int `json:"disk,omitempty"`

	// Whether past `disk`, once there are no more of those, the oldest other records
	// may go, too. Default: no.
	DiskWrites bool `json:"disk_writes,omitempty"`
}

func (r *Retention) setDefaults() {
	if r.Writes == 0 {
		r.Writes = caddy.Duration(defaultWrites)
	}
	if r.Reads == 0 {
		r.Reads = min(caddy.Duration(defaultReads), r.Writes)
	}
	if r.Disk == 0 {
		r.Disk = defaultDisk
	}
}

// store returns what a store is told.
func (r Retention) store() store.Retention {
	return store.Retention{
		Writes: time.Duration(r.Writes), Reads: time.Duration(r.Reads), Disk: r.Disk, DiskWrites: r.DiskWrites,
	}
}

// parseRetention reads
//
//	retention <duration> {
//		reads <duration>
//		disk  <percent> [writes]
//	}
func parseRetention(d *caddyfile.Dispenser, r *Retention) error {
	if err := duration(d, &r.Writes, store.MinRetention, store.MaxRetention); err != nil {
		return err
	}
	b := block{Dispenser: d, nesting: d.Nesting()}
	for b.next() {
		switch d.Val() {
		case "reads":
			b.once(func() error {
				if err := duration(d, &r.Reads, store.MinRetention, store.MaxRetention); err != nil {
					return err
				}
				if r.Reads > r.Writes {
					return d.Errf("reads %s is longer than retention %s: others are kept at least as long as reads",
						store.Days(time.Duration(r.Reads)), store.Days(time.Duration(r.Writes)))
				}
				return nil
			})
		case "disk":
			b.once(func() error { return parseDisk(d, r) })
		default:
			b.unknown("reads", "disk")
		}
	}
	return b.err
}

func parseDisk(d *caddyfile.Dispenser, r *Retention) (err error) {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return d.ArgErr()
	}
	number, percent := strings.CutSuffix(args[0], "%")
	if r.Disk, err = strconv.Atoi(number); err != nil || !percent {
		return d.Errf("disk %q is no percentage: want one as in 90%%", args[0])
	}
	if r.Disk < store.MinDisk || r.Disk > store.MaxDisk {
		return d.Errf("disk %s is out of range: want %d%% to %d%%", args[0], store.MinDisk, store.MaxDisk)
	}
	if r.DiskWrites = len(args) == 2; r.DiskWrites && args[1] != "writes" {
		return d.Errf("disk: %q is unknown: want writes, or nothing", args[1])
	}
	return nil
}
