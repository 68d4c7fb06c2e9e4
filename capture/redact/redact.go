package redact

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"sync"
)

// KeySize is how many bytes a key has at least.
const KeySize = 32

// DefaultsVersion is raised whenever other things are secret by default, or other
// text stands for them.
const DefaultsVersion = 2

// Options say what is secret. With nothing but Key they are the defaults.
type Options struct {
	// Key makes what stands for a secret unguessable: at least [KeySize] random
	// bytes. The same key gives the same text for the same secret.
	Key []byte
	// Headers and Fields are names that are secret beside the defaults: of
	// headers, and of fields in JSON, forms, queries and text. A name that is
	// no longer than [MaxName] and has a letter or digit will do.
	Headers, Fields []string
	// Pointers are the places of secret values in a body of either side, as JSON
	// pointers (RFC 6901): of JSON, or "/name" of the field of a form. They are
	// what [Result.Redacted] shows behind the colon; a token * stands for every
	// element of a list. No more than [MaxRules].
	Pointers []string
	// Keep are the exceptions. No more than [MaxRules].
	Keep []Keep
	// Paths are patterns of paths with secrets in them, as "/reset/:secret": see
	// [Keep.Path]. The segments named :secret are hidden in the path of a call,
	// and in URLs that stand in headers and bodies. No more than [MaxRules].
	Paths []string
	// Values are the detectors of secrets that no name tells: "jwt", "pem" and
	// "card". With nil they are jwt and pem, with an empty list none.
	Values []string
	// Mode is what stands in the place of a secret.
	Mode Mode
}

// MaxRules is how many pointers, exceptions and patterns there may be, of each.
const MaxRules = 256

// Keep is a value with a secret name that is not secret after all in some calls:
// what stands in it is judged by its own names.
type Keep struct {
	// Pointer is the place of the value in a body of either side: see
	// [Options.Pointers].
	Pointer string
	// Method is that of the calls; "" and "*" are any.
	Method string
	// Path is a pattern for the path of the calls: * and :name are any one
	// segment, a last /* is the rest, and other segments are themselves, in
	// either case of letters. "" is any path.
	Path string
}

// Call is what rules may depend on.
type Call struct {
	Method string
	Path   string // as the client sent it, without query
}

// Redactor takes secrets out. It never changes; any number of goroutines may
// use it at once.
type Redactor struct {
	mode      Mode
	names     *names
	pointers  []pointer
	keeps     []exception
	paths     []pattern
	detectors detectors
	listed    Explanation // what the options list, for Explain

	values  sync.Pool // of hash.Hash, keyed for values
	digests sync.Pool // of hash.Hash, keyed for digests
	jobs    sync.Pool // of *job
}

// New returns a Redactor, or an error that says which option is wrong.
func New(o Options) (*Redactor, error) {
	if len(o.Key) < KeySize {
		return nil, fmt.Errorf("redaction key has %d bytes, want at least %d", len(o.Key), KeySize)
	}
	if int(o.Mode) >= len(modes) {
		return nil, fmt.Errorf("redaction mode %d is not known", o.Mode)
	}
	r := &Redactor{mode: o.Mode}
	var err error
	if r.names, err = newNames(o.Headers, o.Fields); err != nil {
		return nil, err
	}
	if r.pointers, err = rules("secret pointers", o.Pointers, parsePointer); err != nil {
		return nil, err
	}
	if r.keeps, err = rules("exceptions to keep", o.Keep, parseKeep); err != nil {
		return nil, err
	}
	if r.paths, err = rules("secret paths", o.Paths, secretPattern); err != nil {
		return nil, err
	}
	if r.detectors, err = newDetectors(o.Values); err != nil {
		return nil, err
	}
	r.listed = Explanation{
		Headers: slices.Clone(o.Headers), Fields: slices.Clone(o.Fields),
		Pointers: slices.Clone(o.Pointers), Values: r.detectors.names(), Mode: o.Mode,
	}
	if err := keyed(&r.values, o.Key, "auditgate redacted value"); err != nil {
		return nil, err
	}
	if err := keyed(&r.digests, o.Key, "auditgate body digest"); err != nil {
		return nil, err
	}
	r.jobs.New = func() any { return &job{r: r} }
	return r, nil
}

// rules reads each rule of a list.
func rules[T, R any](kind string, list []T, parse func(T) (R, error)) ([]R, error) {
	if len(list) > MaxRules {
		return nil, fmt.Errorf("%d %s, want no more than %d", len(list), kind, MaxRules)
	}
	var read []R
	for _, text := range list {
		rule, err := parse(text)
		if err != nil {
			return nil, err
		}
		read = append(read, rule)
	}
	return read, nil
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

// Value returns what stands for a secret with [HMAC]: "hmac:" and 32 lower-case hexadecimal
// digits, the first half of its HMAC-SHA256.
func (r *Redactor) Value(secret []byte) string {
	sum := mac(&r.values, secret)
	var text [valueSize]byte
	copy(text[:], valuePrefix)
	hex.Encode(text[len(valuePrefix):], sum[:valueBytes])
	return string(text[:])
}

// Digest returns the keyed digest of a body of which something was redacted or
// withheld, in lower-case hexadecimal: the HMAC-SHA256 of the SHA-256 of its
// bytes on the wire. Who has key and body can check it; who has not cannot
// guess a weak secret from it.
func (r *Redactor) Digest(sha256sum [sha256.Size]byte) string {
	sum := mac(&r.digests, sha256sum[:])
	return hex.EncodeToString(sum[:])
}
