package caddymodule

import (
	"net"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// address is one that is asked about tokens.
type address struct {
	url    string // without placeholders
	danger string // what follows if it is asked over plain http
}

const (
	dangerOfKeys   = "jwks_url is plain http, so whoever is on the way can give keys of their own and be anybody; use https"
	dangerOfTokens = " is plain http, so whoever is on the way reads tokens and can say whose they are; use https"
)

// asked are the addresses that a handler asks.
func asked(handler any) (all []address) {
	add := func(at, danger string) {
		if at != "" {
			all = append(all, address{caddy.NewReplacer().ReplaceAll(at, ""), danger})
		}
	}
	keys := func(j *JWT) {
		if j != nil {
			add(j.JWKSURL, dangerOfKeys)
		}
	}
	switch h := handler.(type) {
	case *API:
		keys(h.JWT)
		add(h.Keystone, "keystone"+dangerOfTokens)
	case *Capture:
		if h.Identity == nil {
			break
		}
		for _, m := range h.Identity.Methods {
			keys(m.JWT)
			if m.Introspect != nil {
				add(m.Introspect.URL, "introspect"+dangerOfTokens)
			}
		}
	}
	return all
}

// plain reports whether what is said there can be read and changed on its way, which
// leads out of this machine.
func (a address) plain() bool {
	u, err := url.Parse(a.url)
	if err != nil || u.Scheme != "http" {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	ip := net.ParseIP(host)
	return host != "localhost" && !strings.HasSuffix(host, ".localhost") && (ip == nil || !ip.IsLoopback())
}
