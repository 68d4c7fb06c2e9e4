package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/auditgate/auditgate/record"
)

// authority issues tokens and publishes its keys.
type authority struct {
	*httptest.Server
	key     *ecdsa.PrivateKey
	id      string
	fetches atomic.Int64
	down    atomic.Bool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, id: "one"}
	b64 := base64.RawURLEncoding.EncodeToString
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "kid": a.id, "use": "sig", "x": b64(point[1:33]), "y": b64(point[33:]),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a.fetches.Add(1)
		if a.down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(set)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *authority) issue(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	claims["exp"], claims["aud"] = time.Now().Add(time.Hour).Unix(), "audit"
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = a.id
	signed, err := token.SignedString(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// as makes a call with these headers, and returns its record.
func (g *gateway) as(t *testing.T, method, path, body string, header ...string) *record.Record {
	t.Helper()
	id := fmt.Sprintf("as-%d", time.Now().UnixNano())
	req, err := http.NewRequestWithContext(t.Context(), method, g.traffic+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Correlation-Id", id)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := g.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return g.recordOf(id)
}

func TestIdentityBlockSaysWhoIsBelieved(t *testing.T) {
	issuer := newAuthority(t)
	for name, trusted := range map[string]bool{"the peer is a trusted proxy": true, "the peer is anybody": false} {
		t.Run(name, func(t *testing.T) {
			component := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Seen", r.Header.Get("X-User-Id"))
			}))
			t.Cleanup(component.Close)
			g := newGateway(t)
			servers := ""
			if trusted {
				servers = "\tservers {\n\t\ttrusted_proxies static 127.0.0.0/8\n\t}\n"
			}
			g.write(fmt.Sprintf(`%s {
	audit_capture nova {
		identity {
			jwt {
				jwks_url %s
				audience audit
			}
			header X-User-Id X-User-Email
		}
	}
	reverse_proxy %s
}
`, g.traffic, issuer.URL, component.URL))
			config, err := os.ReadFile(g.config)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(config), "\tauto_https off\n", "\tauto_https off\n"+servers, 1)
			if err := os.WriteFile(g.config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			g.start()
			g.bearer = g.token("auditor")

			good := issuer.issue(t, jwt.MapClaims{"sub": "ann", "name": "Ann", "project_id": "p1", "roles": []string{"member"}})
			r := g.as(t, "GET", "/", "", "Authorization", "Bearer "+good, "X-User-Id", "eve")
			if r.UserID != "ann" || r.AuthMethod != "jwt" || !r.AuthVerified || r.Project != "p1" || len(r.UserRoles) != 1 {
				t.Errorf("a good token: %+v, project %q", r.Actor, r.Project)
			}
			if seen := r.ResponseHeaders.Get("X-Seen"); seen != "eve" {
				t.Errorf("the component saw %q in a header that is not ours to change", seen)
			}
			if again := g.as(t, "GET", "/", "", "X-Auth-Token", good); again.TokenID != r.TokenID || again.UserID != "ann" || !strings.HasPrefix(r.TokenID, "hmac:") {
				t.Errorf("the same token in another header: %+v, then %+v", r.Actor, again.Actor)
			}

			forged := strings.TrimRight(good[:len(good)-8], "=") + "AAAAAAAA"
			if r := g.as(t, "GET", "/", "", "Authorization", "Bearer "+forged); r.Known() || r.TokenID == "" || r.Project != "" {
				t.Errorf("a forged token: %+v, project %q", r.Actor, r.Project)
			}

			r = g.as(t, "GET", "/", "", "X-User-Id", "eve", "X-User-Email", "eve@example.org")
			switch {
			case trusted && (r.UserID != "eve" || r.UserEmail != "eve@example.org" || r.AuthMethod != "header" || !r.AuthVerified):
				t.Errorf("headers of a trusted proxy: %+v", r.Actor)
			case !trusted && r.Known():
				t.Errorf("a spoofed header became an identity: %+v", r.Actor)
			}
		})
	}
}

// gateway starts a gateway whose API takes the tokens that a issues.
func (a *authority) gateway(t *testing.T) *gateway {
	t.Helper()
	g := newGateway(t)
	g.write("")
	config, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	api := "audit_api {\n\t\tjwt {\n\t\t\tjwks_url " + a.URL + "\n\t\t\taudience audit\n\t\t}\n\t}"
	if err := os.WriteFile(g.config, []byte(strings.Replace(string(config), "audit_api", api, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start()
	return g
}

// The keys of the API come over the network: they outlive a reload while their
// issuer is away.
func TestPublishedKeysOutliveAReload(t *testing.T) {
	issuer := newAuthority(t)
	g := issuer.gateway(t)
	good := issuer.issue(t, jwt.MapClaims{"sub": "dora", "roles": []string{"auditor"}, "projects": "*"})
	g.bearer = good
	g.page(url.Values{})
	issuer.down.Store(true)
	for range 3 {
		if err := g.reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		g.page(url.Values{})
	}
	if n := issuer.fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times, want once", n)
	}
}

func TestKeysThatCannotBeHadAreNoFaultOfTheToken(t *testing.T) {
	issuer := newAuthority(t)
	issuer.down.Store(true)
	g := issuer.gateway(t)
	g.bearer = issuer.issue(t, jwt.MapClaims{"sub": "dora", "roles": []string{"auditor"}, "projects": "*"})
	if status, body, err := g.ask("/v1/-/logs"); status != http.StatusServiceUnavailable || err != nil || !strings.Contains(string(body), "keys-unavailable") {
		t.Errorf("%d %s %v", status, body, err)
	}
}
