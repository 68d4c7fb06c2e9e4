package caddymodule

import (
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/auditgate/auditgate/capture/identity"
)

// remoteKeys are the key sets that issuers publish, by URL. They outlive
// configurations, so that a reload while the issuer is away keeps the last good
// ones, and many reloads fetch no more often than one.
var remoteKeys = caddy.NewUsagePool()

// pooledKeys is a key set in the pool. What it has to tell goes to the log of the newest
// configuration that holds it: that of the first may be closed.
type pooledKeys struct {
	*identity.RemoteKeys
	mu   sync.Mutex
	logs []*logFunc
}

type logFunc func(msg string, err error)

// Destruct implements caddy.Destructor.
func (*pooledKeys) Destruct() error { return nil }

// hold has a log told, until release.
func (p *pooledKeys) hold(log logFunc) (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logs = append(p.logs, &log)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.logs = slices.DeleteFunc(p.logs, func(l *logFunc) bool { return l == &log })
	}
}

// tell tells the newest log.
func (p *pooledKeys) tell(msg string, err error) {
	p.mu.Lock()
	var log *logFunc
	if n := len(p.logs); n > 0 {
		log = p.logs[n-1]
	}
	p.mu.Unlock()
	if log != nil {
		(*log)(msg, err)
	}
}

// held is what a module of one configuration holds on to.
type held []func()

// release lets go of all, once.
func (h *held) release() {
	for _, release := range *h {
		release()
	}
	*h = nil
}

// publishedKeys returns the key set under a URL, which is fetched when the first
// token comes.
func publishedKeys(ctx caddy.Context, at string, h *held) (*identity.RemoteKeys, error) {
	at, err := caddy.NewReplacer().ReplaceOrErr(at, true, true)
	if err == nil {
		err = checkURL(at)
	}
	if err != nil {
		return nil, fmt.Errorf("jwks_url: %w", err)
	}
	pooled, _, _ := remoteKeys.LoadOrNew(at, func() (caddy.Destructor, error) {
		p := new(pooledKeys)
		p.RemoteKeys = identity.NewRemoteKeys(at, nil, p.tell)
		return p, nil
	})
	keys := pooled.(*pooledKeys)
	release := keys.hold(logTo(ctx, "jwks_url", at))
	*h = append(*h, func() {
		release()
		_, _ = remoteKeys.Delete(at)
	})
	return keys.RemoteKeys, nil
}

// keystone returns who asks the Keystone at a URL. It asks nothing yet.
func keystone(ctx caddy.Context, at string) (*identity.Keystone, error) {
	at, err := caddy.NewReplacer().ReplaceOrErr(at, true, true)
	if err == nil {
		err = checkKeystone(at)
	}
	if err != nil {
		return nil, fmt.Errorf("keystone: %w", err)
	}
	return identity.NewKeystone(at, nil, logTo(ctx, "keystone", at)), nil
}

// checkKeystone refuses what is no address of a Keystone.
func checkKeystone(text string) error {
	if err := checkURL(text); err != nil {
		return err
	}
	if strings.Contains(text, "?") {
		return fmt.Errorf("%q has a query: want the address alone, as in https://keystone.example.org:5000/v3", text)
	}
	return nil
}

// logTo returns a log that says of each line which server it is about. A line without
// an error is good news.
func logTo(ctx caddy.Context, name, at string) func(msg string, err error) {
	log := ctx.Slogger().With(slog.String(name, at))
	return func(msg string, err error) {
		if err != nil {
			log.Error(msg, slog.Any("error", err))
			return
		}
		log.Info(msg)
	}
}

// checkURL refuses what is no address to ask over HTTP. Credentials do not belong
// there: a log may show it.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err == nil && u.User != nil {
		return fmt.Errorf("%q names a user: an address that a log may show must not", u.Redacted())
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		return fmt.Errorf("%q is no address: want one as in https://id.example.org/keys, without a fragment", text)
	}
	return nil
}
