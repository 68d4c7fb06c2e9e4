package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// MinHMACSecret is the length of the shortest secret of HS256, in bytes: that of
// its digest (RFC 7518, section 3.2).
const MinHMACSecret = 32

const (
	minRSABits = 2048 // RFC 7518, section 3.3
	maxRSABits = 8192 // larger ones only cost time
	maxKeys    = 64   // of one set; a token without a key id is tried with each that fits
	maxJWKSLen = 1 << 20
)

// algorithms are all that a Verifier can check, in the order in which messages
// name them.
var algorithms = []string{"RS256", "PS256", "ES256", "EdDSA", "HS256"}

// key is one key and the algorithms that it may be used with.
type key struct {
	id         string // "" fits every token
	public     any    // as golang-jwt takes it; for HS256 the secret
	algorithms []string
}

type keySet []key

// keySource is where keys come from.
type keySource interface {
	// keys returns those that may have signed a token of that key id, which may be
	// "", and algorithm. It waits for the network only if p is Wait; with Probe it
	// fails with errPending where it would have to.
	keys(ctx context.Context, id, algorithm string, p Patience) ([]jwt.VerificationKey, error)
}

// loadKeys reads the one source of keys in c.
func loadKeys(c *VerifierConfig) (keySet, error) {
	switch {
	case c.HMACSecret != nil:
		return secretKey(c.HMACSecret)
	case c.PublicKeyPEM != nil:
		return pemKey(c.PublicKeyPEM)
	case c.JWKS != nil:
		return jwksKeys(c.JWKS)
	default:
		return publicKey("", c.Key)
	}
}

func secretKey(secret []byte) (keySet, error) {
	if len(secret) < MinHMACSecret {
		return nil, fmt.Errorf("hmac secret has %d bytes, want %d or more", len(secret), MinHMACSecret)
	}
	return keySet{{public: secret, algorithms: []string{"HS256"}}}, nil
}

func pemKey(data []byte) (keySet, error) {
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return nil, errors.New("public key is not PEM: want a block that begins with -----BEGIN PUBLIC KEY-----")
	case strings.Contains(block.Type, "PRIVATE"):
		return nil, errors.New("public key is a private key: give the public one, and keep this one from the gateway")
	case len(strings.TrimSpace(string(rest))) > 0:
		return nil, errors.New("public key has more than one PEM block: use a key set for several keys")
	}
	var public any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("public key is a PEM block of type %q, want PUBLIC KEY", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("parsing public key: %w", err)
	}
	return publicKey("", public)
}

func jwksKeys(data []byte) (keySet, error) {
	return eachKey(data, func(_ int, err error) error { return err })
}

// eachKey reads a key set. A key that is no good is told to bad, which says whether
// the others count all the same.
func eachKey(data []byte, bad func(number int, err error) error) (keySet, error) {
	if len(data) > maxJWKSLen {
		return nil, fmt.Errorf("key set has %d bytes, want %d at most", len(data), maxJWKSLen)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("parsing key set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("key set has %d keys, want %d at most", len(set.Keys), maxKeys)
	}
	var keys keySet
	for i, raw := range set.Keys {
		k, err := jwk(raw)
		if err != nil {
			err = bad(i+1, fmt.Errorf("key %d of the key set: %w", i+1, err))
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, k...)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("key set has no key for signatures by %s", strings.Join(algorithms[:4], ", "))
	}
	return keys, nil
}

// jwk reads one key of a set; none where the key is for something else.
func jwk(raw []byte) (keySet, error) {
	var meta struct {
		Use string   `json:"use"`
		Ops []string `json:"key_ops"`
	}
	if err := json.Unmarshal(raw, &meta); err != nil {
		return nil, fmt.Errorf("parsing key: %w", err)
	}
	if meta.Use != "" && meta.Use != "sig" || meta.Ops != nil && !slices.Contains(meta.Ops, "verify") {
		return nil, nil
	}
	var k jose.JSONWebKey
	if err := k.UnmarshalJSON(raw); errors.Is(err, jose.ErrUnsupportedKeyType) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("parsing key: %w", err)
	}
	switch public := k.Key.(type) {
	case []byte:
		return nil, errors.New("key is a secret, and a key set holds public keys only")
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey:
		return nil, errors.New("key is a private key: a key set holds public keys only")
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return nil, nil
		}
	}
	if k.Algorithm != "" && !slices.Contains(algorithms, k.Algorithm) {
		return nil, nil
	}
	keys, err := publicKey(k.KeyID, k.Key)
	if err != nil || k.Algorithm == "" {
		return keys, err
	}
	if !slices.Contains(keys[0].algorithms, k.Algorithm) {
		return nil, fmt.Errorf("key is for %s and of a kind that does not fit it", k.Algorithm)
	}
	keys[0].algorithms = []string{k.Algorithm}
	return keys, nil
}

// publicKey checks that a key is strong enough, and says what it is for.
func publicKey(id string, public any) (keySet, error) {
	k := key{id: id, public: public}
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("RSA key has %d bits, want %d to %d", bits, minRSABits, maxRSABits)
		}
		if public.E < 3 || public.E%2 == 0 {
			return nil, fmt.Errorf("RSA key has the exponent %d, want an odd one of 3 or more", public.E)
		}
		if isROCA(public.N) {
			return nil, errors.New("RSA key can be factored (CVE-2017-15361): replace it")
		}
		k.algorithms = []string{"RS256", "PS256"}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return nil, fmt.Errorf("EC key is on curve %s, want P-256", public.Curve.Params().Name)
		}
		k.algorithms = []string{"ES256"}
	case ed25519.PublicKey:
		if len(public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("Ed25519 key has %d bytes, want %d", len(public), ed25519.PublicKeySize)
		}
		k.algorithms = []string{"EdDSA"}
	default:
		return nil, fmt.Errorf("key is of type %T, want RSA, EC or Ed25519", public)
	}
	return keySet{k}, nil
}

// isROCA reports whether n has the fingerprint of the primes that a widespread
// smart card library made: modulo each small prime it is a power of 65537. A
// good key passes for one by chance once in 2^27.
func isROCA(n *big.Int) bool {
	for _, p := range []int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73,
		79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	} {
		rest := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		power := int64(1)
		for power != rest {
			if power = power * 65537 % p; power == 1 {
				return false
			}
		}
	}
	return true
}

// accept narrows the keys down to the wanted algorithms, or to none but those
// that fit them, and returns what is accepted.
func (s keySet) accept(wanted []string) ([]string, error) {
	var accepted []string
	for _, a := range algorithms {
		fits := slices.ContainsFunc(s, func(k key) bool { return slices.Contains(k.algorithms, a) })
		if fits && (len(wanted) == 0 || slices.Contains(wanted, a)) {
			accepted = append(accepted, a)
		}
	}
	for _, a := range wanted {
		if !slices.Contains(accepted, a) {
			return nil, fmt.Errorf("algorithm %s fits none of the keys", a)
		}
	}
	return accepted, nil
}

// find returns the keys that may have signed a token: those of its algorithm, and
// of its key id where it has one.
func (s keySet) find(id, algorithm string) (found []jwt.VerificationKey) {
	for _, k := range s {
		if slices.Contains(k.algorithms, algorithm) && (id == "" || k.id == "" || k.id == id) {
			found = append(found, k.public)
		}
	}
	return found
}

// keys implements keySource.
func (s keySet) keys(_ context.Context, id, algorithm string, _ Patience) ([]jwt.VerificationKey, error) {
	return s.find(id, algorithm), nil
}
