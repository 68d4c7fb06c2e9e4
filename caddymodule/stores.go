package caddymodule

import (
	"fmt"
	"path/filepath"

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
	// Open opens the store.
	Open(OpenOptions) (store.Store, error)
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
	return nil
}

// Key implements Opener.
func (b *BadgerStore) Key() string { return b.Path }

// Open implements Opener.
func (b *BadgerStore) Open(o OpenOptions) (store.Store, error) {
	return badger.Open(badger.Options{Path: b.Path, Durability: o.Durability, Queue: o.Queue, Retention: o.Retention, Log: o.Log})
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
)
