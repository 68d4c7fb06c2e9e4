package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/record"
)

// own returns the gateway's records of itself of that action, oldest first, and what they
// tell. There must be n.
func (g *gateway) own(action string, n int) (all []*record.Record, told []map[string]any) {
	g.t.Helper()
	g.bearer = g.token("admin")
	list := func() int {
		all = g.list(url.Values{"source": {record.Self}, "action": {action}})
		return len(all)
	}
	wait(g.t, fmt.Sprintf("there are %d records of %s", n, action), func() bool { return list() >= n })
	// What was on its way then is there with what came later.
	after := "after-" + action
	g.open(g.t.Context(), "GET", "/items", after, nil).Body.Close()
	g.recordOf(after)
	if list() != n {
		g.t.Fatalf("there are %d records of %s, want %d", len(all), action, n)
	}
	for i := range all {
		var t map[string]any
		if err := json.Unmarshal(all[len(all)-1-i].RequestBody.Content, &t); err != nil {
			g.t.Errorf("%s tells %s: %v", action, all[len(all)-1-i].RequestBody.Content, err)
		}
		told = append(told, t)
	}
	return all, told
}

// What an auditor is told of each configuration: which it is, what it records by which
// policy, for how long, and what is to be warned of. What is secret in it is not there.
func TestEachLoadedConfigurationIsOnRecord(t *testing.T) {
	g := newGateway(t)
	secrets := []string{strings.Repeat("5a", 32), "hmac-secret-of-an-issuer-0123456789", "introspection-secret", "basic-of-proxy"}
	g.write(fmt.Sprintf(`%s {
	audit_capture nova {
		identity {
			introspect http://127.0.0.1:9/ask {
				client_id gate
				client_secret %s
			}
		}
	}
	reverse_proxy %s {
		header_up Authorization "Basic %s"
	}
}
http://%s {
	audit_api {
		jwt {
			hmac_secret %s
			audience a
		}
		restrict keystone
	}
}
http://%s {
	reverse_proxy http://127.0.0.1:9
}
`, g.traffic, secrets[2], startComponent(t).address(), secrets[3], freeAddress(t), secrets[1], freeAddress(t)))
	path := "path " + g.dir + "/store\n"
	g.replace(path, path+"encryption_key "+secrets[0]+"\n")
	g.replace("\tkeys ", "\tretention 60d\n\tkeys ")
	for _, secret := range secrets {
		if !strings.Contains(g.read(), secret) {
			t.Fatalf("the secret %q is not in the configuration", secret)
		}
	}
	g.start()

	g.replace("retention 60d", "retention 90d {\nreads 5d\n}")
	g.replace("audit_capture nova {", "audit_capture nova {\nlevel metadata")
	if err := g.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	good := g.read()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	g.rewrite(good + "\nhttp://" + busy.Addr().String() + " {\nrespond 200\n}\n")
	if err := g.reload(t.Context()); err == nil {
		t.Error("a configuration was loaded whose address is taken")
	}
	g.rewrite(good)
	if err := g.reload(t.Context()); err != nil {
		t.Fatal(err)
	}

	all, told := g.own("config.load", 3)
	first, second, third := told[0], told[1], told[2]
	if first["load"] != "start" || second["load"] != "reload" || third["load"] != "reload" {
		t.Errorf("loads are %v, %v, %v", first["load"], second["load"], third["load"])
	}
	if d := first["hmac_sha256"].(string); len(d) != 64 || d == second["hmac_sha256"] || second["hmac_sha256"] != third["hmac_sha256"] {
		t.Errorf("digests are %v, %v and %v, want another and the same", d, second["hmac_sha256"], third["hmac_sha256"])
	}
	days := func(writes, reads string) map[string]any {
		return map[string]any{"writes": writes, "reads": reads, "disk": "90%", "disk_writes": false}
	}
	if !reflect.DeepEqual(first["retention"], days("60d", "30d")) || first["retention_before"] != nil {
		t.Errorf("at start retention is %v, before it was %v", first["retention"], first["retention_before"])
	}
	if !reflect.DeepEqual(second["retention"], days("90d", "5d")) || !reflect.DeepEqual(second["retention_before"], days("60d", "30d")) {
		t.Errorf("then retention is %v, before it was %v", second["retention"], second["retention_before"])
	}
	if third["retention_before"] != nil {
		t.Errorf("where nothing has changed, retention was %v before", third["retention_before"])
	}
	g.open(t.Context(), "GET", "/items", "one", nil).Body.Close()
	policies := []any{}
	for _, load := range told {
		c := load["captures"].([]any)[0].(map[string]any)
		if len(load["captures"].([]any)) != 1 || c["source"] != "nova" || c["fail"] != "open" || c["listen"] == nil {
			t.Errorf("captures are %v", load["captures"])
		}
		policies = append(policies, c["policy"])
	}
	if got := g.recordOf("one").Policy; policies[0] == policies[1] || policies[1] != policies[2] || got != policies[2] {
		t.Errorf("policies are %v, a record has %q", policies, got)
	}
	apis := fmt.Sprint(first["apis"])
	if !strings.Contains(apis, "restrict:[keystone]") || !strings.Contains(apis, "tokens:[jwt]") || !strings.Contains(apis, "tokens:[gateway]") {
		t.Errorf("APIs are %s", apis)
	}
	if w := fmt.Sprint(first["warnings"]); !strings.Contains(w, "behind no audit_capture") || !strings.Contains(w, "Caddy's own log") {
		t.Errorf("warnings are %s", w)
	}
	if fixed := first["fixed"].(string); !strings.HasPrefix(fixed, "durability fsync, encryption key ") {
		t.Errorf("fixed is %q", fixed)
	}
	for _, r := range all {
		whole, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets {
			if bytes.Contains(whole, []byte(secret)) {
				t.Errorf("the secret %q stands in %s", secret, whole)
			}
		}
	}
}

// A backup hands out all that there is, and the keys, so its record says to whom, how
// much, and what the file is.
func TestEachBackupIsOnRecord(t *testing.T) {
	g := startGateway(t, startComponent(t).address())
	for i := range 5 {
		g.open(t.Context(), "GET", "/items", fmt.Sprintf("call-%d", i), nil).Body.Close()
	}
	g.open(t.Context(), "GET", "/items", "last", nil).Body.Close()
	g.recordOf("last")
	file := filepath.Join(g.dir, "backup.tar")
	var files [][]byte
	for _, more := range [][]string{nil, {"--without-keys"}} {
		cmd := g.command(append(append([]string{"audit", "backup", "--address", "unix/" + g.dir + "/admin"}, more...), file)...)
		cmd.Env = append(cmd.Env, "SUDO_USER=", "USER=ann")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	all, told := g.own("store.backup", 2)
	for i, data := range files {
		sum := fmt.Sprintf("%x", sha256.Sum256(data))
		if told[i]["sha256"] != sum || told[i]["bytes"] != float64(len(data)) || told[i]["keys"] != (i == 0) {
			t.Errorf("backup %d of %d bytes with SHA-256 %s is told as %v", i, len(data), sum, told[i])
		}
		if n := told[i]["records"].(float64); n < 6 || n != told[i]["sequence"] || told[i]["endpoint"] != "unix/"+g.dir+"/admin" {
			t.Errorf("backup %d: %v records up to %v, by %v", i, n, told[i]["sequence"], told[i]["endpoint"])
		}
		r := all[len(all)-1-i]
		if !strings.HasPrefix(r.UserAgent, "auditgate (cli:ann@") || r.Status != 200 || r.Success != record.SuccessYes || r.URI != "/auditgate/backup" {
			t.Errorf("backup %d is on record as %+v", i, r)
		}
	}
}
