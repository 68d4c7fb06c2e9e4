package caddymodule_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/auditgate/auditgate/caddymodule"
)

// A server may start before the app, and a call that comes then may be over
// before the app starts: the store is closed and opened again at once.
func TestStoreThatIsClosingIsOpenedAgain(t *testing.T) {
	dir := t.TempDir()
	var closing sync.WaitGroup
	defer closing.Wait()
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
