package caddymodule

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/auditgate/auditgate/store"
	"github.com/auditgate/auditgate/store/badger"
)

func init() { caddy.RegisterModule(BadgerStore{}) }

// Opener is what a module in the namespace `auditgate.stores` is: it says what
// it would open, and opens it.
type Opener interface {
	// Key names what Open opens, the same for all that must not be open twice.
	// For a store in a directory it is the directory's absolute path.
	Key() string
	// Fixed says in words what else cannot change while the store is open.
	Fixed() string
	// Open opens the store.
	Open(OpenOptions) (store.Store, error)
}

// Directory is an Opener whose store is a directory of this machine, in which there
// is room for what is small and belongs to the records.
type Directory interface {
	// Directory returns its absolute path. It is there when the store is open, and
	// belongs to this process alone until the store is closed.
	Directory() string
}

// OpenOptions are what the app says about every store.
type OpenOptions struct {
	Durability store.Durability
	// Queue is how many bytes of records may wait for their commit.
	Queue int64
	// Retention is how long records are kept at first; see [store.Store].
	Retention store.Retention
	// Log is told what an operator should know; err may be nil.
	Log func(msg string, err error)
}

// BadgerStore keeps records in a directory of this machine, in embedded Badger.
type BadgerStore struct {
	// The directory to keep records in. It is made if there is none, and must
	// belong to one running gateway alone. Placeholders work. Default:
	// `auditgate` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	// What records are encrypted with: a key of 16, 24 or 32 bytes, in hexadecimal
	// digits or in base64, as `openssl rand -hex 32` makes one. Placeholders work, and
	// keep the key out of the configuration: `{file./run/secrets/audit-key}`. Further
	// keys are older ones, which only read; one that nothing needs any more is named in
	// the log at start. What was written before there was a key stays as it is, and can
	// be read. Without its key a store does not open, and nobody can bring it back: keep
	// a copy elsewhere. It cannot change while the store is open. Default: none, and
	// records are not encrypted.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	keys *store.Keyring
}

// CaddyModule implements caddy.Module.
func (BadgerStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "auditgate.stores.badger", New: func() caddy.Module { return new(BadgerStore) }}
}

// Provision implements caddy.Provisioner. It touches no file.
func (b *BadgerStore) Provision(caddy.Context) (err error) {
	if b.Path, err = absolute(b.Path, "auditgate"); err != nil {
		return err
	}
	// Two spellings of one directory are one store.
	if real, err := filepath.EvalSymlinks(b.Path); err == nil {
		b.Path = real
	}
	b.keys, err = keyring(b.EncryptionKeys)
	return err
}

// keyring reads encryption keys, in which placeholders stand. An error tells nothing of
// a key.
func keyring(texts []string) (*store.Keyring, error) {
	var secrets [][]byte
	for i, text := range texts {
		resolved, err := caddy.NewReplacer().ReplaceOrErr(text, false, true)
		if err == nil && strings.TrimSpace(resolved) == "" {
			err = errors.New("it is empty: is there a file or a variable of that name, and may this user read it?")
		}
		var secret []byte
		if err == nil {
			secret, err = store.ParseKey(resolved)
		}
		if err != nil && strings.Contains(text, "{") {
			err = fmt.Errorf("%s: %w", text, err)
		}
		if err != nil {
			return nil, fmt.Errorf("encryption_key %d: %w", i+1, err)
		}
		secrets = append(secrets, secret)
	}
	k, err := store.NewKeyring(secrets...)
	if err != nil {
		return nil, fmt.Errorf("encryption_key lines: %w", err)
	}
	return k, nil
}

// Key implements Opener.
func (b *BadgerStore) Key() string { return b.Path }

// Fixed implements Opener.
func (b *BadgerStore) Fixed() string {
	if b.keys == nil {
		return "no encryption key"
	}
	words := "encryption key " + b.keys.ID().String()
	for _, id := range b.keys.Old() {
		words += " and " + id.String()
	}
	return words
}

// Directory implements Directory.
func (b *BadgerStore) Directory() string { return b.Path }

// Open implements Opener.
func (b *BadgerStore) Open(o OpenOptions) (store.Store, error) {
	return badger.Open(badger.Options{Path: b.Path, Durability: o.Durability, Keys: b.keys, Queue: o.Queue, Retention: o.Retention, Log: o.Log})
}

// absolute resolves a directory of the configuration; empty, it is the one
// of that name in Caddy's data directory.
func absolute(dir, name string) (string, error) {
	if dir == "" {
		return filepath.Join(caddy.AppDataDir(), name), nil
	}
	resolved, err := caddy.NewReplacer().ReplaceOrErr(dir, true, true)
	if err != nil {
		return "", fmt.Errorf("directory %s: %w", dir, err)
	}
	return filepath.Abs(resolved)
}

// Interface guards
var (
	_ caddy.Provisioner = (*BadgerStore)(nil)
	_ Opener            = (*BadgerStore)(nil)
	_ Directory         = (*BadgerStore)(nil)
)
