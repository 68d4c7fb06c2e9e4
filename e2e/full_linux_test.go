package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/auditgate/auditgate/record"
)

// smallDisk mounts a file system of so many MiB at dir: ext4 in a file where that
// can be had, else in memory.
func smallDisk(t *testing.T, dir string, mib int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	unmount := func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	image := filepath.Join(t.TempDir(), "disk")
	script := `truncate -s "$1M" "$2" && mkfs.ext4 -q -m 0 "$2" && mount -o loop "$2" "$3" && rmdir "$3/lost+found"`
	ext4, err := exec.Command("sh", "-c", script, "sh", fmt.Sprint(mib), image, dir).CombinedOutput()
	if err == nil {
		t.Cleanup(unmount)
		t.Logf("the disk is ext4 of %d MiB", mib)
		return
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Skipf("NOT TESTED: a small disk cannot be mounted: %v; ext4: %s", err, ext4)
	}
	t.Cleanup(unmount)
	t.Logf("the disk is tmpfs of %d MiB; ext4: %s", mib, ext4)
}

// fillDisk lets another process take all the room that is left.
func fillDisk(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "of-another-process")
	out, err := exec.Command("dd", "if=/dev/zero", "of="+file, "bs=4k").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("No space left")) {
		t.Fatalf("filling the disk: %v %s", err, out)
	}
	return file
}

// outcomes of the calls of a load, by their request ids.
type answers struct {
	mu     sync.Mutex // guards all below
	status map[string]int
	failed []error
	slow   []time.Duration // how long each 503 took
}

// startSteadyLoad starts n clients that go on whatever they are answered, until
// stop is closed.
func startSteadyLoad(g *gateway, n int, stop chan struct{}) (a *answers, done *sync.WaitGroup) {
	a, done = &answers{status: make(map[string]int)}, new(sync.WaitGroup)
	for range n {
		name := fmt.Sprintf("client-%d", clients.Add(1))
		done.Go(func() { // ends when stop is closed
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(rand.N(8 * time.Millisecond)):
				}
				id := fmt.Sprintf("%s-call-%d", name, i)
				began := time.Now()
				status, err := steadyCall(g, id)
				took := time.Since(began)
				a.mu.Lock()
				a.status[id] = status
				if err != nil {
					a.failed = append(a.failed, err)
				} else if status == http.StatusServiceUnavailable {
					a.slow = append(a.slow, took)
				}
				a.mu.Unlock()
			}
		})
	}
	return a, done
}

func steadyCall(g *gateway, id string) (int, error) {
	noise := make([]byte, 300) // which does not compress
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	body := fmt.Sprintf(`{"name": %q, "noise": "%x"}`, id, noise)
	req, err := http.NewRequest(http.MethodPost, g.traffic+"/items", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Request-Id", id)
	res, err := g.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
	case res.StatusCode == http.StatusCreated && string(answer) != body:
		err = fmt.Errorf("%s got back %s", id, answer)
	case res.StatusCode == http.StatusServiceUnavailable &&
		(res.Header.Get("Retry-After") == "" || res.Header.Get("Content-Type") != "application/problem+json"):
		err = fmt.Errorf("%s was refused with %v %s", id, res.Header, answer)
	}
	return res.StatusCode, err
}

// books checks that each call is a record, or counted in a gap, exactly once; and
// that each that was let through is what it must be.
func (a *answers) books(g *gateway, closed bool) {
	t := g.t
	t.Helper()
	var counted, expected uint64
	records := make(map[string]*record.Record)
	for _, r := range g.all() {
		switch {
		case r.Gap != nil:
			counted += r.Gap.Count
		case records[r.RequestID] != nil:
			t.Errorf("call %s is two records", r.RequestID)
		default:
			records[r.RequestID] = r
		}
	}
	unaudited, passed := 0, 0
	for id, status := range a.status {
		r := records[id]
		if r == nil {
			expected++
		} else if r.Status != status {
			t.Errorf("call %s was answered %d, its record says %d (%s)", id, status, r.Status, r.Outcome)
		}
		if status == http.StatusCreated {
			if passed++; r == nil {
				unaudited++
			}
		}
	}
	if counted != expected {
		t.Errorf("%d calls are no records, the gaps count %d", expected, counted)
	}
	if closed && unaudited > 0 {
		t.Errorf("%d calls were let through and are no records", unaudited)
	}
	t.Logf("%d calls, %d let through, %d of these no records; gaps count %d", len(a.status), passed, unaudited, counted)
}

func TestFullDiskCostsNoCallInOpenAndNoRecordInClosed(t *testing.T) {
	for _, mode := range []string{"open", "closed"} {
		t.Run(mode, func(t *testing.T) {
			c := startComponent(t)
			g := newGateway(t)
			disk := filepath.Join(g.dir, "store")
			smallDisk(t, disk, 60)
			g.write(strings.Replace(g.closedSite(c.address()), "closed", mode, 1))
			config, err := os.ReadFile(g.config)
			if err != nil {
				t.Fatal(err)
			}
			// So little memory that records are lost when they wait.
			config = bytes.Replace(config, []byte("auditgate {\n"), []byte("auditgate {\n\t\tmemory 1MiB\n"), 1)
			if err := os.WriteFile(g.config, config, 0o600); err != nil {
				t.Fatal(err)
			}
			g.start()
			g.bearer = g.token("auditor")
			process := g.cmd.Process.Pid

			stop := make(chan struct{})
			a, done := startSteadyLoad(g, 16, stop)
			healthy := func() bool {
				status, _, err := g.ask("/healthz")
				return err == nil && status == http.StatusOK
			}
			var recovered time.Duration
			for range loops() {
				aWhile()
				other := fillDisk(t, disk)
				time.Sleep(time.Second + rand.N(time.Second))
				began := time.Now()
				if err := os.Remove(other); err != nil {
					t.Fatal(err)
				}
				newest := func() string {
					if p := g.page(map[string][]string{"limit": {"1"}, "status": {"201"}}); len(p.Logs) > 0 {
						return p.Logs[0].EventID.String()
					}
					return ""
				}
				before := newest()
				wait(t, "calls are recorded again", func() bool { return healthy() && newest() != before })
				recovered = max(recovered, time.Since(began))
			}
			close(stop)
			done.Wait()
			if g.cmd.Process.Pid != process || g.cmd.ProcessState != nil {
				t.Error("the gateway was started anew")
			}
			for _, err := range a.failed {
				t.Error(err)
			}
			refused := 0
			for id, status := range a.status {
				switch {
				case status == http.StatusCreated:
				case mode == "closed" && status == http.StatusServiceUnavailable:
					refused++
				default:
					t.Errorf("call %s was answered %d", id, status)
				}
			}
			if came := len(c.calls()); came != len(a.status)-refused {
				t.Errorf("%d calls came to the component, %d were let through", came, len(a.status)-refused)
			}
			t.Logf("recovered in %v at most", recovered)
			if slices.Sort(a.slow); len(a.slow) > 0 {
				t.Logf("%d refused: half of them within %v, all within %v", refused, a.slow[len(a.slow)/2], a.slow[len(a.slow)-1])
			} else if mode == "closed" {
				t.Error("no call was refused")
			}
			wait(t, "all is stored", func() bool { return healthy() })
			g.stop()
			g.start()
			a.books(g, mode == "closed")
		})
	}
}

func TestFullDiskKeepsNeitherStartNorStopFromWorking(t *testing.T) {
	c := startComponent(t)
	g := newGateway(t)
	disk := filepath.Join(g.dir, "store")
	smallDisk(t, disk, 60)
	g.write(strings.Replace(g.site(c.address()), "audit_capture nova", `@strict path /strict
	audit_capture @strict nova {
		fail closed
	}
	audit_capture nova`, 1))
	a := &answers{status: make(map[string]int)}
	call := func(n int) {
		t.Helper()
		for range n {
			id := fmt.Sprintf("call-%d", len(a.status))
			status, err := steadyCall(g, id)
			if a.status[id] = status; err != nil || status != http.StatusCreated {
				t.Fatalf("%s: %d, %v", id, status, err)
			}
		}
	}
	unwell := func() string {
		status, body, err := g.ask("/healthz")
		if err != nil || status == http.StatusOK {
			return ""
		}
		return string(body)
	}
	for _, first := range []bool{true, false} {
		other := fillDisk(t, disk)
		if !first {
			wait(t, "records wait", func() bool { call(1); return unwell() != "" })
			g.stop()
		}
		g.startUntil("the gateway has started on a full disk", http.StatusServiceUnavailable)
		call(20)
		if why := unwell(); !strings.Contains(why, "no space left on device") || !strings.Contains(why, "make room") {
			t.Errorf("healthz says %q; want that the disk is full, and what to do", why)
		}
		res := g.open(t.Context(), http.MethodGet, "/strict", fmt.Sprintf("strict-%v", first), nil)
		res.Body.Close()
		if a.status[fmt.Sprintf("strict-%v", first)] = res.StatusCode; res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a call that needs a receipt was answered %d", res.StatusCode)
		}
		if err := os.Remove(other); err != nil {
			t.Fatal(err)
		}
		wait(t, "the store is open", func() bool { return unwell() == "" })
		call(20)
	}
	g.bearer = g.token("auditor")
	g.stop()
	g.start()
	a.books(g, false)
}

func TestClosedHoldsForAllThatStandsBehindIt(t *testing.T) {
	g := newGateway(t)
	disk := filepath.Join(g.dir, "store")
	smallDisk(t, disk, 60)
	g.write(strings.NewReplacer("TRAFFIC", g.traffic, "COMPONENT", ruled(t)).Replace(`TRAFFIC {
	route /lax/* {
		audit_capture lax
		handle /lax/strict/* {
			audit_capture strict {
				fail closed
			}
			reverse_proxy COMPONENT
		}
		handle /lax/none/* {
			audit_capture none {
				level none
				fail closed
			}
			reverse_proxy COMPONENT
		}
		reverse_proxy COMPONENT
	}
	route /strict/* {
		audit_capture strict {
			fail closed
		}
		handle /strict/lax/* {
			audit_capture lax
			reverse_proxy COMPONENT
		}
		reverse_proxy COMPONENT
	}
}
`))
	g.start()
	g.bearer = g.token("auditor")
	answer := func(path string) (int, string) {
		t.Helper()
		res := g.open(t.Context(), http.MethodGet, path, "req"+path, nil)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	paths := map[string]bool{ // whether they are refused
		"/lax/": false, "/lax/strict/": true, "/lax/none/": false, "/strict/": true, "/strict/lax/": true,
	}
	for path := range paths {
		if status, body := answer(path); status != http.StatusOK {
			t.Errorf("%s, while there is room: %d %s", path, status, body)
		}
	}
	other := fillDisk(t, disk)
	for path, refused := range paths {
		status, body := answer(path)
		if refused && (status != http.StatusServiceUnavailable || !strings.Contains(body, "no-receipt")) || !refused && status != http.StatusOK {
			t.Errorf("%s, while the disk is full: %d %s; want it refused: %v", path, status, body, refused)
		}
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	// Each was two calls: one that was answered, and then one that may have been refused.
	for path, refused := range paths {
		if path == "/lax/none/" {
			continue // neither is on record
		}
		var found []*record.Record
		wait(t, path+" is on record twice", func() bool {
			found = g.list(map[string][]string{"request_id": {"req" + path}})
			return len(found) == 2 && found[0].Outcome == record.OutcomeComplete
		})
		source := "strict"
		if path == "/lax/" || path == "/strict/lax/" && !refused {
			source = "lax"
		}
		if r := found[0]; refused && (r.Status != http.StatusServiceUnavailable || r.StatusSource != "refused" || r.Success != record.SuccessNo || r.Source != source) {
			t.Errorf("%s was refused, and its record says %d %q, %s, source %s", path, r.Status, r.StatusSource, r.Success, r.Source)
		}
		if r := found[1]; r.Status != http.StatusOK || r.StatusSource != "" {
			t.Errorf("%s was answered, and its record says %d %q", path, r.Status, r.StatusSource)
		}
	}
}
