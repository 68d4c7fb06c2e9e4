package identity_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

func TestTokensAreThoseOfTheCaller(t *testing.T) {
	for name, tc := range map[string]struct {
		headers http.Header
		want    []string
	}{
		"none":                      {http.Header{}, nil},
		"bearer":                    {http.Header{"Authorization": {"bearer  a "}}, []string{"a"}},
		"Keystone's":                {http.Header{"X-Auth-Token": {"a"}}, []string{"a"}},
		"Swift's":                   {http.Header{"X-Storage-Token": {"a"}}, []string{"a"}},
		"Swift's beside Keystone's": {http.Header{"X-Storage-Token": {"a"}, "X-Auth-Token": {"b"}}, []string{"b"}},
		"Swift's beside nothing":    {http.Header{"X-Storage-Token": {"a"}, "X-Auth-Token": {""}}, []string{"a"}},
		"with underscores":          {http.Header{http.CanonicalHeaderKey("X_Auth_Token"): {"a"}}, []string{"a"}},
		"with one of either":        {http.Header{http.CanonicalHeaderKey("x-auth_token"): {"a"}, http.CanonicalHeaderKey("x_auth-token"): {"b"}}, []string{"a", "b"}},
		"Swift's with underscores":  {http.Header{http.CanonicalHeaderKey("X_STORAGE_TOKEN"): {"a"}}, []string{"a"}},
		"both ways of writing it":   {http.Header{"X-Auth-Token": {"a"}, "X_auth_token": {"b"}}, []string{"a", "b"}},
		"what the call is about":    {http.Header{"X-Subject-Token": {"a"}}, nil},
		"another scheme":            {http.Header{"Authorization": {"Basic a"}}, nil},
		"no scheme":                 {http.Header{"Authorization": {"a"}}, nil},
		"twice the same":            {http.Header{"Authorization": {"Bearer a"}, "X-Auth-Token": {"a"}}, []string{"a"}},
		"two":                       {http.Header{"Authorization": {"Bearer a"}, "X-Auth-Token": {"b"}}, []string{"a", "b"}},
		"empty":                     {http.Header{"Authorization": {"Bearer "}, "X-Auth-Token": {" "}}, nil},
		"more than anybody sends":   {http.Header{"X-Auth-Token": {"a", "b", "c", "d", "e"}}, []string{"a", "b", "c", "d"}},
		"junk before the other":     {http.Header{"Authorization": {"Bearer a", "Bearer b", "Bearer c", "Bearer d"}, "X-Auth-Token": {"e"}}, []string{"a", "b", "c", "e"}},
		"junk in both":              {http.Header{"Authorization": {"Bearer a", "Bearer b", "Bearer c"}, "X-Auth-Token": {"d", "e", "f"}}, []string{"a", "b", "d", "e"}},
		"a scheme and two tokens":   {http.Header{"Authorization": {"Bearer a", "Bearer b"}}, []string{"a", "b"}},
		"a token among other words": {http.Header{"Authorization": {"Basic x", "Bearer b"}}, []string{"b"}},
	} {
		if got := identity.TokensOf(tc.headers); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestFirstMethodThatKnowsSomebodyWins(t *testing.T) {
	v := newVerifier(t, func(c *identity.VerifierConfig) { c.HMACSecret = secret })
	hs := func(claims string) string { return sign(`{"alg":"HS256"}`, claims, jwt.SigningMethodHS256, secret) }
	good := hs(claims(`,"name":"Ann","project_id":"p1"`))
	other := hs(`{"sub":"u2","aud":"auditgate","iss":"https://id.example.com","exp":1900000000}`)
	forged := unsigned(claims(`,"name":"Mallory"`))
	tokens := func(raw ...string) (list []identity.Token) {
		for _, token := range raw {
			list = append(list, identity.Token{Raw: token, ID: "id of " + token})
		}
		return list
	}
	server := record.Actor{UserID: "bob", AuthMethod: "caddy", AuthVerified: true}
	certificate := &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}}
	headers := record.Headers{{Name: "X-User-Id", Value: "eve"}, {Name: "X-User-Email", Value: "eve@example.org"}}
	header := identity.Header("X-User-Id", "X-User-Email")

	for name, tc := range map[string]struct {
		methods                      identity.Methods
		evidence                     identity.Evidence
		user, method, project, token string
	}{
		"nothing":                      {methods: identity.Default()},
		"a token of nobody":            {methods: identity.Default(), evidence: identity.Evidence{Tokens: tokens("opaque")}, token: "opaque"},
		"the server":                   {methods: identity.Default(), evidence: identity.Evidence{Server: server, Certificate: certificate, Tokens: tokens(forged)}, user: "bob", method: "caddy", token: forged},
		"a certificate":                {methods: identity.Default(), evidence: identity.Evidence{Certificate: certificate, Tokens: tokens(forged)}, user: "CN=alice", method: "mtls", token: forged},
		"claims":                       {methods: identity.Default(), evidence: identity.Evidence{Tokens: tokens("opaque", forged)}, user: "u1", method: "jwt", token: forged},
		"the order as written":         {methods: identity.Methods{identity.Certificate, identity.Server}, evidence: identity.Evidence{Server: server, Certificate: certificate}, user: "CN=alice", method: "mtls"},
		"a verified token":             {methods: identity.Methods{identity.Verified(v)}, evidence: identity.Evidence{Tokens: tokens("opaque", good)}, user: "u1", method: "jwt", project: "p1", token: good},
		"a forged token":               {methods: identity.Methods{identity.Verified(v)}, evidence: identity.Evidence{Tokens: tokens(forged)}, token: forged},
		"a forged one beside a good":   {methods: identity.Methods{identity.Verified(v)}, evidence: identity.Evidence{Tokens: tokens(forged, good)}, user: "u1", method: "jwt", project: "p1", token: good},
		"two tokens of two people":     {methods: identity.Methods{identity.Verified(v)}, evidence: identity.Evidence{Tokens: tokens(good, other)}, token: good},
		"headers of a trusted proxy":   {methods: identity.Methods{header}, evidence: identity.Evidence{Trusted: true, Headers: headers}, user: "eve", method: "header"},
		"headers of anybody":           {methods: identity.Methods{header}, evidence: identity.Evidence{Headers: headers}},
		"headers that come twice":      {methods: identity.Methods{header}, evidence: identity.Evidence{Trusted: true, Headers: append(headers, headers...)}},
		"headers with control letters": {methods: identity.Methods{header}, evidence: identity.Evidence{Trusted: true, Headers: record.Headers{{Name: "X-User-Id", Value: "eve\x1b[2J"}}}},
		"an e-mail address alone":      {methods: identity.Methods{header}, evidence: identity.Evidence{Trusted: true, Headers: headers[1:]}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.evidence.At = now
			who, pending := tc.methods.Who(t.Context(), &tc.evidence, identity.Wait)
			id := tc.token
			if id != "" {
				id = "id of " + id
			}
			if who.Disputed != (name == "two tokens of two people") {
				t.Errorf("disputed: %t", who.Disputed)
			}
			if pending || who.UserID != tc.user || who.AuthMethod != tc.method || who.Project != tc.project || who.TokenID != id {
				t.Errorf("got %+v, pending %t", who, pending)
			}
		})
	}
}

// A call is judged by the time when it began: a stream outlives its token.
func TestTokenIsGoodForTheCallThatItBegan(t *testing.T) {
	v := newVerifier(t, func(c *identity.VerifierConfig) { c.HMACSecret = secret })
	token := identity.Token{ID: "id", Raw: sign(`{"alg":"HS256"}`, `{"sub":"u1","aud":"auditgate","iss":"https://id.example.com","exp":1795255200}`, jwt.SigningMethodHS256, secret)}
	for at, known := range map[time.Time]bool{
		time.Unix(1795255199, 0): true, time.Unix(1795255200, 0): false, time.Unix(1795258800, 0): false,
	} {
		who, _ := identity.Methods{identity.Verified(v)}.Who(t.Context(), &identity.Evidence{At: at, Tokens: []identity.Token{token}}, identity.Wait)
		if who.Known() != known {
			t.Errorf("at %s: %+v", at, who)
		}
	}
}

func TestKeysOverTheNetworkAreWaitedForOnlyWhenThatIsAskedFor(t *testing.T) {
	i, c, key := newIssuer(t), newClock(), newKey()
	i.publish(public("one", key))
	methods := identity.Methods{identity.Verified(i.watching(t, c)), identity.Claims}
	e := &identity.Evidence{At: now, Tokens: []identity.Token{{Raw: lasting("one", key), ID: "id"}}}
	if _, pending := methods.Who(t.Context(), e, identity.Probe); !pending {
		t.Error("it was not said that the answer is pending")
	}
	if who, pending := methods.Who(t.Context(), e, identity.Wait); pending || !who.AuthVerified {
		t.Errorf("after waiting: %+v, pending %t", who, pending)
	}
	if who, pending := methods.Who(t.Context(), e, identity.Probe); pending || !who.AuthVerified {
		t.Errorf("once the keys are there: %+v, pending %t", who, pending)
	}
}
