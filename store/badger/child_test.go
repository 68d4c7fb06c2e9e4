package badger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
	"github.com/auditgate/auditgate/store/storetest"
)

// The test binary is also the process that is killed, or that the power is cut
// of: childDir names the directory of its store, childDurability says how it is
// opened.
const (
	childDir        = "AUDITGATE_TEST_CHILD_DIR"
	childDurability = "AUDITGATE_TEST_CHILD_DURABILITY"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, addForever(dir, store.Durability(os.Getenv(childDurability))))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// addForever adds records of calls, some of which have begin entries, while the
// store packs after every few of them. It says which calls begin, and which are
// stored.
func addForever(dir string, durability store.Durability) error {
	s, err := badger.Open(badger.Options{Path: dir, Durability: durability, JournalFile: 64 << 10})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range 16 {
		go func() {
			maker, calls := storetest.NewRecords(rand.Uint64()), s.Counter(source)
			for {
				r := maker.Next()
				old := i%4 == 3 && rand.IntN(4) == 0
				if old {
					r = maker.At(record.IDAt(time.Now().Add(-20 * time.Minute)))
				}
				r.Source = source
				calls.Begin()
				if old || i%2 == 0 {
					c, err := s.Add(storetest.Entry(r), calls)
					if err == nil && old { // as it is of calls that have gone on for so long
						err = c.Wait(context.Background())
					}
					if err != nil && !errors.Is(err, store.ErrFull) {
						failed <- err
						return
					}
				}
				fmt.Println("begun", r.EventID)
				what := rand.IntN(50)
				if what == 0 && i%2 == 0 { // it goes on
					continue
				}
				if what == 1 {
					calls.Abandon(r.EventID, "test", time.Now())
					continue
				}
				c, err := s.Add(r, calls)
				if errors.Is(err, store.ErrFull) {
					calls.Abandon(r.EventID, "test", time.Now())
					continue
				}
				if err == nil {
					err = c.Wait(context.Background())
				}
				if err != nil {
					failed <- err
					return
				}
				fmt.Println("stored", r.EventID)
			}
		}()
	}
	return <-failed
}

// writer is a process that adds records for ever, and what it has said.
type writer struct {
	t     *testing.T
	child *exec.Cmd
	lines *bufio.Scanner
	ready chan struct{} // closed when it has stored something

	begun, stored map[record.ID]bool // complete when listen has returned
}

// startWriter starts a writer to the store in dir. Where wrap is not nil it changes
// the command.
func startWriter(t *testing.T, dir string, durability store.Durability, wrap func(*exec.Cmd)) *writer {
	t.Helper()
	w := &writer{
		t: t, child: exec.Command(os.Args[0]), ready: make(chan struct{}),
		begun: make(map[record.ID]bool), stored: make(map[record.ID]bool),
	}
	w.child.Env = append(os.Environ(), childDir+"="+dir, childDurability+"="+string(durability))
	w.child.Stderr = os.Stderr
	if wrap != nil {
		wrap(w.child)
	}
	out, err := w.child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.child.Start(); err != nil {
		t.Fatal(err)
	}
	w.lines = bufio.NewScanner(out)
	return w
}

// listen takes in what the writer says until somebody has ended it.
func (w *writer) listen() {
	for w.lines.Scan() {
		what, text, _ := strings.Cut(w.lines.Text(), " ")
		id, err := record.ParseID(text)
		if err != nil { // the last one may be cut
			continue
		}
		switch what {
		case "begun":
			w.begun[id] = true
		case "stored":
			if w.stored[id] = true; len(w.stored) == 1 {
				close(w.ready)
			}
		}
	}
	err := w.child.Wait()
	if status, ok := w.child.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		w.t.Fatalf("the writer has ended by itself: %v", err)
	}
}
