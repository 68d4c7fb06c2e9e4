package caddymodule

import (
	"context"
	"log/slog"
	"testing"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
)

// A configuration may go while its store is still being opened, and come back.
func TestStoreOfAnAbandonedEngineIsClosed(t *testing.T) {
	dir, open := t.TempDir(), make(chan struct{})
	remember := func(*identity.Book) error { return nil }
	opener := func() (store.Store, error) {
		<-open
		return badger.Open(badger.Options{Path: dir})
	}
	first := startEngine("abandoned", "", 1<<20, slog.New(slog.DiscardHandler), opener, remember)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it does not wait at all
	first.close(ctx)
	close(open)
	<-first.opened
	if _, err := first.current(); err == nil {
		t.Error("the first store is open after its engine was closed")
	}
	second := startEngine("abandoned", "", 1<<20, slog.New(slog.DiscardHandler), opener, remember)
	defer second.close(context.Background())
	<-second.opened // or the test ends here
	if _, err := second.current(); err != nil {
		t.Error(err)
	}
}
