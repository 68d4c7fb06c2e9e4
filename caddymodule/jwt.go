package caddymodule

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/auditgate/auditgate/capture/identity"
)

// JWT says which tokens are accepted. Exactly one of the keys is given.
type JWT struct {
	// Where the issuer publishes its keys as a JSON Web Key Set (RFC 7517). They are
	// fetched when the first token comes, anew every 10 minutes while tokens come,
	// and at once for a token with an unknown key id, but not twice in 30 seconds.
	// Where that fails the last good keys are used for 24 hours. At most 64 keys
	// and 1 MiB, in 5 seconds, without redirects; keys that are too weak are passed
	// over. Use https: over plain http whoever is on the way can name keys.
	// Placeholders work.
	JWKSURL string `json:"jwks_url,omitempty"`
	// A secret that the issuer shares, for HS256: its bytes as they are written,
	// at least 32; or one placeholder, so that it need not stand in the
	// configuration: `{env.SECRET}`, `{file./run/secrets/jwt}`.
	HMACSecret string `json:"hmac_secret,omitempty"`
	// A file with one public key in PEM.
	PublicKey string `json:"public_key,omitempty"`
	// A file with a JSON Web Key Set (RFC 7517).
	JWKSFile string `json:"jwks_file,omitempty"`

	// The audiences of which a token must name one. Required; the one word `any`
	// accepts every token of the issuer.
	Audience []string `json:"audience,omitempty"`
	// The issuer that a token must name. Default: any.
	Issuer string `json:"issuer,omitempty"`
	// The signature algorithms to accept: of RS256, ES256, EdDSA and PS256;
	// HS256 goes with `hmac_secret`, alone. Default: those that fit the keys.
	Algorithms []string `json:"algorithms,omitempty"`
	// Further claims that a token must have: each equals the value or is a list
	// that contains it. Default: none.
	Require []identity.Requirement `json:"require,omitempty"`
	// How far the clocks of issuer and gateway may differ, at most 1m.
	// Default: 30s; -1 for none.
	Leeway caddy.Duration `json:"leeway,omitempty"`
}

var isPlaceholder = regexp.MustCompile(`^\{(env|file)\.[^{}]+\}$`)

const defaultLeeway = 30 * time.Second

// config is what j says, but for the keys: their files are not read, and only
// those that are given are not nil.
func (j *JWT) config() identity.VerifierConfig {
	c := identity.VerifierConfig{
		Audience: j.Audience, Issuer: j.Issuer, Algorithms: j.Algorithms, Require: j.Require, Leeway: time.Duration(j.Leeway),
	}
	for _, key := range []struct {
		given   string
		content *[]byte
	}{{j.HMACSecret, &c.HMACSecret}, {j.PublicKey, &c.PublicKeyPEM}, {j.JWKSFile, &c.JWKS}} {
		if key.given != "" {
			*key.content = []byte{}
		}
	}
	if j.JWKSURL != "" {
		c.Remote = new(identity.RemoteKeys)
	}
	if len(j.Audience) == 1 && j.Audience[0] == "any" {
		c.Audience, c.AnyAudience = nil, true
	}
	switch {
	case j.Leeway == 0:
		c.Leeway = defaultLeeway
	case j.Leeway == -1:
		c.Leeway = 0
	}
	return c
}

// source says in words where the keys are from.
func (j *JWT) source() string {
	if j.HMACSecret != "" {
		return "hmac_secret"
	}
	return cmp.Or(j.JWKSURL, j.JWKSFile, j.PublicKey)
}

// check finds what is wrong without reading a key, so that a Caddyfile can be
// told with its line.
func (j *JWT) check() error {
	if j.JWKSURL != "" && !strings.Contains(j.JWKSURL, "{") {
		if err := checkURL(j.JWKSURL); err != nil {
			return fmt.Errorf("jwks_url: %w", err)
		}
	}
	if j.HMACSecret != "" && !isPlaceholder.MatchString(j.HMACSecret) && len(j.HMACSecret) < identity.MinHMACSecret {
		return fmt.Errorf("hmac_secret has %d bytes: want %d or more", len(j.HMACSecret), identity.MinHMACSecret)
	}
	c := j.config()
	return c.Check()
}

// verifier reads the keys and checks the rest. It fetches nothing.
func (j *JWT) verifier(ctx caddy.Context, held *held) (*identity.Verifier, error) {
	if err := j.check(); err != nil {
		return nil, err
	}
	c, repl := j.config(), caddy.NewReplacer()
	if secret := j.HMACSecret; secret != "" {
		if isPlaceholder.MatchString(secret) {
			var err error
			if secret, err = repl.ReplaceOrErr(secret, true, true); err != nil {
				return nil, fmt.Errorf("reading hmac_secret failed: %w", err)
			}
		}
		c.HMACSecret = []byte(secret)
	}
	for _, file := range []struct {
		name, path string
		content    *[]byte
	}{{"public_key", j.PublicKey, &c.PublicKeyPEM}, {"jwks_file", j.JWKSFile, &c.JWKS}} {
		if file.path == "" {
			continue
		}
		path, err := repl.ReplaceOrErr(file.path, true, true)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.name, err)
		}
		if *file.content, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("reading %s: %w", file.name, err)
		}
	}
	if j.JWKSURL != "" {
		var err error
		if c.Remote, err = publishedKeys(ctx, j.JWKSURL, held); err != nil {
			return nil, err
		}
	}
	return identity.NewVerifier(c)
}
