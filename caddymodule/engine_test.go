package caddymodule_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/auditgate/auditgate/caddymodule"
)

// A server may start before the app, and a call that comes then may be over
// before the app starts: the store is closed and opened again at once.
func TestStoreThatIsClosingIsOpenedAgain(t *testing.T) {
	dir := t.TempDir()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 10 {
				opened, release, err := caddymodule.Lease(dir)
				if err != nil {
					t.Error(err)
					return
				}
				err = opened()
				release()
				if err != nil {
					t.Error(errors.Unwrap(err), err)
					return
				}
			}
		})
	}
	group.Wait()
}
