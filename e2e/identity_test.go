package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/auditgate/auditgate/record"
)

// issue makes a certificate of a new key, signed by parent, or by itself where
// parent is nil.
func issue(t *testing.T, name string, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, EmailAddresses: []string{name + "@example.org"},
		BasicConstraintsValid: true, IsCA: parent == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signer, signKey := template, any(key)
	if parent != nil {
		signer, signKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// file writes a PEM block and returns the file's name.
func file(t *testing.T, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestActorIsKnownByCertificatePasswordOrClaim(t *testing.T) {
	g := newGateway(t)
	authority := issue(t, "authority", nil)
	server, client := issue(t, "server", &authority), issue(t, "alice", &authority)
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	secure := "localhost:" + port // by name: Caddy wants that of the TLS connection where it asks for certificates
	g.write(fmt.Sprintf(`https://%s {
	tls %s %s {
		client_auth {
			mode verify_if_given
			trust_pool file %s
		}
	}
	audit_capture nova
	handle /private {
		basic_auth {
			bob $2a$04$i0nNRw7KpGvbWAyhJ.0pFO
		}
		respond "hello"
	}
	respond "hello"
}
`, secure, file(t, g.dir, "cert.pem", "CERTIFICATE", server.Certificate[0]), file(t, g.dir, "key.pem", "PRIVATE KEY", key),
		file(t, g.dir, "ca.pem", "CERTIFICATE", authority.Certificate[0])))
	config, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := g.command("hash-password", "--algorithm", "bcrypt", "--bcrypt-cost", "4", "--plaintext", "hello").Output()
	if err != nil {
		t.Fatal(err)
	}
	content := strings.Replace(string(config), "$2a$04$i0nNRw7KpGvbWAyhJ.0pFO", strings.TrimSpace(string(hash)), 1)
	if err := os.WriteFile(g.config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start()
	g.bearer = g.token("auditor")

	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	call := func(id, path string, certificates []tls.Certificate, change func(*http.Request)) *record.Record {
		t.Helper()
		c := &http.Client{Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: pool, Certificates: certificates, NextProtos: []string{"h2", "http/1.1"}},
			ForceAttemptHTTP2: true,
		}}
		defer c.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+secure+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Correlation-Id", id)
		change(req)
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return g.withHeader(t, "X-Correlation-Id", id)
	}
	nothing := func(*http.Request) {}

	r := call("certificate", "/", []tls.Certificate{client}, nothing)
	if r.AuthMethod != "mtls" || !r.AuthVerified || r.UserName != "alice" || r.UserEmail != "alice@example.org" || r.Protocol != "HTTP/2.0" {
		t.Errorf("by certificate: %+v, %s", r.Actor, r.Protocol)
	}
	r = call("password", "/private", []tls.Certificate{client}, func(req *http.Request) { req.SetBasicAuth("bob", "hello") })
	if r.AuthMethod != "caddy" || !r.AuthVerified || r.UserID != "bob" {
		t.Errorf("by password: %+v", r.Actor)
	}
	r = call("wrong", "/private", nil, func(req *http.Request) { req.SetBasicAuth("bob", "wrong") })
	if r.Known() || r.Status != http.StatusUnauthorized {
		t.Errorf("by a wrong password: %+v, %d", r.Actor, r.Status)
	}
	r = call("claim", "/", nil, func(req *http.Request) {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "carol", "email": "carol@example.org"}).SignedString([]byte("k"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	})
	if r.AuthMethod != "jwt" || r.AuthVerified || r.UserID != "carol" || r.UserEmail != "carol@example.org" {
		t.Errorf("by claim: %+v", r.Actor)
	}
}

func TestTokensOfAnIssuerAreAccepted(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(claims jwt.MapClaims) string {
		claims["exp"] = time.Now().Add(time.Hour).Unix()
		claims["aud"], claims["sub"], claims["tenants"] = "audit", "dora", "*"
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
		token.Header["kid"] = "one"
		signed, err := token.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "kid": "one", "alg": "RS256", "use": "sig",
		"n": base64.RawURLEncoding.EncodeToString(private.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(private.E)).Bytes()),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(keys, set, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"public_key " + file(t, dir, "issuer.pem", "PUBLIC KEY", public), "jwks_file " + keys} {
		g := newGateway(t)
		g.write("")
		config, err := os.ReadFile(g.config)
		if err != nil {
			t.Fatal(err)
		}
		api := "audit_api {\n\t\tjwt {\n\t\t\t" + key + "\n\t\t\taudience audit\n\t\t\trequire amr mfa\n\t\t}\n" +
			"\t\troles_claim realm.roles\n\t\trole auditor reader\n\t\tprojects_claim tenants\n\t}"
		if err := os.WriteFile(g.config, []byte(strings.Replace(string(config), "audit_api", api, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		g.start()
		role := map[string]any{"roles": []string{"reader"}}
		g.bearer = sign(jwt.MapClaims{"realm": role, "amr": []string{"pwd", "mfa"}})
		var who struct{ ID string }
		if err := json.Unmarshal(g.get("/v1/whoami"), &who); err != nil || who.ID != "dora" {
			t.Errorf("%s: the caller is %q, %v", key, who.ID, err)
		}
		g.bearer = sign(jwt.MapClaims{"realm": role, "amr": []string{"pwd"}})
		if status, body, err := g.ask("/v1/whoami"); status != http.StatusUnauthorized || err != nil {
			t.Errorf("%s: without a second factor: %d %s %v", key, status, body, err)
		}
		g.bearer = g.token("admin") // of the gateway's own key, which is not asked here
		if status, body, err := g.ask("/v1/whoami"); status != http.StatusUnauthorized || err != nil {
			t.Errorf("%s: with the gateway's own token: %d %s %v", key, status, body, err)
		}
	}
}
