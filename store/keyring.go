package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrKey: what is on disk was written with a key that is not given. It is no damage:
// with the key all of it is there.
var ErrKey = errors.New("store is encrypted with another key")

// MaxKeys is how many keys a keyring has at most.
const MaxKeys = 16

// SealOverhead is how many bytes longer something is once it is sealed: the id of
// the key, a nonce and a tag.
const SealOverhead = len(KeyID{}) + 12 + 16

// KeyID names a key and tells nothing about it. The zero KeyID names none.
type KeyID [8]byte

// String returns 16 hexadecimal digits, or "none".
func (id KeyID) String() string {
	if id == (KeyID{}) {
		return "none"
	}
	return hex.EncodeToString(id[:])
}

// MarshalText implements [encoding.TextMarshaler].
func (id KeyID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *KeyID) UnmarshalText(text []byte) error {
	*id = KeyID{}
	if string(text) == "none" {
		return nil
	}
	if n, err := hex.Decode(id[:], text[:min(len(text), 16)]); err != nil || n != len(id) || len(text) != 16 {
		return fmt.Errorf("key id is %.40q, want 16 hexadecimal digits", text)
	}
	return nil
}

// Keyring are the keys of a store: what is written is sealed with the first, and all
// of them open. A nil Keyring has no keys, and what is written is plain.
type Keyring struct {
	ids     []KeyID
	secrets [][]byte
}

// ParseKey reads a key of 16, 24 or 32 bytes, in hexadecimal digits or in base64.
// The error tells nothing of it.
func ParseKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	key, err := hex.DecodeString(text)
	if err != nil {
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
		if key, err = base64.RawStdEncoding.DecodeString(plain); err != nil {
			return nil, fmt.Errorf("key of %d characters is neither hexadecimal nor base64: make one with `openssl rand -hex 32`", len(text))
		}
	}
	switch len(key) {
	case 16, 24, 32:
		return key, nil
	}
	return nil, fmt.Errorf("key has %d bytes, want 16, 24 or 32: make one with `openssl rand -hex 32`", len(key))
}

// NewKeyring returns the ring of keys of 16, 24 or 32 bytes, nil where there are none.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	if len(keys) > MaxKeys {
		return nil, fmt.Errorf("there are %d keys, want at most %d: leave out those that nothing needs", len(keys), MaxKeys)
	}
	k := new(Keyring)
	for i, secret := range keys {
		switch len(secret) {
		case 16, 24, 32:
		default:
			return nil, fmt.Errorf("key %d has %d bytes, want 16, 24 or 32", i+1, len(secret))
		}
		id := KeyID(derive(secret, "auditgate key id", len(KeyID{})))
		if k.Has(id) {
			return nil, fmt.Errorf("key %s is given twice", id)
		}
		k.ids, k.secrets = append(k.ids, id), append(k.secrets, bytes.Clone(secret))
	}
	return k, nil
}

// ID names the key that seals.
func (k *Keyring) ID() KeyID {
	if k == nil {
		return KeyID{}
	}
	return k.ids[0]
}

// Old names the other keys.
func (k *Keyring) Old() []KeyID {
	if k == nil {
		return nil
	}
	return k.ids[1:]
}

// Has reports whether the ring opens what that key sealed. What none has sealed needs
// no key.
func (k *Keyring) Has(id KeyID) bool {
	if k != nil {
		for _, own := range k.ids {
			if own == id {
				return true
			}
		}
	}
	return id == KeyID{}
}

// Check returns an error that wraps ErrKey and says what to do, where the ring cannot
// open what that key has sealed.
func (k *Keyring) Check(id KeyID, what string) error {
	switch {
	case k.Has(id):
		return nil
	case k == nil:
		return fmt.Errorf("%w: %s needs key %s, and none is given: give it as encryption_key, or use another path", ErrKey, what, id)
	}
	return fmt.Errorf("%w: %s needs key %s, and the one given is %s: give that one too, behind the new one, or use another path", ErrKey, what, id, k.ID())
}

// Sealer returns what seals and opens in one place, a file or a segment; nil for a
// nil Keyring. Its keys are derived for that place, so what is moved elsewhere does
// not open.
func (k *Keyring) Sealer(place string) *Sealer {
	if k == nil {
		return nil
	}
	s := &Sealer{ids: k.ids}
	for _, secret := range k.secrets {
		block, err := aes.NewCipher(derive(secret, "auditgate seal\n"+place, 32))
		if err != nil {
			panic(err) // the key has the length of one
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			panic(err) // the cipher is AES
		}
		s.aeads = append(s.aeads, aead)
	}
	return s
}

func derive(secret []byte, info string, length int) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, info, length)
	if err != nil {
		panic(err) // the lengths are constants
	}
	return key
}

// Sealer seals with AES-256-GCM. What it seals begins with the id of the key; the
// nonce is random, so that the same thing may be written again. One key and place are
// good for some 4 billion of them, and none comes near.
type Sealer struct {
	ids   []KeyID
	aeads []cipher.AEAD
}

// Seal appends plain, sealed, to dst, which it must not overlap. It opens only with
// the same about, which is not part of it.
func (s *Sealer) Seal(dst, plain, about []byte) []byte {
	return s.aeads[0].Seal(append(dst, s.ids[0][:]...), nil, plain, about)
}

// Open appends what was sealed to dst, which it must not overlap. An error wraps ErrKey where the key is not there.
func (s *Sealer) Open(dst, data, about []byte) ([]byte, error) {
	if len(data) < SealOverhead {
		return nil, fmt.Errorf("%d bytes are not sealed", len(data))
	}
	id := KeyID(data)
	if s != nil {
		for i, own := range s.ids {
			if own == id {
				return s.open(i, dst, data[len(id):], about)
			}
		}
	}
	return nil, fmt.Errorf("%w: key %s", ErrKey, id)
}

func (s *Sealer) open(i int, dst, data, about []byte) ([]byte, error) {
	if plain, err := s.aeads[i].Open(dst, nil, data, about); err == nil {
		return plain, nil
	}
	return nil, errors.New("it is not what was sealed with the key")
}
