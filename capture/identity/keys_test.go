package identity_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/auditgate/auditgate/capture/identity"
)

func TestWrongConfigurationsAreRefusedWithWords(t *testing.T) {
	weak := &rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 1023), big.NewInt(1)), E: 65537}
	roca := &rsa.PublicKey{N: new(big.Int).Exp(big.NewInt(65537), big.NewInt(128), nil), E: 65537}
	withKeys := func(keys ...jose.JSONWebKey) func(*identity.VerifierConfig) {
		return func(c *identity.VerifierConfig) { c.JWKS = jwks(keys...) }
	}
	withPEM := func(block *pem.Block) func(*identity.VerifierConfig) {
		return func(c *identity.VerifierConfig) { c.PublicKeyPEM = pem.EncodeToMemory(block) }
	}
	rsaPEM := publicPEM(rsaKey().Public())
	tests := []struct {
		name   string
		change func(*identity.VerifierConfig)
		want   string
	}{
		{"no key", func(c *identity.VerifierConfig) {}, "0 keys are given"},
		{"two keys", func(c *identity.VerifierConfig) { c.HMACSecret = secret; c.PublicKeyPEM = rsaPEM }, "2 keys are given"},
		{"short secret", func(c *identity.VerifierConfig) { c.HMACSecret = secret[:31] }, "31 bytes, want 32"},
		{"empty secret", func(c *identity.VerifierConfig) { c.HMACSecret = []byte{} }, "0 bytes"},
		{"short own key", func(c *identity.VerifierConfig) { c.Key = ed25519.PublicKey("short") }, "Ed25519 key has 5 bytes"},
		{"no PEM", func(c *identity.VerifierConfig) { c.PublicKeyPEM = []byte("ssh-rsa AAAA") }, "not PEM"},
		{"PEM of something else", withPEM(&pem.Block{Type: "CERTIFICATE"}), `type "CERTIFICATE"`},
		{"PEM of a private key", withPEM(&pem.Block{Type: "PRIVATE KEY"}), "private key"},
		{"PEM of nothing", withPEM(&pem.Block{Type: "PUBLIC KEY"}), "parsing public key"},
		{"two in one PEM", func(c *identity.VerifierConfig) { c.PublicKeyPEM = append(rsaPEM, rsaPEM...) }, "more than one"},
		{"weak RSA", withPEM(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(weak)}), "1024 bits"},
		{"weak RSA in a set", withKeys(jose.JSONWebKey{Key: weak}), "key 1 of the key set: RSA key has 1024 bits"},
		{"RSA that can be factored", withKeys(jose.JSONWebKey{Key: roca}), "CVE-2017-15361"},
		{"EC on another curve", func(c *identity.VerifierConfig) {
			c.PublicKeyPEM = publicPEM(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).Public())
		}, "P-384, want P-256"},
		{"set that is no JSON", func(c *identity.VerifierConfig) { c.JWKS = []byte("{") }, "parsing key set"},
		{"set that is huge", func(c *identity.VerifierConfig) { c.JWKS = make([]byte, 2<<20) }, "at most"},
		{"set of nothing", withKeys(), "no key for signatures"},
		{"set for encryption", withKeys(jose.JSONWebKey{Key: &rsaKey().PublicKey, Use: "enc"}), "no key for signatures"},
		{"set of a secret", withKeys(jose.JSONWebKey{Key: secret}), "key is a secret"},
		{"set of a private key", withKeys(jose.JSONWebKey{Key: edKey}), "key is a private key"},
		{"set whose algorithm does not fit", withKeys(jose.JSONWebKey{Key: edKey.Public(), Algorithm: "RS256"}), "does not fit"},
		{"set of too many", withKeys(slices.Repeat([]jose.JSONWebKey{{Key: edKey.Public()}}, 65)...), "65 keys"},
		{"unknown algorithm", func(c *identity.VerifierConfig) { c.HMACSecret = secret; c.Algorithms = []string{"none"} }, `"none" is unknown`},
		{"algorithm that fits no key", func(c *identity.VerifierConfig) { c.PublicKeyPEM = rsaPEM; c.Algorithms = []string{"RS256", "ES256"} }, "ES256 fits none"},
		{"secret and public key algorithms", func(c *identity.VerifierConfig) { c.PublicKeyPEM = rsaPEM; c.Algorithms = []string{"RS256", "HS256"} }, "HS256 does not go"},
		{"no audience", func(c *identity.VerifierConfig) { c.HMACSecret = secret; c.Audience = nil }, "audience is missing"},
		{"empty audience", func(c *identity.VerifierConfig) { c.HMACSecret = secret; c.Audience = []string{""} }, "audience is empty"},
		{"audience and any", func(c *identity.VerifierConfig) { c.HMACSecret = secret; c.AnyAudience = true }, "both"},
		{"leeway", func(c *identity.VerifierConfig) { c.HMACSecret = secret; c.Leeway = 61 * time.Second }, "leeway is 1m1s"},
		{"negative leeway", func(c *identity.VerifierConfig) { c.HMACSecret = secret; c.Leeway = -1 }, "leeway"},
		{"require nothing", func(c *identity.VerifierConfig) {
			c.HMACSecret = secret
			c.Require = []identity.Requirement{{Claim: "amr"}}
		}, "require"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := identity.NewVerifier(config(tt.change))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want it to say %q", err, tt.want)
			}
		})
	}
}
