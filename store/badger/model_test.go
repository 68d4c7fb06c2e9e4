package badger_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

var (
	modelFor  = flag.Duration("model-for", 10*time.Second, "how long the store is compared with a model")
	modelSeed = flag.Uint64("model-seed", 0, "what happens in that time; 0: something new")
)

// It packs only when it is told to, so that it can be copied at rest.
func openForModel(o badger.Options) storetest.Open {
	return func(t *testing.T, dir string) store.Store {
		s := opener(o)(t, dir)
		s.(*badger.Store).StopPacker()
		return s
	}
}

// killForModel copies the store as the kernel would keep it, and closes it then.
func killForModel(t *testing.T, s store.Store, dir string) string {
	t.Helper()
	crashed := dir + "-"
	if err := copyStill(dir, crashed, s.Sequence); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(crashed) })
	storetest.Close(t, s)
	_ = os.RemoveAll(dir)
	return crashed
}

func TestStoreIsWhatAModelOfItIs(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	long := *modelFor
	if testing.Short() {
		long /= 5
	}
	keys, err := store.NewKeyring([]byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]badger.Options{
		"usual": {Durability: store.OS, JournalFile: 1 << 20},
		"tight": {Durability: store.OS, JournalFile: 32 << 10, ScanRecords: 150, OpenSegments: 4, Keys: keys},
	} {
		t.Run(name, func(t *testing.T) {
			o.Retention = store.Retention{Writes: 2 * store.Day, Reads: store.Day}
			storetest.Model(t, openForModel(o), killForModel, o.Retention, seed, time.Now().Add(long/2))
		})
	}
}
