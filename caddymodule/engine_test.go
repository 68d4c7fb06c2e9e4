package caddymodule_test

import (
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/auditgate/auditgate/caddymodule"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/disk"
)

// A server may start before the app, and a call that comes then may be over
// before the app starts: the store is closed and opened again at once.
func TestStoreThatIsClosingIsOpenedAgain(t *testing.T) {
	dir := t.TempDir()
	var closing sync.WaitGroup
	defer func() {
		closing.Wait()
		caddymodule.CloseAll(t.Context()) // a release does not wait for its store
	}()
	for range 30 {
		opened, release := caddymodule.Lease(dir)
		if err := opened(); err != nil {
			t.Fatal(err)
		}
		closing.Go(release)
		for caddymodule.Leased(dir) { // until the release has begun to close the store
			runtime.Gosched()
		}
	}
}

func TestStoreWhoseDiskIsFullIsWaitedForUntilTheExit(t *testing.T) {
	dir := t.TempDir()
	asked := make(chan struct{}, 1)
	disk.Inject(func(op, path string) error {
		if op != "create" || !strings.HasPrefix(path, dir) {
			return nil
		}
		select {
		case asked <- struct{}{}:
		default:
		}
		return syscall.ENOSPC
	})
	defer disk.Inject(nil)
	opened, release := caddymodule.Lease(dir)
	for range 2 { // it is tried again
		<-asked
	}
	release()
	caddymodule.CloseAll(t.Context())
	if err := opened(); !disk.IsFull(err) {
		t.Errorf("a store that was never open: %v, want that the disk is full", err)
	}
	disk.Inject(nil)
	opened, release = caddymodule.Lease(dir)
	if err := opened(); err != nil {
		t.Error(err)
	}
	release()
	caddymodule.CloseAll(t.Context())
}

// The last call may return its lease at the moment at which the process exits.
func TestExitWaitsForAStoreThatIsBeingReleased(t *testing.T) {
	dir := t.TempDir()
	for range 30 {
		opened, release := caddymodule.Lease(dir)
		if err := opened(); err != nil {
			t.Fatal(err)
		}
		var releasing sync.WaitGroup
		releasing.Go(release)
		caddymodule.CloseAll(t.Context())
		s, err := (&caddymodule.BadgerStore{Path: dir}).Open(caddymodule.OpenOptions{Durability: store.OS})
		if err != nil {
			t.Fatal("the exit has left the store open:", err)
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		releasing.Wait()
	}
}
