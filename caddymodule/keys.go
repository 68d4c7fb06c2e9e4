package caddymodule

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/auditgate/auditgate/capture/redact"
)

// keys are the secrets that the gateway makes for itself. They lie in a
// directory of their own, apart from the records: who has the records alone can
// neither make tokens nor guess at what was redacted.
type keys struct {
	// redaction keys the hashes that stand for secrets.
	redaction []byte
	// since is when redaction took the place of another key; zero, if it never did.
	since time.Time
	// old are those that redaction came after, newest first: the hashes of
	// records from their time can still be found.
	old []oldKey
	// unread says of which old keys that is not so, and why.
	unread []error
	// signing signs the gateway's own tokens.
	signing ed25519.PrivateKey
}

// marker returns the key that markers are sealed with. It comes from the signing
// key, so that a listing can be read to its end over a rotation of the other.
func (k *keys) marker() []byte { return k.derive("auditgate marker v2") }

// learned returns the key that seals what was learned of tokens. It comes from the
// signing key as well.
func (k *keys) learned() []byte { return k.derive("auditgate learned v1") }

// derive returns a key for one purpose, of the signing key.
func (k *keys) derive(purpose string) []byte {
	mac := hmac.New(sha256.New, k.signing.Seed())
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// public returns the key that the gateway's own tokens are checked with.
func (k *keys) public() ed25519.PublicKey { return k.signing.Public().(ed25519.PublicKey) }

// loadKeys reads the keys in dir, and makes those that are not there.
func loadKeys(dir string) (*keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory for keys: %w", err)
	}
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the directory for keys, %s, is open to others (mode %#o): run `chmod 700 %s`",
			dir, info.Mode().Perm(), dir)
	}
	var k keys
	err := keyFile(filepath.Join(dir, redactionFile), newRedactionKey, func(content []byte) (err error) {
		k.redaction, err = parseRedactionKey(content)
		return err
	})
	if err != nil {
		return nil, err
	}
	// After the current one: a rotation meanwhile leaves that among the old ones.
	if k.old, k.since, k.unread, err = loadOldKeys(dir, k.redaction); err != nil {
		return nil, err
	}
	err = keyFile(filepath.Join(dir, signingFile), func() ([]byte, error) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
	}, func(content []byte) error {
		block, _ := pem.Decode(content)
		if block == nil {
			return errors.New("want an Ed25519 private key in PEM (PKCS #8)")
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return fmt.Errorf("want an Ed25519 private key in PEM (PKCS #8): %w", err)
		}
		private, ok := key.(ed25519.PrivateKey)
		if !ok {
			return fmt.Errorf("want an Ed25519 private key in PEM (PKCS #8), this is a %T", key)
		}
		k.signing = private
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &k, nil
}

// The names of the current keys.
const (
	redactionFile = "redaction.key"
	signingFile   = "signing.pem"
)

// newRedactionKey returns the content of a file with a new key.
func newRedactionKey() ([]byte, error) {
	secret := make([]byte, redact.KeySize)
	rand.Read(secret)
	return fmt.Appendf(nil, "%x\n", secret), nil
}

// parseRedactionKey reads such a file. Nothing of it stands in the error.
func parseRedactionKey(content []byte) ([]byte, error) {
	secret, err := hex.DecodeString(strings.TrimSpace(string(content)))
	if err != nil || len(secret) != redact.KeySize {
		return nil, fmt.Errorf("want %d hexadecimal digits", 2*redact.KeySize)
	}
	return secret, nil
}

// keyFile reads a key with parse. Where there is no such file it first writes
// what create returns; of two that do so at once one wins.
func keyFile(path string, create func() ([]byte, error), parse func([]byte) error) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if content, err = create(); err == nil {
			err = writeOnce(path, content)
		}
		if err == nil {
			content, err = os.ReadFile(path)
		}
	}
	if err != nil {
		return fmt.Errorf("reading a key: %w", err)
	}
	if err := parse(content); err != nil {
		// Never make a new one in its place: what is stored would be unreadable
		// for comparison, and somebody may have a copy of the old one.
		return fmt.Errorf("the key %s is damaged, put its copy back or move it away to have a new one made: %w", path, err)
	}
	return nil
}

// writeOnce writes a file that is whole or not there, unless there is one.
func writeOnce(path string, content []byte) error {
	temporary, err := writeTemporary(path, content, -1)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := os.Link(temporary, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDirectory(filepath.Dir(path)) // what is stored would be worth less without its key
}

// writeTemporary writes a file that is to get the name path, of mode 0600 and for
// owner (-1: whoever runs this), and returns the name that it has until then.
func writeTemporary(path string, content []byte, owner int) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chown(owner, -1), f.Sync(), f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
