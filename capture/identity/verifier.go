package identity

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/auditgate/auditgate/record"
)

// MaxLeeway is the most that clocks may differ.
const MaxLeeway = time.Minute

// VerifierConfig says which tokens a Verifier accepts.
type VerifierConfig struct {
	// Exactly one of the following is given.

	// HMACSecret is the shared secret of HS256, as it is: at least 32 bytes.
	HMACSecret []byte
	// PublicKeyPEM is one public key, of RSA (2048 bits and more), P-256 or Ed25519.
	PublicKeyPEM []byte
	// JWKS is a JSON Web Key Set (RFC 7517) of such keys. Keys for encryption
	// and of kinds that no algorithm here uses are passed over.
	JWKS []byte
	// Key is the gateway's own.
	Key ed25519.PublicKey

	// Audience lists the audiences of which a token must name one. AnyAudience
	// stands instead of it and accepts every token of the issuer.
	Audience    []string
	AnyAudience bool
	// Issuer, where it is set, must be the token's.
	Issuer string
	// Algorithms are those accepted, of RS256, PS256, ES256 and EdDSA, or HS256
	// alone with HMACSecret. None: every one that fits the keys.
	Algorithms []string
	// Require lists further claims that a token must have, all of them.
	Require []Requirement
	// Leeway is how far the clocks of issuer and gateway may differ: 0 to
	// [MaxLeeway].
	Leeway time.Duration
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
}

// Requirement is a claim that a token must have: one that equals Value, or a
// list that contains it.
type Requirement struct{ Claim, Value string }

// Verifier checks tokens. It may be used from many goroutines.
type Verifier struct {
	keys    keySet
	parser  *jwt.Parser
	accepts string // what the parser accepts, for error messages
	config  VerifierConfig
}

// Check returns what is wrong with c as far as that can be told without looking at
// the keys: of these only those count that are not nil.
func (c *VerifierConfig) Check() error {
	given := 0
	for _, is := range []bool{c.HMACSecret != nil, c.PublicKeyPEM != nil, c.JWKS != nil, c.Key != nil} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return fmt.Errorf("%d keys are given: want one of hmac_secret, public_key and jwks_file", given)
	case c.AnyAudience && len(c.Audience) > 0:
		return errors.New("audience is both a list and any: want one of them")
	case !c.AnyAudience && len(c.Audience) == 0:
		return errors.New("audience is missing: name those that tokens are issued for, or say `audience any` to accept every token of the issuer")
	case slices.Contains(c.Audience, ""):
		return errors.New("audience is empty")
	case c.Leeway < 0 || c.Leeway > MaxLeeway:
		return fmt.Errorf("leeway is %s, want 0s to %s", c.Leeway, MaxLeeway)
	}
	for _, r := range c.Require {
		if r.Claim == "" || r.Value == "" {
			return errors.New("require needs the name of a claim and a value")
		}
	}
	for _, algorithm := range c.Algorithms {
		switch symmetric := algorithm == "HS256"; {
		case !slices.Contains(algorithms, algorithm):
			return fmt.Errorf("algorithm %q is unknown: want RS256, ES256, EdDSA or PS256, or HS256 with hmac_secret", algorithm)
		case symmetric != (c.HMACSecret != nil):
			return fmt.Errorf("algorithm %s does not go with this kind of key: HS256 and hmac_secret belong together", algorithm)
		}
	}
	return nil
}

// NewVerifier returns a Verifier, or an error that says what is wrong with c.
func NewVerifier(c VerifierConfig) (*Verifier, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	keys, err := loadKeys(&c)
	if err != nil {
		return nil, err
	}
	algorithms, err := keys.accept(c.Algorithms)
	if err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(c.Leeway),
		jwt.WithTimeFunc(c.Now),
		jwt.WithStrictDecoding(),
		jwt.WithJSONNumber(),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if !c.AnyAudience {
		options = append(options, jwt.WithAudience(c.Audience...))
	}
	return &Verifier{keys, jwt.NewParser(options...), strings.Join(algorithms, ", "), c}, nil
}

// Verify returns who the token speaks for and all of its claims, decoded as
// encoding/json does with numbers as [json.Number]. The error says what is
// wrong with a token that is refused, in words fit for a log and for whoever
// sent it; nothing of a token stands in it before its signature was found good.
func (v *Verifier) Verify(_ context.Context, token string) (record.Actor, map[string]any, error) {
	if err := checkForm(token); err != nil {
		return record.Actor{}, nil, err
	}
	claims := jwt.MapClaims{}
	_, err := v.parser.ParseWithClaims(token, claims, v.keys.find)
	if err == nil || errors.Is(err, jwt.ErrTokenInvalidClaims) {
		// The signature is good. Times are looked at first: the library takes
		// numbers that are no times.
		if err := checkTimes(claims); err != nil {
			return record.Actor{}, nil, err
		}
	}
	if err != nil {
		return record.Actor{}, nil, v.explain(err, claims)
	}
	for _, r := range v.config.Require {
		if !has(claims[r.Claim], r.Value) {
			return record.Actor{}, nil, fmt.Errorf("claim %q of the token is not %q and does not contain it", r.Claim, r.Value)
		}
	}
	return actorOf(claims), claims, nil
}

// explain says what the library's error means to whoever sent the token.
func (v *Verifier) explain(err error, claims jwt.MapClaims) error {
	var refused *keyError
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing) && claims["exp"] == nil:
		return errors.New("token has no exp: tokens that do not expire are not accepted")
	case errors.Is(err, jwt.ErrTokenExpired):
		return fmt.Errorf("token has expired at %s", timeOf(claims["exp"]))
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return fmt.Errorf("token is not valid before %s", timeOf(claims["nbf"]))
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return fmt.Errorf("token is issued in the future, at %s", timeOf(claims["iat"]))
	case errors.Is(err, jwt.ErrTokenInvalidClaims) && v.config.Issuer != "" && claims["iss"] != v.config.Issuer:
		return fmt.Errorf("issuer %s of the token is not %q", quote(claims["iss"]), v.config.Issuer)
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return fmt.Errorf("audience %s of the token is not %s", quote(claims["aud"]), quoteAll(v.config.Audience))
	case errors.Is(err, jwt.ErrTokenInvalidClaims):
		return errors.New("a claim of the token has the wrong type")
	case errors.Is(err, jwt.ErrTokenUnverifiable), errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return fmt.Errorf("token is not signed with a key that is known here, by %s", v.accepts)
	default:
		return errors.New("token is not well formed: want a JWT in compact form, its parts in base64url")
	}
}
