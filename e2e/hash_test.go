package e2e_test

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/record"
)

var hashPattern = regexp.MustCompile(`hmac:[0-9a-f]{32}`)

// hashes runs the command that tells what stands for a value, and returns the
// hashes that it prints, the newest key's first.
func (g *gateway) hashes(value string) []string {
	g.t.Helper()
	cmd := g.command("audit", "redact-hash")
	cmd.Env = append(cmd.Env, "AUDITGATE_ENDPOINT="+g.audit, "AUDITGATE_TOKEN="+g.token("admin"))
	cmd.Stdin = strings.NewReader(value)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		g.t.Fatalf("asking for hashes: %v\n%s", err, &complaint)
	}
	return hashPattern.FindAllString(out.String(), -1)
}

// rotate makes a new redaction key.
func (g *gateway) rotate() {
	g.t.Helper()
	if out, err := g.command("audit", "rotate-key", "--config", g.config).CombinedOutput(); err != nil {
		g.t.Fatalf("making a new key: %v\n%s", err, out)
	}
}

func TestHashOfASecretIsFoundUnderEveryKey(t *testing.T) {
	g := newGateway(t)
	g.write(g.site(freeAddress(t))) // nobody answers, which makes records too
	g.insert("log {\n\tformat audit\n}")
	g.replace("\taudit_api\n", "\taudit_capture itself\n\taudit_api\n") // which sees the value
	g.start()
	g.bearer = g.token("auditor")
	// What stands for the secret in the record of a call that is made now.
	stored := func(id string) string {
		g.raw(t, "/x?page=1", "X-Correlation-Id: "+id+"\r\nX-Auth-Token: correct-horse")
		return g.withHeader(t, "X-Correlation-Id", id).RequestHeaders.Get("X-Auth-Token")
	}
	hashes := []string{stored("first")}
	if got := g.hashes("correct-horse\n"); !slices.Equal(got, hashes) {
		t.Errorf("the hashes are %q, stored is %q", got, hashes)
	}
	if got := g.hashes("Correct-horse"); slices.Equal(got, hashes) {
		t.Error("another value has the same hash")
	}

	// A running gateway takes a new key with a reload, or a start.
	g.rotate()
	if got := stored("before the reload"); got != hashes[0] {
		t.Errorf("stored is %s before the reload, want %s", got, hashes[0])
	}
	before := g.page(url.Values{"limit": {"1"}})
	if err := g.reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	hashes = slices.Insert(hashes, 0, stored("second"))
	g.rotate()
	g.stop()
	g.start()
	hashes = slices.Insert(hashes, 0, stored("third"))
	if got := g.hashes("correct-horse\r\n"); !slices.Equal(got, hashes) || len(slices.Compact(got)) != 3 {
		t.Errorf("the hashes are %q, stored are %q", got, hashes)
	}
	if status, body, err := g.ask("/v1/-/logs?marker=" + before.Marker); err != nil || status != http.StatusOK || before.Marker == "" {
		t.Errorf("a marker from before the rotations: %d %s %v", status, body, err)
	}

	// Who asked is on record, and not for what.
	admin := *g
	admin.bearer = g.token("admin")
	asked := func() (asked []*record.Record) {
		for _, r := range admin.list(url.Values{"source": {record.Self}}) {
			if r.Action == "hash.lookup" {
				asked = append(asked, r)
			}
		}
		return asked
	}
	wait(t, "three look-ups are recorded", func() bool { return len(asked()) == 3 })
	for _, r := range asked() {
		if r.UserID == "" || r.Method != "POST" || r.URI != "/v1/hashes" {
			t.Errorf("a look-up is recorded as %+v", r)
		}
	}
	seen := g.list(url.Values{"source": {"itself"}, "uri": {"/v1/hashes"}})
	if len(seen) != 3 {
		t.Errorf("%d look-ups are captured, want 3", len(seen))
	}
	for _, r := range seen {
		if body := string(r.RequestBody.Content); !strings.HasPrefix(body, `{"secret":"hmac:`) {
			t.Errorf("captured of a look-up is %s", body)
		}
	}
	g.stop()
	if out, err := exec.Command("grep", "-r", "-l", "-a", "-F", "orrect-horse", g.dir).CombinedOutput(); err == nil {
		t.Errorf("the value is in %s", out)
	}
}

func TestHashIsRefusedWithWords(t *testing.T) {
	g := startGateway(t, freeAddress(t))
	ask := func(value, endpoint, token string, words ...string) {
		t.Helper()
		cmd := g.command("audit", "redact-hash", "--endpoint", endpoint)
		cmd.Env = append(cmd.Env, "AUDITGATE_TOKEN="+token)
		cmd.Stdin = strings.NewReader(value)
		out, err := cmd.CombinedOutput()
		if err == nil || strings.Contains(string(out), "c4nary") || strings.Contains(string(out), "goroutine") {
			t.Errorf("it goes well, or says the value: %v\n%s", err, out)
		}
		for _, word := range words {
			if !strings.Contains(string(out), word) {
				t.Errorf("it complains without saying %q:\n%s", word, out)
			}
		}
	}
	const value = "c4nary"
	admin := g.token("admin")
	ask(value, g.audit, g.token("auditor"), "403", "admin")
	ask(value, g.audit, "nonsense", "401", "not a JWT")
	ask(value, g.audit, "", "--token", "AUDITGATE_TOKEN")
	ask(value, "", admin, "--endpoint", "AUDITGATE_ENDPOINT")
	ask(value, "127.0.0.1:9600", admin, "http://127.0.0.1:9600")
	ask(value, g.audit+"/nowhere", admin, "404")
	ask(value, g.traffic, admin, "502")
	ask(value, "http://"+freeAddress(t), admin, "refused")
	ask("", g.audit, admin, "standard input")
	ask("\n", g.audit, admin, "standard input")
	ask(value+"\xff", g.audit, admin, "UTF-8")
	ask(strings.Repeat(value, 20000), g.audit, admin, "65536")

	g.refused(t, []string{"no keys", "/nowhere"}, "audit", "rotate-key", "--keys", g.dir+"/nowhere")
	empty := filepath.Join(g.dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	g.refused(t, []string{"no keys", "/empty"}, "audit", "rotate-key", "--keys", empty)
	if made, err := os.ReadDir(empty); err != nil || len(made) != 0 {
		t.Errorf("a refused rotation has made %v, %v", made, err)
	}
	g.refused(t, []string{"config", "keys"}, "audit", "rotate-key", "--keys", g.dir+"/keys", "--config", g.config)

	// Asking over and over comes to an end.
	for n := 0; ; n++ {
		req, err := http.NewRequest(http.MethodPost, g.audit+"/v1/hashes", strings.NewReader(`{"secret":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+admin)
		res, err := g.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") != "" {
			break
		}
		if res.StatusCode != http.StatusOK || n > 100 {
			t.Fatalf("request %d: %s", n, res.Status)
		}
	}
}
