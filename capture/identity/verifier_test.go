package identity_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

var (
	now    = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	secret = []byte("0123456789abcdef0123456789abcdef")
	rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey  = ed25519.NewKeyFromSeed(secret)
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func publicPEM(key crypto.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))})
}

func jwks(keys ...jose.JSONWebKey) []byte { return must(json.Marshal(jose.JSONWebKeySet{Keys: keys})) }

// sign makes a token of header and claims as they are written here.
func sign(header, claims string, method jwt.SigningMethod, key any) string {
	b64 := base64.RawURLEncoding.EncodeToString
	text := b64([]byte(header)) + "." + b64([]byte(claims))
	return text + "." + b64(must(method.Sign(text, key)))
}

// claims are good ones, with an expiry of their own.
func claims(more string) string {
	return fmt.Sprintf(`{"sub":"u1","aud":"auditgate","iss":"https://id.example.com","exp":%d%s}`, now.Add(time.Hour).Unix(), more)
}

func config(change func(*identity.VerifierConfig)) identity.VerifierConfig {
	c := identity.VerifierConfig{Audience: []string{"auditgate"}, Issuer: "https://id.example.com", Now: func() time.Time { return now }}
	change(&c)
	return c
}

func newVerifier(t *testing.T, change func(*identity.VerifierConfig)) *identity.Verifier {
	t.Helper()
	v, err := identity.NewVerifier(config(change))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGoodTokensOfEveryKindOfKeyAreAccepted(t *testing.T) {
	set := jwks(
		jose.JSONWebKey{Key: &rsaKey().PublicKey, KeyID: "r"},
		jose.JSONWebKey{Key: &ecKey().PublicKey, KeyID: "e", Use: "sig"},
		jose.JSONWebKey{Key: edKey.Public(), KeyID: "d", Algorithm: "EdDSA"},
		jose.JSONWebKey{Key: &must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).PublicKey, KeyID: "unused"},
	)
	tests := []struct {
		name   string
		change func(*identity.VerifierConfig)
		header string
		method jwt.SigningMethod
		key    any
	}{
		{"secret", func(c *identity.VerifierConfig) { c.HMACSecret = secret }, `{"alg":"HS256"}`, jwt.SigningMethodHS256, secret},
		{"own key", func(c *identity.VerifierConfig) { c.Key = edKey.Public().(ed25519.PublicKey) }, `{"alg":"EdDSA","kid":"whatever"}`, jwt.SigningMethodEdDSA, edKey},
		{"RSA", func(c *identity.VerifierConfig) { c.PublicKeyPEM = publicPEM(rsaKey().Public()) }, `{"alg":"RS256"}`, jwt.SigningMethodRS256, rsaKey()},
		{"RSA-PSS", func(c *identity.VerifierConfig) { c.PublicKeyPEM = publicPEM(rsaKey().Public()) }, `{"alg":"PS256"}`, jwt.SigningMethodPS256, rsaKey()},
		{"EC", func(c *identity.VerifierConfig) { c.PublicKeyPEM = publicPEM(ecKey().Public()) }, `{"alg":"ES256"}`, jwt.SigningMethodES256, ecKey()},
		{"Ed25519", func(c *identity.VerifierConfig) { c.PublicKeyPEM = publicPEM(edKey.Public()) }, `{"alg":"EdDSA"}`, jwt.SigningMethodEdDSA, edKey},
		{"set, key id", func(c *identity.VerifierConfig) { c.JWKS = set }, `{"alg":"ES256","kid":"e"}`, jwt.SigningMethodES256, ecKey()},
		{"set, no key id", func(c *identity.VerifierConfig) { c.JWKS = set }, `{"alg":"EdDSA"}`, jwt.SigningMethodEdDSA, edKey},
		{"a header that names keys elsewhere", func(c *identity.VerifierConfig) { c.JWKS = set }, `{"alg":"PS256","kid":"r","jku":"https://id.example.com/keys","x5u":"https://x"}`, jwt.SigningMethodPS256, rsaKey()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := sign(tt.header, claims(`,"name":"Ann","email":"ann@example.com","roles":["auditor"],"nbf":0,"iat":1`), tt.method, tt.key)
			actor, got, err := newVerifier(t, tt.change).Verify(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			want := record.Actor{UserID: "u1", UserName: "Ann", UserEmail: "ann@example.com", UserRoles: []string{"auditor"}, AuthMethod: "jwt", AuthVerified: true}
			if diff := cmp.Diff(want, actor); diff != "" {
				t.Errorf("actor (-want +got):\n%s", diff)
			}
			if got["iss"] != "https://id.example.com" {
				t.Errorf("claims are %v", got)
			}
		})
	}
}

func TestHostileTokensAreRefused(t *testing.T) {
	public := publicPEM(rsaKey().Public())
	set := jwks(jose.JSONWebKey{Key: &rsaKey().PublicKey, KeyID: "r"}, jose.JSONWebKey{Key: edKey.Public(), KeyID: "d", Algorithm: "EdDSA"})
	attacker := must(rsa.GenerateKey(rand.Reader, 2048))
	attackerJWK := string(must(json.Marshal(jose.JSONWebKey{Key: &attacker.PublicKey, KeyID: "r"})))

	const rs, hs, ed = `{"alg":"RS256"}`, `{"alg":"HS256"}`, `{"alg":"EdDSA"}`
	good := claims("")
	byRSA := func(header, claims string) string { return sign(header, claims, jwt.SigningMethodRS256, rsaKey()) }
	none := func(alg string) string {
		return sign(`{"alg":"`+alg+`"}`, good, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType)
	}
	goodRSA := byRSA(rs, good)
	parts := strings.Split(goodRSA, ".")
	exp := func(value string) string {
		return byRSA(rs, `{"sub":"u1","aud":"auditgate","iss":"https://id.example.com","exp":`+value+`}`)
	}

	asPEM := newVerifier(t, func(c *identity.VerifierConfig) { c.PublicKeyPEM = public; c.Leeway = 30 * time.Second })
	asSet := newVerifier(t, func(c *identity.VerifierConfig) { c.JWKS = set })
	asSecret := newVerifier(t, func(c *identity.VerifierConfig) { c.HMACSecret = secret })
	withMFA := newVerifier(t, func(c *identity.VerifierConfig) {
		c.PublicKeyPEM = public
		c.Require = []identity.Requirement{{Claim: "amr", Value: "mfa"}}
	})
	onlyPS := newVerifier(t, func(c *identity.VerifierConfig) { c.PublicKeyPEM = public; c.Algorithms = []string{"PS256"} })

	tests := []struct {
		name  string
		v     *identity.Verifier
		token string
		want  string // stands in the error
	}{
		{"empty", asPEM, "", "three parts"},
		{"one part", asPEM, "abc", "three parts"},
		{"two parts", asPEM, parts[0] + "." + parts[1], "three parts"},
		{"four parts", asPEM, goodRSA + ".x", "three parts"},
		{"many dots", asPEM, strings.Repeat(".", identity.MaxTokenLen), "three parts"},
		{"a mebibyte", asPEM, strings.Repeat("a", 1<<20), "at most"},
		{"a mebibyte of dots", asPEM, strings.Repeat(".", 1<<20), "at most"},

		{"alg none", asPEM, none("none"), "not signed"},
		{"alg None", asPEM, none("None"), "not signed"},
		{"alg nOnE", asPEM, none("nOnE"), "not signed"},
		{"alg NONE", asSecret, none("NONE"), "not signed"},
		{"alg empty", asPEM, none(""), "not signed"},
		{"alg missing", asPEM, byRSA(`{}`, good), "not signed"},
		{"alg no string", asPEM, byRSA(`{"alg":["RS256"]}`, good), "not signed"},
		{"alg none, old signature", asPEM, strings.Split(none("none"), ".")[0] + "." + parts[1] + "." + parts[2], "not signed"},
		{"signature missing", asPEM, parts[0] + "." + parts[1] + ".", "not signed"},
		{"signature of other claims", asPEM, parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(claims(`,"x":1`))) + "." + parts[2], "not signed"},
		{"HMAC keyed with the public key", asPEM, sign(hs, good, jwt.SigningMethodHS256, public), "not signed"},
		{"HMAC keyed with the key set", asSet, sign(hs, good, jwt.SigningMethodHS256, set), "not signed"},
		{"HMAC keyed with the raw Ed25519 key", asSet, sign(hs, good, jwt.SigningMethodHS256, []byte(edKey.Public().(ed25519.PublicKey))), "not signed"},
		{"HS512 with the right secret", asSecret, sign(`{"alg":"HS512"}`, good, jwt.SigningMethodHS512, secret), "not signed"},
		{"RSA where a secret is configured", asSecret, goodRSA, "not signed"},
		{"RS512", asPEM, sign(`{"alg":"RS512"}`, good, jwt.SigningMethodRS512, rsaKey()), "not signed"},
		{"RS256 where PS256 alone is allowed", onlyPS, goodRSA, "not signed"},
		{"alg that is not that of the signature", asPEM, byRSA(`{"alg":"PS256"}`, good), "not signed"},
		{"another key", asPEM, sign(rs, good, jwt.SigningMethodRS256, attacker), "not signed"},
		{"embedded jwk", asSet, sign(`{"alg":"RS256","jwk":`+attackerJWK+`}`, good, jwt.SigningMethodRS256, attacker), "not signed"},
		{"embedded jwk under a known key id", asSet, sign(`{"alg":"RS256","kid":"r","jwk":`+attackerJWK+`}`, good, jwt.SigningMethodRS256, attacker), "not signed"},
		{"jku", asSet, sign(`{"alg":"RS256","jku":"http://127.0.0.1:1/keys"}`, good, jwt.SigningMethodRS256, attacker), "not signed"},
		{"key id that is not known", asSet, byRSA(`{"alg":"RS256","kid":"x"}`, good), "no key"},
		{"key id of a key of another kind", asSet, byRSA(`{"alg":"RS256","kid":"d"}`, good), "no key"},
		{"key id that is a path", asSet, byRSA(`{"alg":"RS256","kid":"../../dev/null"}`, good), "no key"},
		{"key id that is SQL", asSet, byRSA(`{"alg":"RS256","kid":"r' OR 1=1 --"}`, good), "no key"},
		{"key id with NUL", asSet, byRSA(`{"alg":"RS256","kid":"r\u0000"}`, good), "no key"},
		{"key id that is huge", asSet, byRSA(`{"alg":"RS256","kid":"`+strings.Repeat("r", 10<<10)+`"}`, good), "no key"},
		{"key id that is no string", asSet, byRSA(`{"alg":"RS256","kid":["r"]}`, good), "not a string"},
		{"key id twice", asSet, byRSA(`{"alg":"RS256","kid":"x","kid":"r"}`, good), "same name twice"},
		{"alg twice", asPEM, byRSA(`{"alg":"none","alg":"RS256"}`, good), "same name twice"},
		{"alg twice, once escaped", asPEM, byRSA(`{"\u0061lg":"none","alg":"RS256"}`, good), "same name twice"},
		{"critical extension", asPEM, byRSA(`{"alg":"RS256","crit":["b64"],"b64":false}`, good), "crit"},

		{"claim twice", asPEM, byRSA(rs, claims(`,"sub":"root"`)), "same name twice"},
		{"claim twice, nested", asPEM, byRSA(rs, claims(`,"a":[{"b":1,"b":2}]`)), "same name twice"},
		{"claims no object", asPEM, byRSA(rs, `["sub"]`), "not a JSON object"},
		{"claims null", asPEM, byRSA(rs, `null`), "not a JSON object"},
		{"claims followed by more", asPEM, byRSA(rs, good+`{}`), "not a JSON object"},
		{"claims no UTF-8", asPEM, byRSA(rs, claims(",\"x\":\"\xff\"")), "not a JSON object"},
		{"claims nested too deep", asPEM, byRSA(rs, claims(`,"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100))), "nested"},
		{"header no object", asPEM, byRSA(`"RS256"`, good), "not a JSON object"},
		{"padding", asPEM, parts[0] + "=." + parts[1] + "." + parts[2], "not base64url"},
		{"base64 of the other alphabet", asPEM, strings.Replace(goodRSA, parts[1], parts[1][:8]+"+/"+parts[1][10:], 1), "not base64url"},
		{"line breaks", asPEM, parts[0] + "\n." + parts[1] + "." + parts[2], "not base64url"},
		{"line break in the signature", asPEM, goodRSA + "\n", "not base64url"},
		{"other last bits of the signature", asPEM, otherLastBits(goodRSA), "not base64url"},

		{"exp missing", asPEM, byRSA(rs, `{"sub":"u1","aud":"auditgate","iss":"https://id.example.com"}`), "no exp"},
		{"exp past", asPEM, exp(fmt.Sprint(now.Add(-time.Minute).Unix())), "expired at 2026-11-21T09:59:00Z"},
		{"exp now, after the leeway", asPEM, exp(fmt.Sprint(now.Add(-30 * time.Second).Unix())), "expired"},
		{"exp zero", asPEM, exp("0"), "expired"},
		{"exp huge", asPEM, exp("1e300"), "exp of the token"},
		{"exp infinite", asPEM, exp("1e999"), "exp of the token"},
		{"exp beyond 64 bits", asPEM, exp("99999999999999999999"), "exp of the token"},
		{"exp beyond the calendar", asPEM, exp("253402300800"), "exp of the token"},
		{"exp with a fraction", asPEM, exp("1900000000.5"), "exp of the token"},
		{"exp as text", asPEM, exp(`"1900000000"`), "exp of the token"},
		{"exp negative", asPEM, exp("-1"), "exp of the token"},
		{"exp null", asPEM, exp("null"), "exp of the token"},
		{"exp a list", asPEM, exp("[1900000000]"), "exp of the token"},
		{"exp true", asPEM, exp("true"), "exp of the token"},
		{"exp NaN", asPEM, exp("NaN"), "not a JSON object"},
		{"exp in capitals", asPEM, byRSA(rs, `{"sub":"u1","aud":"auditgate","iss":"https://id.example.com","EXP":1900000000}`), "no exp"},
		{"not yet valid", asPEM, byRSA(rs, claims(fmt.Sprintf(`,"nbf":%d`, now.Add(31*time.Second).Unix()))), "not valid before 2026-11-21T10:00:31Z"},
		{"nbf as text", asPEM, byRSA(rs, claims(`,"nbf":"soon"`)), "nbf of the token"},
		{"issued in the future", asPEM, byRSA(rs, claims(fmt.Sprintf(`,"iat":%d`, now.Add(31*time.Second).Unix()))), "issued in the future"},

		{"issuer missing", asPEM, byRSA(rs, `{"sub":"u1","aud":"auditgate","exp":1900000000}`), `issuer "" of the token is not "https://id.example.com"`},
		{"issuer empty", asPEM, byRSA(rs, `{"sub":"u1","aud":"auditgate","iss":"","exp":1900000000}`), "issuer"},
		{"another issuer", asPEM, byRSA(rs, `{"sub":"u1","aud":"auditgate","iss":"https://id.example.com/","exp":1900000000}`), `issuer "https://id.example.com/" of the token`},
		{"issuer a list", asPEM, byRSA(rs, `{"sub":"u1","aud":"auditgate","iss":["https://id.example.com"],"exp":1900000000}`), "issuer"},
		{"audience missing", asPEM, byRSA(rs, `{"sub":"u1","iss":"https://id.example.com","exp":1900000000}`), `audience "" of the token is not "auditgate"`},
		{"another audience", asPEM, byRSA(rs, `{"sub":"u1","aud":["nova","auditgate2"],"iss":"https://id.example.com","exp":1900000000}`), `audience ["nova","auditgate2"] of the token`},
		{"audience an object", asPEM, byRSA(rs, `{"sub":"u1","aud":{"auditgate":1},"iss":"https://id.example.com","exp":1900000000}`), "audience"},
		{"audience huge", asPEM, byRSA(rs, `{"sub":"u1","aud":"`+strings.Repeat("x", 5000)+`","iss":"https://id.example.com","exp":1900000000}`), "…"},
		{"second factor missing", withMFA, goodRSA, "amr"},
		{"second factor of another kind", withMFA, byRSA(rs, claims(`,"amr":["pwd",["mfa"],{"mfa":"mfa"}]`)), "amr"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			actor, claims, err := tt.v.Verify(t.Context(), tt.token)
			if err == nil {
				t.Fatalf("accepted: %+v, %v", actor, claims)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %q, want it to say %q", err, tt.want)
			}
			if len(err.Error()) > 400 || claims != nil || actor.Known() {
				t.Errorf("error of %d bytes, actor %+v, claims %v", len(err.Error()), actor, claims)
			}
			for _, part := range strings.Split(tt.token, ".") {
				if len(part) > 8 && strings.Contains(err.Error(), part) {
					t.Errorf("error %q shows a part of the token", err)
				}
			}
		})
	}
}

// otherLastBits changes the bits at the end of the last character that stand
// for nothing: the same bytes, written otherwise.
func otherLastBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + alphabet[last|1:(last|1)+1]
}

func TestLeewayHoldsAtItsBounds(t *testing.T) {
	v := newVerifier(t, func(c *identity.VerifierConfig) { c.HMACSecret = secret; c.Leeway = 30 * time.Second })
	for _, tt := range []struct {
		claim  string
		offset time.Duration
		good   bool
	}{
		{"exp", -29 * time.Second, true},
		{"exp", -30 * time.Second, false},
		{"nbf", 30 * time.Second, true},
		{"nbf", 31 * time.Second, false},
		{"iat", 30 * time.Second, true},
		{"iat", 31 * time.Second, false},
	} {
		values := map[string]any{"aud": "auditgate", "iss": "https://id.example.com", "exp": now.Add(time.Hour).Unix()}
		values[tt.claim] = now.Add(tt.offset).Unix()
		_, _, err := v.Verify(t.Context(), sign(`{"alg":"HS256"}`, string(must(json.Marshal(values))), jwt.SigningMethodHS256, secret))
		if (err == nil) != tt.good {
			t.Errorf("%s at %+v: error is %v", tt.claim, tt.offset, err)
		}
	}
}

func TestRequiredClaimsAreEqualOrContained(t *testing.T) {
	v := newVerifier(t, func(c *identity.VerifierConfig) {
		c.HMACSecret = secret
		c.Require = []identity.Requirement{{Claim: "amr", Value: "mfa"}, {Claim: "email_verified", Value: "true"}, {Claim: "level", Value: "2"}}
	})
	for more, good := range map[string]bool{
		`,"amr":"mfa","email_verified":true,"level":2`:             true,
		`,"amr":["pwd","mfa"],"email_verified":"true","level":"2"`: true,
		`,"amr":["pwd","mfa"],"email_verified":false,"level":2`:    false,
		`,"amr":"pwd mfa","email_verified":true,"level":2`:         false,
		`,"amr":{"mfa":true},"email_verified":true,"level":2`:      false,
		`,"amr":["mfa"],"email_verified":true,"level":2.0`:         false,
	} {
		_, _, err := v.Verify(t.Context(), sign(`{"alg":"HS256"}`, claims(more), jwt.SigningMethodHS256, secret))
		if (err == nil) != good {
			t.Errorf("%s: error is %v", more, err)
		}
	}
}

// FuzzVerify checks that no change of a good token is accepted, but for one
// that leaves it as it was.
func FuzzVerify(f *testing.F) {
	v, err := identity.NewVerifier(config(func(c *identity.VerifierConfig) { c.HMACSecret = secret }))
	if err != nil {
		f.Fatal(err)
	}
	good := sign(`{"alg":"HS256"}`, claims(""), jwt.SigningMethodHS256, secret)
	f.Add(good)
	f.Add(unsigned(claims("")))
	f.Add("e30.e30.")
	f.Fuzz(func(t *testing.T, token string) {
		if _, _, err := v.Verify(context.Background(), token); err == nil && token != good {
			t.Errorf("accepted %q", token)
		}
	})
}
