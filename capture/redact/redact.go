package redact

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"
)

// KeySize is how many bytes a key has at least.
const KeySize = 32

// Options say what is secret. With nothing but Key they are the defaults.
type Options struct {
	// Key makes what stands for a secret unguessable: at least [KeySize] random
	// bytes. The same key gives the same text for the same secret.
	Key []byte
	// Headers and Fields are names that are secret beside the defaults: of
	// headers, and of fields in JSON, forms, queries and text. A name that is
	// no longer than [MaxName] and has a letter or digit will do.
	Headers, Fields []string
}

// Redactor takes secrets out. It never changes; any number of goroutines may
// use it at once.
type Redactor struct {
	names   *names
	values  sync.Pool // of hash.Hash, keyed for values
	digests sync.Pool // of hash.Hash, keyed for digests
	jobs    sync.Pool // of *job
}

// New returns a Redactor, or an error that says which option is wrong.
func New(o Options) (*Redactor, error) {
	if len(o.Key) < KeySize {
		return nil, fmt.Errorf("redaction key has %d bytes, want at least %d", len(o.Key), KeySize)
	}
	n, err := newNames(o.Headers, o.Fields)
	if err != nil {
		return nil, err
	}
	r := &Redactor{names: n}
	if err := keyed(&r.values, o.Key, "auditgate redacted value"); err != nil {
		return nil, err
	}
	if err := keyed(&r.digests, o.Key, "auditgate body digest"); err != nil {
		return nil, err
	}
	r.jobs.New = func() any { return &job{r: r} }
	return r, nil
}

// keyed makes pool one of HMACs. Each use has a key of its own, so that what is
// published of one says nothing of another.
func keyed(pool *sync.Pool, key []byte, use string) error {
	derived, err := hkdf.Key(sha256.New, key, nil, use, sha256.Size)
	if err != nil {
		return fmt.Errorf("deriving key for %q: %w", use, err)
	}
	pool.New = func() any { return hmac.New(sha256.New, derived) }
	return nil
}

// mac returns the HMAC of data under the key of pool.
func mac(pool *sync.Pool, data []byte) (sum [sha256.Size]byte) {
	h := pool.Get().(hash.Hash)
	h.Reset()
	h.Write(data)
	h.Sum(sum[:0])
	pool.Put(h)
	return sum
}

const (
	valuePrefix = "hmac:"
	valueBytes  = 16 // of the HMAC: enough to tell any two secrets apart
	valueSize   = len(valuePrefix) + 2*valueBytes
)

// Value returns what stands for a secret: "hmac:" and 32 lower-case hexadecimal
// digits, the first half of its HMAC-SHA256.
func (r *Redactor) Value(secret []byte) string {
	sum := mac(&r.values, secret)
	var text [valueSize]byte
	copy(text[:], valuePrefix)
	hex.Encode(text[len(valuePrefix):], sum[:valueBytes])
	return string(text[:])
}

// isValue reports whether text is what Value returns for some secret.
func isValue(text []byte) bool {
	return len(text) == valueSize && hasValue(text)
}

// hasValue reports whether text begins with what Value returns for some secret.
func hasValue(text []byte) bool {
	if len(text) < valueSize || string(text[:len(valuePrefix)]) != valuePrefix {
		return false
	}
	for _, c := range text[len(valuePrefix):valueSize] {
		if (c < '0' || '9' < c) && (c < 'a' || 'f' < c) {
			return false
		}
	}
	return true
}

// Digest returns the keyed digest of a body of which something was redacted or
// withheld, in lower-case hexadecimal: the HMAC-SHA256 of the SHA-256 of its
// bytes on the wire. Who has key and body can check it; who has not cannot
// guess a weak secret from it.
func (r *Redactor) Digest(sha256sum [sha256.Size]byte) string {
	sum := mac(&r.digests, sha256sum[:])
	return hex.EncodeToString(sum[:])
}
