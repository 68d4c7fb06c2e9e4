package identity

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// checkSignature returns the payload of a token, a JWS in compact form (RFC 7515), if it
// was signed with a key and by an algorithm that are accepted here. What the payload
// says, and whether it says anything, is not looked at; nor is anything that the header
// says of keys but for the key id (jwk, jku, x5c, x5u).
//
// Its errors are as those of [Verifier.Verify]. It refuses what two readers of the same
// token could understand in two ways: characters beside base64url, bits that stand for
// nothing, names in the header that stand twice. The signature was made over one
// reading and says nothing of the other.
func (v *Verifier) checkSignature(ctx context.Context, token string, p Patience) (payload []byte, err error) {
	if len(token) > MaxTokenLen {
		return nil, fmt.Errorf("token has %d bytes, want %d at most", len(token), MaxTokenLen)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("token is not a JWT, which has three parts with dots between them")
	}
	var decoded [3][]byte
	for i, name := range [3]string{"header", "payload", "signature"} {
		if decoded[i], err = fromBase64(parts[i]); err != nil {
			return nil, fmt.Errorf("%s of the token is not base64url", name)
		}
	}
	if err := checkObject(decoded[0]); err != nil {
		return nil, fmt.Errorf("header of the token %w", err)
	}
	var header map[string]any // which knows no other case of a name, as a struct would
	if err := json.Unmarshal(decoded[0], &header); err != nil {
		return nil, errors.New("header of the token is not a JSON object")
	}
	if _, ok := header["crit"]; ok {
		return nil, errors.New("token has critical header parameters (crit), and none is understood here")
	}
	id, isString := header["kid"].(string)
	if _, ok := header["kid"]; ok && !isString {
		return nil, errors.New("key id (kid) of the token is not a string")
	}
	algorithm, _ := header["alg"].(string)
	if !slices.Contains(v.accepts, algorithm) {
		return nil, v.notSigned()
	}
	keys, err := v.source.keys(ctx, id, algorithm, p)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("no key that is known here has the key id (kid) and algorithm of the token")
	}
	method, signed := methods[algorithm], token[:len(parts[0])+1+len(parts[1])]
	for _, key := range keys {
		if method.Verify(signed, decoded[2], key) == nil {
			return decoded[1], nil
		}
	}
	return nil, v.notSigned()
}

// methods are those of algorithms.
var methods = map[string]jwt.SigningMethod{
	"RS256": jwt.SigningMethodRS256,
	"PS256": &jwt.SigningMethodRSAPSS{ // the library's takes salts of any length; RFC 7518 has one
		SigningMethodRSA: jwt.SigningMethodPS256.SigningMethodRSA,
		VerifyOptions:    &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256},
	},
	"ES256": jwt.SigningMethodES256,
	"EdDSA": jwt.SigningMethodEdDSA,
	"HS256": jwt.SigningMethodHS256,
}

func (v *Verifier) notSigned() error {
	return fmt.Errorf("token is not signed with a key that is known here, by %s", strings.Join(v.accepts, ", "))
}

// fromBase64 decodes one part of a token.
func fromBase64(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") { // the decoder steps over them
		return nil, errors.New("line break")
	}
	return base64.RawURLEncoding.Strict().DecodeString(part)
}
