package identity

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	// Remote are the keys that the issuer publishes.
	Remote *RemoteKeys
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
	source  keySource
	accepts []string           // algorithms
	options []jwt.ParserOption // of what claims must say, but for the time
	config  VerifierConfig
	good    *cache[Identity] // by token id: those whose signature was checked of late
}

// goodFor is how long a token that was found good is taken to be so without
// checking its signature again.
const goodFor = time.Minute

// maxGood is how many such tokens are remembered.
const maxGood = 10_000

// Check returns what is wrong with c as far as that can be told without looking at
// the keys: of these only those count that are not nil.
func (c *VerifierConfig) Check() error {
	given := 0
	for _, is := range []bool{c.HMACSecret != nil, c.PublicKeyPEM != nil, c.JWKS != nil, c.Remote != nil, c.Key != nil} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return fmt.Errorf("%d keys are given: want one of jwks_url, jwks_file, public_key and hmac_secret", given)
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
	var source keySource = c.Remote
	accepted := algorithms[:4]
	if len(c.Algorithms) > 0 {
		accepted = c.Algorithms
	}
	if c.Remote == nil {
		set, err := loadKeys(&c)
		if err != nil {
			return nil, err
		}
		if accepted, err = set.accept(c.Algorithms); err != nil {
			return nil, err
		}
		source = set
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	options := []jwt.ParserOption{jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(c.Leeway)}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if !c.AnyAudience {
		options = append(options, jwt.WithAudience(c.Audience...))
	}
	return &Verifier{
		source: source, accepts: accepted, options: slices.Clip(options), config: c,
		good: newCache[Identity](maxGood, c.Now),
	}, nil
}

// Verify returns who the token speaks for and all of its claims, decoded as
// encoding/json does with numbers as [json.Number]. The error says what is
// wrong with a token that is refused, in words fit for a log and for whoever
// sent it; nothing of a token stands in it before its signature was found good.
//
// Where the keys cannot be had the error is [ErrKeysUnavailable]: nothing is said
// of the token then.
func (v *Verifier) Verify(ctx context.Context, token string) (record.Actor, map[string]any, error) {
	return v.verify(ctx, token, v.config.Now(), Wait)
}

// who returns whom a token speaks for that came with a call at that time.
func (v *Verifier) who(ctx context.Context, t Token, at time.Time, p Patience) (id Identity, pending bool) {
	if id, ok := v.good.get(t.ID); ok {
		return id, false
	}
	actor, claims, err := v.verify(ctx, t.Raw, at, p)
	if err != nil {
		return Identity{}, errors.Is(err, errPending)
	}
	id = Identity{Actor: actor, Project: projectOf(claims)}
	// Where the token ends soon it is checked anew: the next call may be too late.
	if until := v.config.Now().Add(goodFor); expiry(claims).After(until) {
		v.good.put(t.ID, id, until)
	}
	return id, false
}

// verify checks a token as it was worth at a time.
func (v *Verifier) verify(ctx context.Context, token string, at time.Time, p Patience) (record.Actor, map[string]any, error) {
	payload, err := v.checkSignature(ctx, token, p)
	if err != nil {
		return record.Actor{}, nil, err
	}
	if err := checkObject(payload); err != nil {
		return record.Actor{}, nil, fmt.Errorf("payload of the token %w", err)
	}
	claims := jwt.MapClaims{}
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	if err := dec.Decode(&claims); err != nil {
		return record.Actor{}, nil, errors.New("payload of the token is not a JSON object")
	}
	// Times are looked at first: the library takes numbers that are no times.
	if err := checkTimes(claims); err != nil {
		return record.Actor{}, nil, err
	}
	validator := jwt.NewValidator(append(v.options, jwt.WithTimeFunc(func() time.Time { return at }))...)
	if err := validator.Validate(claims); err != nil {
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
	switch {
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing) && claims["exp"] == nil:
		return errors.New("token has no exp: tokens that do not expire are not accepted")
	case errors.Is(err, jwt.ErrTokenExpired):
		return fmt.Errorf("token has expired at %s", timeOf(claims["exp"]))
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return fmt.Errorf("token is not valid before %s", timeOf(claims["nbf"]))
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return fmt.Errorf("token is issued in the future, at %s", timeOf(claims["iat"]))
	case v.config.Issuer != "" && claims["iss"] != v.config.Issuer:
		return fmt.Errorf("issuer %s of the token is not %q", quote(claims["iss"]), v.config.Issuer)
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return fmt.Errorf("audience %s of the token is not %s", quote(claims["aud"]), quoteAll(v.config.Audience))
	default:
		return errors.New("a claim of the token has the wrong type")
	}
}
