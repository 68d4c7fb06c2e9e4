package identity_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auditgate/auditgate/capture/identity"
)

// cloud is a Keystone, as far as it tells about tokens.
type cloud struct {
	*httptest.Server
	questions atomic.Int64
	away      atomic.Bool             // what stands before it answers
	mu        sync.Mutex              // guards answers
	answers   map[string]http.Handler // by token
}

// validated is what Keystone answers about a token, as it answered in version 22.
const validated = `{"token": {"methods": ["password"], "user": {"domain": {"id": "default", "name": "Default"}, "id": "a9c8d1",
"name": "ann", "password_expires_at": null}, "audit_ids": ["3Fm0hPm0QoSqZ0mQ7Iyu5w"], "expires_at": "%s",
"issued_at": "2026-11-21T09:30:00.000000Z", "project": {"domain": {"id": "default", "name": "Default"}, "id": "p1", "name": "demo"},
"is_domain": false, "roles": [{"id": "9fe2ff", "name": "reader"}, {"id": "7e3b1c", "name": "member"}]%s}}`

func newCloud(t *testing.T) *cloud {
	c := &cloud{answers: make(map[string]http.Handler)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.questions.Add(1)
		token := r.Header.Get("X-Subject-Token")
		c.mu.Lock()
		answer := c.answers[token]
		c.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case c.away.Load():
			w.WriteHeader(http.StatusBadGateway)
		case r.Method != http.MethodGet || r.URL.Path != "/identity/v3/auth/tokens" || r.URL.RawQuery != "nocatalog" || r.Header.Get("Openstack-Identity-Access-Rules") != "":
			http.Error(w, "another question", http.StatusBadRequest)
		case answer == nil || r.Header.Get("X-Auth-Token") != token:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}` + "\n"))
		default:
			answer.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *cloud) on(token string, answer http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers[token] = answer; answer == nil {
		delete(c.answers, token)
	}
}

// issue makes a token that is good for half an hour; more goes into what is said of it.
func (c *cloud) issue(token, more string) {
	c.says(token, fmt.Sprintf(validated, "2026-11-21T10:30:00.000000Z", more))
}

func (c *cloud) says(token, body string) {
	c.on(token, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Subject-Token", token)
		_, _ = w.Write([]byte(body))
	})
}

// asked returns who asks the cloud.
func (c *cloud) asked(at *clock, log *[]string) *identity.Keystone {
	k := identity.NewKeystone(c.URL+"/identity/", at.Now, into(log))
	k.SetTimeout(never)
	return k
}

func TestKeystoneTellsWhoHoldsAToken(t *testing.T) {
	c, at, log := newCloud(t), newClock(), []string{}
	c.issue("gAAAAABann", "")
	k := c.asked(at, &log)
	for range 10 {
		who, project, expires, err := k.Verify(t.Context(), "gAAAAABann")
		if err != nil || who.UserID != "a9c8d1" || who.UserName != "ann" || project != "p1" || !slices.Equal(who.UserRoles, []string{"reader", "member"}) ||
			who.AuthMethod != "keystone" || !who.AuthVerified || !expires.Equal(now.Add(30*time.Minute)) {
			t.Fatalf("%+v of %q until %s, %v", who, project, expires, err)
		}
		if _, _, _, err := k.Verify(t.Context(), "gAAAAABnobody"); err == nil || !strings.Contains(err.Error(), "none of Keystone's") {
			t.Fatalf("a token of nobody: %v", err)
		}
	}
	if n := c.questions.Load(); n != 2 {
		t.Errorf("%d questions, want 2: answers are remembered", n)
	}
	if len(log) > 0 {
		t.Error(log)
	}
}

func TestRevokedTokenIsRefusedAfterAMinute(t *testing.T) {
	c, at, log := newCloud(t), newClock(), []string{}
	c.issue("gAAAAABann", "")
	c.says("gAAAAABshort", fmt.Sprintf(validated, now.Add(time.Second).Format(time.RFC3339), ""))
	k := c.asked(at, &log)
	good := func(token string) bool { _, _, _, err := k.Verify(t.Context(), token); return err == nil }
	if !good("gAAAAABann") || !good("gAAAAABshort") {
		t.Fatal("tokens that are good are refused")
	}
	c.on("gAAAAABann", nil)
	at.forward(identity.KeystoneCache - time.Nanosecond)
	if !good("gAAAAABann") {
		t.Error("it was asked about again within the minute")
	}
	at.forward(time.Nanosecond)
	if good("gAAAAABann") {
		t.Error("a token is good a minute after it was revoked")
	}
	if good("gAAAAABshort") {
		t.Error("a token is good after its end, which the answer told")
	}
	c.on("gAAAAABann", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	at.forward(identity.KeystoneCache)
	if good("gAAAAABann") {
		t.Error("a token is good that Keystone does not find")
	}
}

// A Keystone that is away says nothing of a token, nor does an answer that is no good;
// and no token keeps others from being asked about.
func TestTokensThatKeystoneDoesNotJudgeAreNotRefused(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)
	says := func(format string, args ...any) string { return fmt.Sprintf(format, args...) }
	good := fmt.Sprintf(validated, "2026-11-21T10:30:00Z", "")
	for name, body := range map[string]string{
		"nothing":               "",
		"no JSON":               "<html>",
		"a list":                "[" + good + "]",
		"null":                  "null",
		"more behind it":        good + good,
		"no token":              "{}",
		"a token of null":       `{"token":null}`,
		"no user":               `{"token":{"expires_at":"2026-11-21T10:30:00Z","roles":[{"name":"admin"}],"project":{"id":"p1"}}}`,
		"a user of a number":    strings.Replace(good, `"id": "a9c8d1"`, `"id": 1`, 1),
		"a user of nothing":     strings.Replace(good, `"id": "a9c8d1"`, `"id": ""`, 1),
		"a user of controls":    strings.Replace(good, `"id": "a9c8d1"`, `"id": "\u001b[2J"`, 1),
		"a user who is long":    strings.Replace(good, `a9c8d1`, strings.Repeat("x", 600), 1),
		"user twice":            says(validated, "2026-11-21T10:30:00Z", `,"user":{"id":"root"}`),
		"a project of a list":   strings.Replace(good, `"id": "p1"`, `"id": ["p1","p2"]`, 1),
		"a project of nothing":  strings.Replace(good, `"id": "p1"`, `"id": ""`, 1),
		"a project with no id":  strings.Replace(good, `"id": "p1"`, `"x": "p1"`, 1),
		"roles that are words":  strings.Replace(good, `{"id": "9fe2ff", "name": "reader"}`, `"admin"`, 1),
		"a role of a number":    strings.Replace(good, `"name": "reader"`, `"name": 7`, 1),
		"no end":                strings.Replace(good, `"expires_at"`, `"expires"`, 1),
		"an end that is a word": says(validated, "soon", ""),
		"an end that is null":   strings.Replace(good, `"2026-11-21T10:30:00Z"`, "null", 1),
		"deep":                  says(validated, "2026-11-21T10:30:00Z", `,"x":`+deep),
		"huge":                  says(validated, "2026-11-21T10:30:00Z", `,"x":"`+strings.Repeat("x", 2<<20)+`"`),
		"no UTF-8":              strings.Replace(good, "ann", "\xff", 1),
	} {
		c, at, log := newCloud(t), newClock(), []string{}
		k := c.asked(at, &log)
		c.says("gAAAAABodd", body)
		c.issue("gAAAAABann", "")
		who, project, _, err := k.Verify(t.Context(), "gAAAAABodd")
		if err != identity.ErrKeystoneUnavailable || who.Known() || project != "" || len(log) != 1 || strings.Contains(log[0], "gAAAAAB") {
			t.Errorf("%s: %+v of %q, %v, %q", name, who, project, err, log)
		}
		if _, _, _, err := k.Verify(t.Context(), "gAAAAABann"); err != nil {
			t.Errorf("%s: another token: %v", name, err)
		}
	}

	subject := func(token string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Subject-Token", token)
			w.Header().Set("Location", "http://"+r.Host+"/identity/v3/auth/tokens?nocatalog")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(good))
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"of another token":    subject("gAAAAABann", http.StatusOK),
		"of no token":         func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(good)) },
		"a redirect":          subject("gAAAAABodd", http.StatusFound),
		"another 2xx":         subject("gAAAAABodd", http.StatusAccepted),
		"forbidden":           subject("gAAAAABodd", http.StatusForbidden),
		"broken":              subject("gAAAAABodd", http.StatusInternalServerError),
		"headers without end": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"away, it seems":      subject("gAAAAABodd", http.StatusServiceUnavailable),
		"too many questions":  subject("gAAAAABodd", http.StatusTooManyRequests),
		"broken off":          func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"broken off in itself": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = w.Write([]byte("{"))
		},
	} {
		c, at, log := newCloud(t), newClock(), []string{}
		k := c.asked(at, &log)
		c.on("gAAAAABodd", answer)
		c.issue("gAAAAABann", "")
		who, _, _, err := k.Verify(t.Context(), "gAAAAABodd")
		if err != identity.ErrKeystoneUnavailable || who.Known() || len(log) != 1 || c.questions.Load() > 2 {
			t.Errorf("%s: %+v, %v, %q after %d questions", name, who, err, log, c.questions.Load())
		}
		if _, _, _, err := k.Verify(t.Context(), "gAAAAABann"); err != nil {
			t.Errorf("%s: another token: %v", name, err)
		}
	}
}

func TestKeystoneThatIsAwayIsLeftAlone(t *testing.T) {
	for name, closes := range map[string]bool{"it does not listen": true, "its proxy says so": false} {
		c, at, log := newCloud(t), newClock(), []string{}
		c.issue("gAAAAABann", "")
		k := c.asked(at, &log)
		if _, _, _, err := k.Verify(t.Context(), "gAAAAABann"); err != nil {
			t.Fatal(err)
		}
		if c.away.Store(true); closes {
			c.Close()
		}
		for i := range 100 {
			if _, _, _, err := k.Verify(t.Context(), fmt.Sprint("gAAAAAB", i)); err != identity.ErrKeystoneUnavailable {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if _, _, _, err := k.Verify(t.Context(), "gAAAAABann"); err != nil {
			t.Errorf("%s: a token that is remembered: %v", name, err)
		}
		if n := c.questions.Load(); n > 3 || len(log) != 1 { // about the first, about another, and whether it is away
			t.Errorf("%s: %d questions, %q", name, n, log)
		}
		if closes {
			continue
		}
		c.away.Store(false)
		at.forward(identity.AskRest)
		c.issue("gAAAAABnew", "")
		if _, _, _, err := k.Verify(t.Context(), "gAAAAABnew"); err != nil || len(log) != 2 {
			t.Errorf("%s: when it is back: %v, %q", name, err, log)
		}
	}
}

func TestTokensThatAreNoneOfKeystonesAreNotAskedAbout(t *testing.T) {
	c, log := newCloud(t), []string{}
	k := c.asked(newClock(), &log)
	for _, token := range []string{"", " ", "a b", "a\r\nX-Subject-Token: b", "a\x00", "é", "a,b", strings.Repeat("a", identity.MaxKeystoneTokenLen+1)} {
		if _, _, _, err := k.Verify(t.Context(), token); err == nil || err == identity.ErrKeystoneUnavailable {
			t.Errorf("%.20q: %v", token, err)
		}
	}
	if n := c.questions.Load(); n != 0 || len(log) > 0 {
		t.Errorf("%d questions, %q", n, log)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	for token, want := range map[string]bool{
		"gAAAAABf0o_x-Y=":                  true, // Fernet
		"0123456789abcdef0123456789abcdef": true, // UUID
		b64([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + b64([]byte(`{"sub":"u","openstack_methods":["password"]}`)) + ".c2ln": true,
		unsigned(claims("")): false,
		"a.b.c":              false,
		"a.bm90IEpTT04.c":    false,
		"..":                 false,
	} {
		if got := k.Issued(token); got != want {
			t.Errorf("%.40q: %t", token, got)
		}
	}
}

func TestTokensThatNameNoProjectOrAreForOtherServicesGiveNone(t *testing.T) {
	c, log := newCloud(t), []string{}
	k := c.asked(newClock(), &log)
	unscoped := strings.Replace(fmt.Sprintf(validated, "2026-11-21T10:30:00Z", ""), `"project": {"domain": {"id": "default", "name": "Default"}, "id": "p1", "name": "demo"}`, `"system": {"all": true}`, 1)
	c.says("gAAAAABsystem", unscoped)
	if who, project, _, err := k.Verify(t.Context(), "gAAAAABsystem"); err != nil || project != "" || !who.Known() {
		t.Errorf("of the system: %+v of %q, %v", who, project, err)
	}
	c.issue("gAAAAABrules", `,"application_credential":{"id":"ac","name":"robot","restricted":true,"access_rules":[{"id":"1","service":"compute","method":"GET","path":"/v2.1/servers"}]}`)
	if who, _, _, err := k.Verify(t.Context(), "gAAAAABrules"); err == nil || err == identity.ErrKeystoneUnavailable || who.Known() {
		t.Errorf("with access rules: %+v, %v", who, err)
	}
	c.issue("gAAAAABcredential", `,"application_credential":{"id":"ac","name":"robot","restricted":true}`)
	if _, project, _, err := k.Verify(t.Context(), "gAAAAABcredential"); err != nil || project != "p1" {
		t.Errorf("of an application credential: %q, %v", project, err)
	}
}

func TestManyWhoAskAboutOneTokenMakeOneQuestion(t *testing.T) {
	c, log := newCloud(t), []string{}
	c.issue("gAAAAABann", "")
	c.mu.Lock()
	answer, hold := c.answers["gAAAAABann"], make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	c.answers["gAAAAABann"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-hold; answer.ServeHTTP(w, r) })
	c.mu.Unlock()
	k := c.asked(newClock(), &log)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, _, _, err := k.Verify(t.Context(), "gAAAAABann"); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, "a question", func() bool { return c.questions.Load() > 0 })
	release()
	all.Wait()
	if n := c.questions.Load(); n != 1 {
		t.Errorf("%d questions, want 1", n)
	}
}

// AUDITGATE_KEYSTONE names a real one, where this user may log in to this project:
// https://keystone.example.org:5000/v3 demo alice secret.
func TestRealKeystoneTellsAboutItsTokens(t *testing.T) {
	var at, project, user, password string
	if n, _ := fmt.Sscan(os.Getenv("AUDITGATE_KEYSTONE"), &at, &project, &user, &password); n != 4 {
		t.Skip("AUDITGATE_KEYSTONE is not set")
	}
	do := func(method, body string, headers ...string) *http.Response {
		req := must(http.NewRequestWithContext(t.Context(), method, at+"/auth/tokens", strings.NewReader(body)))
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res := must(http.DefaultClient.Do(req))
		_ = res.Body.Close()
		return res
	}
	login := func(scope string) string {
		res := do(http.MethodPost, fmt.Sprintf(`{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":%q,"domain":{"id":"default"},"password":%q}}}%s}}`, user, password, scope))
		if res.StatusCode != http.StatusCreated {
			t.Fatal("logging in: ", res.Status)
		}
		return res.Header.Get("X-Subject-Token")
	}
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	k := identity.NewKeystone(at, c.Now, func(msg string, err error) { t.Error(msg, err) })
	token := login(fmt.Sprintf(`,"scope":{"project":{"name":%q,"domain":{"id":"default"}}}`, project))
	who, id, expires, err := k.Verify(t.Context(), token)
	if err != nil || who.UserName != user || id == "" || len(who.UserRoles) == 0 || !expires.After(time.Now()) {
		t.Errorf("%+v of %q until %s, %v", who, id, expires, err)
	}
	t.Logf("%+v of %q until %s", who, id, expires)
	if who, id, _, err := k.Verify(t.Context(), login(`,"scope":"unscoped"`)); err != nil || who.UserName != user || id != "" {
		t.Errorf("unscoped: %+v of %q, %v", who, id, err)
	}
	for _, bad := range []string{token[:len(token)-4], token + "A", "gAAAAAB" + strings.Repeat("x", 200), strings.Repeat("0", 32), strings.Repeat("a", identity.MaxKeystoneTokenLen)} {
		if who, _, _, err := k.Verify(t.Context(), bad); err == nil || err == identity.ErrKeystoneUnavailable {
			t.Errorf("a token that is none: %+v, %v", who, err)
		}
	}
	if res := do(http.MethodDelete, "", "X-Auth-Token", token, "X-Subject-Token", token); res.StatusCode != http.StatusNoContent {
		t.Fatal("revoking: ", res.Status)
	}
	c.forward(identity.KeystoneCache)
	if who, _, _, err := k.Verify(t.Context(), token); err == nil || err == identity.ErrKeystoneUnavailable {
		t.Errorf("a revoked token: %+v, %v", who, err)
	}
}
