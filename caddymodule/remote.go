package caddymodule

import (
	"fmt"
	"log/slog"
	"net/url"

	"github.com/caddyserver/caddy/v2"

	"github.com/auditgate/auditgate/capture/identity"
)

// remoteKeys are the key sets that issuers publish, by URL. They outlive
// configurations, so that a reload while the issuer is away keeps the last good
// ones, and many reloads fetch no more often than one.
var remoteKeys = caddy.NewUsagePool()

// pooledKeys is a key set in the pool.
type pooledKeys struct{ *identity.RemoteKeys }

// Destruct implements caddy.Destructor.
func (pooledKeys) Destruct() error { return nil }

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
	log := ctx.Slogger().With(slog.String("jwks_url", at))
	keys, _, _ := remoteKeys.LoadOrNew(at, func() (caddy.Destructor, error) {
		return pooledKeys{identity.NewRemoteKeys(at, nil, func(msg string, err error) {
			if err != nil {
				log.Error(msg, slog.Any("error", err))
				return
			}
			log.Info(msg)
		})}, nil
	})
	*h = append(*h, func() { _, _ = remoteKeys.Delete(at) })
	return keys.(pooledKeys).RemoteKeys, nil
}

// checkURL refuses what is no address to ask over HTTP. Credentials do not belong
// there: a log may show it.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is no address: want one as in https://id.example.org/keys, without user and fragment", text)
	}
	return nil
}
