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
	Open(store.Durability, func(msg string, err error)) (store.Store, error)
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
	b.Path, err = absolute(b.Path, "auditgate")
	return err
}

// Key implements Opener.
func (b *BadgerStore) Key() string { return b.Path }

// Open implements Opener.
func (b *BadgerStore) Open(d store.Durability, log func(string, error)) (store.Store, error) {
	return badger.Open(badger.Options{Path: b.Path, Durability: d, Log: log})
}

// absolute resolves a directory of the configuration; empty, it is the one
// of that name in Caddy's data directory.
func absolute(dir, name string) (string, error) {
	if dir == "" {
		return filepath.Join(caddy.AppDataDir(), name), nil
	}
	dir, err := caddy.NewReplacer().ReplaceOrErr(dir, true, true)
	if err != nil {
		return "", fmt.Errorf("directory %s: %w", dir, err)
	}
	return filepath.Abs(dir)
}

// Interface guards
var (
	_ caddy.Provisioner = (*BadgerStore)(nil)
	_ Opener            = (*BadgerStore)(nil)
)
