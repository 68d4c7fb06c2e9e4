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
)

// keys are the secrets that the gateway makes for itself. They lie in a
// directory of their own, apart from the records: who has the records alone can
// neither make tokens nor guess at what was redacted.
type keys struct {
	// redaction keys the hashes that stand for secrets.
	redaction []byte
	// signing signs the gateway's own tokens.
	signing ed25519.PrivateKey
}

// marker returns the key that markers are signed with.
func (k *keys) marker() []byte {
	mac := hmac.New(sha256.New, k.redaction)
	mac.Write([]byte("auditgate marker v1"))
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
	err := keyFile(filepath.Join(dir, "redaction.key"), func() ([]byte, error) {
		secret := make([]byte, 32)
		rand.Read(secret)
		return fmt.Appendf(nil, "%x\n", secret), nil
	}, func(content []byte) (err error) {
		k.redaction, err = hex.DecodeString(strings.TrimSpace(string(content)))
		if err == nil && len(k.redaction) != 32 {
			err = fmt.Errorf("has %d bytes", len(k.redaction))
		}
		if err != nil {
			return fmt.Errorf("want 64 hexadecimal digits: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = keyFile(filepath.Join(dir, "signing.pem"), func() ([]byte, error) {
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
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.Open(filepath.Dir(path)) // what is stored would be worth less without its key
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
