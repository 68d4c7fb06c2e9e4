package caddymodule_test

import (
	"context"
	"testing"
	"time"

	"github.com/auditgate/auditgate/caddymodule"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/disk"
	"github.com/auditgate/auditgate/store/storetest"
)

// The newest configuration that has not ended counts; what goes, and what may not, is
// in the metrics.
func TestRetentionFollowsTheConfigurationAndTheMetricsTell(t *testing.T) {
	dir := t.TempDir()
	old, err := (&caddymodule.BadgerStore{Path: dir}).Open(caddymodule.OpenOptions{Durability: store.OS})
	if err != nil {
		t.Fatal(err)
	}
	maker := storetest.NewRecords(1)
	for _, days := range []int{2, 10, 20} {
		r := maker.At(record.IDAt(time.Now().AddDate(0, 0, -days)))
		r.Method, r.Source = "POST", "nova"
		storetest.Add(t, old, r)
		storetest.Pack(t, old)
	}
	storetest.Close(t, old)

	opened, release := caddymodule.Lease(dir)
	if err := opened(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		release()
		caddymodule.CloseAll(context.WithoutCancel(t.Context()))
	}()
	s := caddymodule.StoreOf(dir).(*badger.Store)
	keep := func(days int) store.Retention {
		return store.Retention{Writes: time.Duration(days) * store.Day, Reads: store.Day, Disk: store.MaxDisk}
	}
	want := func(left int) {
		t.Helper()
		if err := s.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if got := storetest.List(t, s, record.Query{Scope: storetest.Everything, Sources: []string{"nova"}}); len(got) != left {
			t.Errorf("%d records are kept, want %d", len(got), left)
		}
		if got := caddymodule.Figures(t, dir)[`auditgate_records_dropped_total{reason="age"}`]; got != float64(3-left) {
			t.Errorf("the metric says that %v were dropped, want %d", got, 3-left)
		}
	}
	end := caddymodule.Retain(dir, keep(30))
	want(3)
	end2 := caddymodule.Retain(dir, keep(15)) // a reload: the new one starts before the old one ends
	end()
	want(2)
	failed := caddymodule.Retain(dir, keep(5)) // one that Caddy takes back
	failed()
	want(2)
	full := keep(15)
	full.Disk = 10
	end3 := caddymodule.Retain(dir, full)
	end2()
	want(2)
	if v, err := disk.VolumeOf(dir); err == nil && v.Percent() > 11 {
		if got := caddymodule.Figures(t, dir)["auditgate_store_overfull"]; got != 1 {
			t.Errorf("on a volume that is %.0f%% full auditgate_store_overfull is %v with disk 10%%, want 1", v.Percent(), got)
		}
	}
	end4 := caddymodule.Retain(dir, keep(15))
	end3()
	want(2)
	if got, ok := caddymodule.Figures(t, dir)["auditgate_store_overfull"]; !ok || got != 0 {
		t.Errorf("auditgate_store_overfull is %v (there: %v), want 0 where the volume may be full", got, ok)
	}
	end4()
}
