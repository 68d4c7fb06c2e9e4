package bench_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// caller is one way of knowing who made a call, and a token for it.
type caller struct {
	name    string
	methods identity.Methods
	token   string
	known   bool
}

// callers fill the book with what a login has taught.
func callers(b *testing.B, redactor *redact.Redactor, book *identity.Book) []caller {
	b.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &rsaKey.PublicKey, KeyID: "r"}, {Key: &ecKey.PublicKey, KeyID: "e"}}})
	if err != nil {
		b.Fatal(err)
	}
	verifier, err := identity.NewVerifier(identity.VerifierConfig{JWKS: set, Audience: []string{"nova"}, Issuer: "https://id.example.com/realms/main"})
	if err != nil {
		b.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, id string, key any, ttl time.Duration) string {
		token := jwt.NewWithClaims(method, jwt.MapClaims{
			"iss": "https://id.example.com/realms/main", "sub": "0190aa4e-8d64-7cc8-9ba5-4ff5f7d17b1f", "aud": []string{"nova", "account"},
			"exp": time.Now().Add(ttl).Unix(), "iat": time.Now().Unix(), "jti": "c2ad4f5b", "azp": "dashboard", "scope": "openid email profile",
			"name": "Ann Example", "preferred_username": "ann", "email": "ann@example.com", "roles": []string{"member", "reader"}, "project_id": "p1",
		})
		token.Header["kid"] = id
		signed, err := token.SignedString(key)
		if err != nil {
			b.Fatal(err)
		}
		return signed
	}
	opaque := "gAAAAA" + strings.Repeat("x", 180)
	book.Learn(identity.Learned{ID: redactor.Value([]byte(opaque)), UserID: "u1", UserName: "ann", Project: "p1", Expires: time.Now().Add(time.Hour)})
	for i := range 10_000 { // others
		book.Learn(identity.Learned{ID: redactor.Value(fmt.Append(nil, i)), UserID: fmt.Sprint("u", i), Expires: time.Now().Add(time.Hour)})
	}
	verified := identity.Methods{identity.Verified(verifier)}
	return []caller{
		{"a token of nobody", identity.Methods{}, opaque, false},
		{"claims", identity.Methods{identity.Claims}, sign(jwt.SigningMethodRS256, "r", rsaKey, time.Hour), true},
		{"jwt", verified, sign(jwt.SigningMethodRS256, "r", rsaKey, time.Hour), true},
		// A token that ends within the minute is checked anew each time.
		{"jwt, checked, RS256", verified, sign(jwt.SigningMethodRS256, "r", rsaKey, 55*time.Second), true},
		{"jwt, checked, ES256", verified, sign(jwt.SigningMethodES256, "e", ecKey, 55*time.Second), true},
		{"learned", identity.Methods{identity.FromBook}, opaque, true},
		{"learned, in the default order", identity.Default(), opaque, true},
	}
}

// BenchmarkWho finds out who made a call, its token's id included.
func BenchmarkWho(b *testing.B) {
	redactor, book := newRedactor(b), identity.NewBook(nil)
	for _, c := range callers(b, redactor, book) {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e := identity.Evidence{At: time.Now(), Book: book, Tokens: []identity.Token{{Raw: c.token, ID: redactor.Value([]byte(c.token))}}}
				if who, _ := c.methods.Who(context.Background(), &e, identity.Wait); who.Known() != c.known {
					b.Fatalf("%+v", who)
				}
			}
		})
	}
}

// namers are ways of naming the call POST /api/orders.
func namers(b *testing.B) map[string]*naming.Namer {
	b.Helper()
	var rules []naming.Rule
	for _, noun := range []string{"user", "group", "image", "volume", "network", "port", "router", "stack", "key", "order"} {
		rules = append(rules, naming.Rule{
			Name: noun + ".create", Matches: []naming.Match{{Method: "POST", Path: "/api/" + noun + "s"}}, Description: "Create " + noun + " {audit.req.json./request_id}",
			Objects: []naming.Object{{Type: noun, ID: "{audit.res.json./items/0/id}", Name: "{audit.req.json./items/0/customer}"}},
		})
	}
	var document strings.Builder
	document.WriteString(`{"openapi":"3.0.3","info":{"title":"x","version":"1"},"paths":{"/api/orders":{"post":{"operationId":"order.create","summary":"Create an order","responses":{"200":{"description":"x"}}}}`)
	for i := range 200 {
		fmt.Fprintf(&document, `,"/api/things%d/{thing_id}":{"get":{"operationId":"thing%d.show","parameters":[{"name":"thing_id","in":"path","required":true,"schema":{"type":"string"}}],"responses":{"200":{"description":"x"}}}}`, i, i)
	}
	document.WriteString("}}")
	documented, err := naming.OpenAPI([]byte(document.String()))
	if err != nil {
		b.Fatal(err)
	}
	all := make(map[string]*naming.Namer)
	for name, rules := range map[string][]naming.Rule{"10 rules": rules, "openapi": documented} {
		if all[name], err = naming.New(rules); err != nil {
			b.Fatal(err)
		}
	}
	return all
}

// BenchmarkName says what a call does.
func BenchmarkName(b *testing.B) {
	t := newTraffic()
	r := &record.Record{Method: http.MethodPost, URI: "/api/orders", Success: record.SuccessYes}
	r.RequestBody.Content, r.ResponseBody.Content = t.body(requestSize), t.body(responseSize)
	for name, n := range namers(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n.Name(r, naming.Call{}); r.Action != "order.create" {
					b.Fatal(r.Action)
				}
			}
		})
	}
}

// BenchmarkCall is a call from tap to finished record, with one thing more each time:
// what identity and naming add to the CPU of all the rest.
func BenchmarkCall(b *testing.B) {
	t := newTraffic()
	request, response := string(t.body(requestSize)), t.body(responseSize)
	redactor := newRedactor(b)
	run := func(name string, c caller, namer *naming.Namer) {
		b.Run(name, func(b *testing.B) {
			pipeline := capture.NewPipeline(capture.NewBudget(1<<30), slog.New(slog.DiscardHandler))
			rules := &capture.Rules{Source: "shop", RequestBody: 64 << 10, ResponseBody: 64 << 10, Redactor: redactor, Identity: c.methods, Namer: namer}
			if strings.HasPrefix(c.name, "learned") {
				pipeline.Book().Learn(identity.Learned{ID: redactor.Value([]byte(c.token)), UserID: "u1", UserName: "ann", Expires: time.Now().Add(time.Hour)})
			}
			done := make(chan struct{}, 1)
			b.ReportAllocs()
			before, n := cpu(), 0
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/api/orders?page=7", strings.NewReader(request))
				r.Header = http.Header{
					"Accept": {"application/json"}, "Content-Type": {"application/json"}, "User-Agent": {"shop-client/3.1"}, "X-Auth-Token": {c.token},
				}
				x := pipeline.Begin(&discard{header: make(http.Header)}, r, capture.Call{Rules: rules, Ledger: nowhere{}, Release: func() { done <- struct{}{} }})
				_, _ = io.Copy(io.Discard, r.Body)
				x.Writer().Header().Set("Content-Type", "application/json")
				_, _ = x.Writer().Write(response)
				x.End(capture.Ending{})
				<-done
				n++
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(n), "µs-cpu/call")
			_ = pipeline.Close(context.Background())
		})
	}
	all := callers(b, redactor, identity.NewBook(nil))
	for _, c := range all {
		run(c.name, c, nil)
	}
	for name, n := range namers(b) {
		run(name, all[0], n)
	}
}
