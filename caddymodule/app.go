package caddymodule

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/store"
)

func init() { caddy.RegisterModule(App{}) }

// defaultMemory is the default of App.Memory.
const defaultMemory = 128 << 20

// minMemory is the least that App.Memory may be: a few calls with their bodies.
const minMemory = 1 << 20

// App is what all sites of a configuration share: the store of records, and the
// keys. It outlives the configuration: calls that are under way when Caddy
// reloads become records all the same.
//
// It is there with its defaults where the configuration does not mention it.
type App struct {
	// Where records are kept. Default: `badger`, in Caddy's data directory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=auditgate.stores inline_key=engine"`

	// The directory of the keys that the gateway makes for itself: one that
	// keys the hashes which stand for secrets, one that signs tokens. It must
	// not lie in the store. Keep a copy of it. Placeholders work. Default:
	// `auditgate-keys` in Caddy's data directory.
	Keys string `json:"keys,omitempty"`

	// When a record counts as stored: `fsync`, on stable storage, so that it
	// survives a power cut; or `os`, in the hands of the operating system, so
	// that it survives the end of the process. It cannot change while the store
	// is open. Default: `fsync`.
	Durability store.Durability `json:"durability,omitempty"`

	// How many bytes of memory calls may take until they are stored: three
	// quarters for taps and for calls that wait to become records, a quarter for
	// records that wait for their commit. When they are used up, calls are
	// recorded without bodies; only past that are they lost, and counted. A
	// change of the last quarter takes effect when the store is opened again.
	// Default: 128 MiB, at least 1 MiB.
	Memory int64 `json:"memory,omitempty"`

	// How long records are kept. A change takes effect a minute after it was loaded.
	Retention Retention `json:"retention,omitzero"`

	opener Opener
	ctx    caddy.Context
	log    *slog.Logger
	// loadKeys reads the keys, or makes them, once.
	loadKeys func() (*keys, error)
	// release ends the lease that the app holds while it is started, and unretain
	// its word on how long records are kept.
	release, unretain func()
	// ownTokens is set by an API that accepts tokens of the gateway's own key.
	ownTokens bool
	// restricted are the sources that only tokens see which name them, unless an API
	// says others: captures add to them as they are provisioned.
	restricted []string
	// restrictsAlone is set by an API that says none.
	restrictsAlone bool
	// parts are the modules of the configuration, for its digest: see note.
	parts []string
	// started records that the configuration was loaded.
	started func()
}

// CaddyModule implements caddy.Module.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "auditgate", New: func() caddy.Module { return new(App) }}
}

// Provision implements caddy.Provisioner. It opens nothing and makes no file:
// Caddy also provisions what it only validates.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log = ctx, ctx.Slogger()
	text, err := written(a)
	if err != nil {
		return err
	}
	a.note("auditgate", text)
	if err := onStarted(ctx, func() { a.started() }); err != nil {
		return err
	}
	if a.Durability == "" {
		a.Durability = store.Fsync
	}
	if a.Memory == 0 {
		a.Memory = defaultMemory
	}
	if len(a.StoreRaw) == 0 {
		a.StoreRaw = json.RawMessage(`{"engine": "badger"}`)
	}
	a.Retention.setDefaults()
	module, err := ctx.LoadModule(a, "StoreRaw")
	if err != nil {
		return fmt.Errorf("loading the store module: %w", err)
	}
	a.opener = module.(Opener)
	if a.Keys, err = absolute(a.Keys, "auditgate-keys"); err != nil {
		return err
	}
	a.loadKeys = sync.OnceValues(func() (*keys, error) { return loadKeys(a.Keys) })
	return registerMetrics(ctx.GetMetricsRegistry(), a.opener.Key())
}

// Validate implements caddy.Validator.
func (a *App) Validate() error {
	switch a.Durability {
	case store.Fsync, store.OS:
	default:
		return fmt.Errorf("durability %q is unknown: want fsync or os", a.Durability)
	}
	if a.Memory < minMemory {
		return fmt.Errorf("memory is %s: want %s or more",
			humanize.IBytes(uint64(max(a.Memory, 0))), humanize.IBytes(minMemory))
	}
	if err := a.Retention.store().Check(); err != nil {
		return err
	}
	if rel, err := filepath.Rel(a.opener.Key(), a.Keys); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return fmt.Errorf("keys lie in the store (%s is in %s): whoever has a copy of the records would have the keys too",
			a.Keys, a.opener.Key())
	}
	return nil
}

// Start implements caddy.App.
func (a *App) Start() error {
	k, err := a.loadKeys()
	if err != nil {
		return err
	}
	for _, err := range k.unread {
		a.log.Error("hashes made with an old redaction key cannot be looked up", slog.Any("error", err))
	}
	e, release := a.lease()
	if want := a.options(); e.options != want {
		release()
		return fmt.Errorf("the store %s is open with %s and cannot change to %s while it is: restart instead of reloading",
			e.key, e.options, want)
	}
	select {
	case <-e.opened:
		if e.err != nil {
			e.told.Store(true)
			release()
			return e.err
		}
		a.log.Info("records are kept", slog.String("store", e.key))
	case <-e.full: // which is no reason to hold up what passes
	}
	a.release, a.unretain = release, e.retain(a.Retention.store())
	// A core dump would hold bodies before their secrets are taken out.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		a.log.Warn("core dumps cannot be switched off", slog.Any("error", err))
	}
	e.pipeline.Budget().SetLimit(a.captures())
	s := a.survey()
	a.hideAllInLog(s)
	warnings := a.warnings(s)
	a.report(s, warnings)
	if a.ownTokens && term.IsTerminal(int(os.Stdout.Fd())) {
		greeted.Do(func() { a.greet(k) })
	}
	told := a.describe(k, s, warnings)
	a.started = func() { e.addLater(told.record()) }
	return nil
}

// greeted keeps reloads from printing a token again.
var greeted sync.Once

// Stop implements caddy.App.
func (a *App) Stop() error {
	if a.release != nil {
		a.unretain()
		a.release()
	}
	return nil
}

// captures is the part of the memory that is for taps and for calls that wait to
// become records.
func (a *App) captures() int64 { return a.Memory / 4 * 3 }

// options are those that cannot change while the store is open, in words.
func (a *App) options() string {
	return "durability " + string(a.Durability) + ", " + a.opener.Fixed()
}

// redactor returns a redactor under the current key. What o calls secret is from
// now on hidden in Caddy's log as well.
func (a *App) redactor(o redact.Options) (*redact.Redactor, error) {
	k, err := a.loadKeys()
	if err != nil {
		return nil, err
	}
	a.hideInLog(o)
	o.Key = k.redaction
	return redact.New(o)
}

// hideAllInLog takes out of Caddy's log what the captures of the configuration
// call secret, also those that have no call yet or never make a record.
func (a *App) hideAllInLog(s *survey) {
	for _, c := range s.captures {
		if o, err := c.capture.redaction().options(); err == nil { // it is checked already
			a.hideInLog(o)
		}
	}
}

func (a *App) hideInLog(o redact.Options) {
	if err := logRules.add(o); err != nil {
		a.log.Error("what a capture calls secret is not all hidden in Caddy's log", slog.Any("error", err))
	}
}

// lease returns the engine of this configuration. Servers may start before the
// app does; the first call then makes the engine.
func (a *App) lease() (*engine, func()) {
	return lease(a.opener.Key(), func() *engine {
		return startEngine(a.opener.Key(), a.options(), a.captures(), a.log, func() (store.Store, error) {
			return a.opener.Open(OpenOptions{Durability: a.Durability, Queue: a.Memory - a.captures(), Retention: a.Retention.store(), Log: a.logStore})
		}, a.remember)
	})
}

// remember loads what was learned about tokens, if the store has a directory for it.
func (a *App) remember(book *identity.Book) error {
	dir, ok := a.opener.(Directory)
	if !ok {
		return nil
	}
	k, err := a.loadKeys()
	if err != nil {
		return err
	}
	return book.Load(filepath.Join(dir.Directory(), "state", "learned"), k.learned(), a.logStore)
}

// logStore passes on what a store has to say.
func (a *App) logStore(msg string, err error) {
	if err != nil {
		a.log.Error(msg, slog.Any("error", err))
		return
	}
	a.log.Warn(msg)
}

// appOf returns the app of a configuration, made with defaults where the
// configuration does not mention it.
func appOf(ctx caddy.Context) (*App, error) {
	app, err := ctx.App("auditgate")
	if err != nil {
		return nil, fmt.Errorf("loading the auditgate app: %w", err)
	}
	return app.(*App), nil
}

// Interface guards
var (
	_ caddy.App         = (*App)(nil)
	_ caddy.Provisioner = (*App)(nil)
	_ caddy.Validator   = (*App)(nil)
)
