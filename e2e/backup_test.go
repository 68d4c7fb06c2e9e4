package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/auditgate/auditgate/record"
)

// The drill of docs/backup.md: a backup under traffic, a restore to another place with
// the keys, and a gateway that goes on there. Everything that was listed before the
// backup began is there, and tokens and hashes are as they were.
func TestBackupUnderTrafficIsRestored(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"path": "` + r.URL.Path + `"}`))
	}))
	defer upstream.Close()
	g := startGateway(t, upstream.Listener.Addr().String())
	for range 20 {
		g.open(t.Context(), http.MethodPost, "/before", "", strings.NewReader(`{"password": "x1y2z3w4"}`)).Body.Close()
	}
	g.open(t.Context(), http.MethodGet, "/last", "last", nil).Body.Close()
	g.recordOf("last")
	before := g.all()
	hashes := g.hashes("x1y2z3w4")

	load := startLoad(g, 4, true)
	g.breakOffBackup()
	file := filepath.Join(g.dir, "backup.tar")
	var out []byte
	var err error
	wait(t, "the broken off backup has ended", func() bool {
		out, err = g.command("audit", "backup", "--address", "unix/"+g.dir+"/admin", file).CombinedOutput()
		return !strings.Contains(string(out), "is being made already")
	})
	load.end()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if entries, err := filepath.Glob(file + ".*"); err != nil || len(entries) != 0 {
		t.Errorf("beside the backup there are %q, %v", entries, err)
	}
	for _, cmd := range [][]string{
		{"audit", "restore", file, g.dir + "/store"}, // in use
		{"audit", "restore", "--keys", g.dir + "/keys", file, g.dir + "/new"},
	} {
		if out, err := g.command(cmd...).CombinedOutput(); err == nil || !strings.Contains(string(out), "not empty") {
			t.Errorf("%q: %v, want a refusal:\n%s", cmd, err, out)
		}
	}
	g.refuseDamaged(file)
	g.stop()

	if out, err := g.command("audit", "restore", "--keys", g.dir+"/keys2", file, g.dir+"/store2").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	g.replace(g.dir+"/store\n", g.dir+"/store2\n")
	g.replace(g.dir+"/keys\n", g.dir+"/keys2\n")
	g.start()
	after := byID(t, g.all())
	for _, r := range before {
		got := after[r.EventID.String()]
		if got == nil || got.Node != r.Node || got.Sequence != r.Sequence || !bytes.Equal(got.RequestBody.Content, r.RequestBody.Content) {
			t.Errorf("record %s, sequence %d of %s, is restored as %+v", r.EventID, r.Sequence, r.Node, got)
		}
	}
	if again := g.hashes("x1y2z3w4"); len(hashes) == 0 || strings.Join(again, " ") != strings.Join(hashes, " ") {
		t.Errorf("hashes are %q, were %q", again, hashes)
	}
	g.open(t.Context(), http.MethodGet, "/new", "new", nil).Body.Close()
	if r := g.recordOf("new"); r.Node == before[0].Node || r.Sequence <= before[0].Sequence {
		t.Errorf("a new record is of node %s, sequence %d; the backup was of %s", r.Node, r.Sequence, before[0].Node)
	}
	if gap := gapOf(g, "restored"); gap == nil {
		t.Error("no gap says that the store was restored")
	}
}

// gapOf returns the gap of that reason.
func gapOf(g *gateway, reason string) *record.Record {
	for _, r := range g.page(nil).Gaps {
		if r.Gap != nil && r.Gap.Reason == reason {
			return r
		}
	}
	return nil
}

// breakOffBackup asks for a backup and leaves after its first bytes.
func (g *gateway) breakOffBackup() {
	g.t.Helper()
	body := g.beginBackup()
	_, _ = body.Read(make([]byte, 100))
	body.Close()
}

// beginBackup asks for a backup on a connection of its own.
func (g *gateway) beginBackup() io.ReadCloser {
	g.t.Helper()
	admin := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", g.dir+"/admin")
	}}}
	res, err := admin.Get("http://localhost/auditgate/backup")
	if err != nil {
		g.t.Fatal(err)
	}
	return res.Body
}

func TestKillInTheMidstOfABackupHarmsNeitherStoreNorReader(t *testing.T) {
	c := startComponent(t)
	g := startGateway(t, c.address())
	const bodies = 300
	noise := make([]byte, 12<<10)
	for i := range bodies {
		for j := range noise { // no two alike, or they would be packed into next to nothing
			noise[j] = byte(' ' + rand.IntN(64))
		}
		body, err := json.Marshal(map[string]string{"a": string(noise)})
		if err != nil {
			t.Fatal(err)
		}
		g.open(t.Context(), http.MethodPost, "/items", fmt.Sprintf("call-%d", i), bytes.NewReader(body)).Body.Close()
	}
	g.recordOf("call-299")
	before := g.all()
	backup := g.beginBackup()
	defer backup.Close()
	if _, err := io.ReadFull(backup, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	g.signal(syscall.SIGKILL)
	rest, err := io.ReadAll(backup)
	if err == nil {
		t.Errorf("a backup that was cut off ended in order, after %d bytes more", len(rest))
	}
	g.start()
	after := byID(t, g.all())
	for _, r := range before {
		if after[r.EventID.String()] == nil {
			t.Errorf("record %s is missing after the kill", r.EventID)
		}
	}
	g.breakOffBackup() // which is on record as such: who takes it has what came until then
	broken, told := g.own("store.backup", 1)
	if r := broken[0]; r.Outcome != record.OutcomeAborted || r.Success != record.SuccessUnknown || told[0]["keys"] != false || told[0]["sha256"] != nil {
		t.Errorf("a broken off backup is on record as %+v, %v", r, told[0])
	}
	file := filepath.Join(g.dir, "backup.tar")
	var out []byte
	wait(t, "the broken off backup has ended", func() bool {
		out, err = g.command("audit", "backup", "--address", "unix/"+g.dir+"/admin", file).CombinedOutput()
		return !strings.Contains(string(out), "is being made already")
	})
	if err != nil {
		t.Errorf("the next backup: %v\n%s", err, out)
	}
	if info, err := os.Stat(file); err != nil || info.Size() < 2<<20 {
		t.Errorf("the backup is %v, %v: sockets may buffer all of it, so that it cannot be broken off", info, err)
	}
}

// refuseDamaged restores backups that are cut and changed, of which nothing is left.
func (g *gateway) refuseDamaged(file string) {
	g.t.Helper()
	good, err := os.ReadFile(file)
	if err != nil {
		g.t.Fatal(err)
	}
	changed := bytes.Clone(good)
	changed[len(changed)/2] ^= 1
	for name, data := range map[string][]byte{"cut": good[:len(good)/2], "changed": changed} {
		bad := filepath.Join(g.dir, name+".tar")
		if err := os.WriteFile(bad, data, 0o600); err != nil {
			g.t.Fatal(err)
		}
		out, err := g.command("audit", "restore", bad, filepath.Join(g.dir, name)).CombinedOutput()
		if err == nil {
			g.t.Errorf("a backup that is %s was restored:\n%s", name, out)
		}
		if left, _ := filepath.Glob(filepath.Join(g.dir, name) + "*"); len(left) != 1 {
			g.t.Errorf("a backup that is %s left %q", name, left)
		}
	}
}
