package caddymodule

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/store"
)

// Lease takes a lease on the engine of a store in dir. opened waits until the
// store is open.
func Lease(dir string) (opened func() error, release func()) {
	e, release := lease(dir, func() *engine {
		return startEngine(dir, "", minMemory, slog.New(slog.DiscardHandler), func() (store.Store, error) {
			return (&BadgerStore{Path: dir}).Open(OpenOptions{Durability: store.OS})
		}, func(*identity.Book) error { return nil })
	})
	return func() error { <-e.opened; return e.err }, release
}

// Leased reports whether somebody holds the engine of a store in dir.
func Leased(dir string) bool {
	_, leased := engines.References(dir)
	return leased
}

// engineOf returns the engine of a store in dir, which is leased.
func engineOf(dir string) *engine {
	e, release := lease(dir, nil)
	release()
	return e
}

// StoreOf returns the store in dir, which is leased and open.
func StoreOf(dir string) store.Store { return engineOf(dir).store }

// Retain lets the store in dir keep records for as long as r says, until end.
func Retain(dir string, r store.Retention) (end func()) { return engineOf(dir).retain(r) }

// Figures are the metrics of the store in dir that have one value, by name and labels.
func Figures(t *testing.T, dir string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := registerMetrics(registry, dir); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	figures := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := f.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			figures[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return figures
}

// CloseAll is what runs at exit.
var CloseAll = closeAll

// Keys and their functions, for tests.
type Keys = keys

var (
	LoadKeys  = loadKeys
	RotateKey = rotateKey
)

func (k *keys) Token(role string, projects, sources []string, ttl time.Duration) (string, error) {
	return k.token(role, projects, sources, ttl)
}

func (k *keys) Redaction() []byte { return k.redaction }

// AddLogRules adds to what is secret in Caddy's log.
var AddLogRules = logRules.add

// LogText is a text as Caddy's log has it.
var LogText = logText

// ForgetLogRules makes that the defaults again.
func ForgetLogRules() {
	logRules.options = redact.Options{}
	logRules.current.Store(nil)
}

func (k *keys) Marker() []byte { return k.marker() }

func (k *keys) Public() []byte { return k.public() }

func (k *keys) Unread() []error { return k.unread }

func (k *keys) OldKeys() (all [][]byte) {
	for _, old := range k.old {
		all = append(all, old.secret)
	}
	return all
}

func (k *keys) Hashes(value []byte) ([]auditapi.Hash, bool) {
	hashes, err := k.hashes()
	if err != nil {
		panic(err)
	}
	return hashes(value)
}
