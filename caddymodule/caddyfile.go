package caddymodule

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/store"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("auditgate", parseApp)
	httpcaddyfile.RegisterHandlerDirective("audit_capture", parseCapture)
	httpcaddyfile.RegisterHandlerDirective("audit_api", parseAPI)
	// Outside of redir, rewrite, basic_auth, forward_auth, encode and every
	// handle: what they answer is recorded, and the client's own URI and bytes
	// are seen.
	httpcaddyfile.RegisterDirectiveOrder("audit_capture", httpcaddyfile.Before, "header")
	httpcaddyfile.RegisterDirectiveOrder("audit_api", httpcaddyfile.Before, "respond")
}

// parseApp reads the global option:
//
//	auditgate {
//		store badger {
//			path           <dir>
//			encryption_key <key> [<older key…>]
//		}
//		keys       <dir>
//		durability fsync|os
//		memory     <size>
//		retention  <duration> {
//			reads <duration>
//			disk  <percent> [writes]
//		}
//	}
func parseApp(d *caddyfile.Dispenser, earlier any) (any, error) {
	d.Next() // consume option name
	if earlier != nil {
		return nil, d.Err("auditgate is given twice")
	}
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	app := new(App)
	b := block{Dispenser: d}
	for b.next() {
		switch d.Val() {
		case "store":
			b.once(func() error { return parseStore(d, &app.StoreRaw) })
		case "keys":
			b.once(func() error { return word(d, &app.Keys) })
		case "durability":
			b.once(func() error {
				return oneOf(d, (*string)(&app.Durability), string(store.Fsync), string(store.OS))
			})
		case "memory":
			b.once(func() error { return size(d, &app.Memory, minMemory) })
		case "retention":
			b.once(func() error { return parseRetention(d, &app.Retention) })
		default:
			b.unknown("store", "keys", "durability", "memory", "retention")
		}
	}
	return httpcaddyfile.App{Name: "auditgate", Value: caddyconfig.JSON(app, nil)}, b.err
}

func parseStore(d *caddyfile.Dispenser, raw *json.RawMessage) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	engine := d.Val()
	if _, err := caddy.GetModule("auditgate.stores." + engine); err != nil {
		return d.Errf("store %q is unknown: want badger", engine)
	}
	unm, err := caddyfile.UnmarshalModule(d, "auditgate.stores."+engine)
	if err != nil {
		return err
	}
	*raw = caddyconfig.JSONModuleObject(unm, "engine", engine, nil)
	return nil
}

// UnmarshalCaddyfile reads
//
//	store badger {
//		path           <dir>
//		encryption_key <key> [<older key…>]
//	}
func (s *BadgerStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume module name
	if d.NextArg() {
		return d.ArgErr()
	}
	b := block{Dispenser: d}
	for b.next() {
		switch d.Val() {
		case "path":
			b.once(func() error { return word(d, &s.Path) })
		case "encryption_key":
			b.words(&s.EncryptionKeys)
			b.check(s.checkKeys)
		default:
			b.unknown("path", "encryption_key")
		}
	}
	return b.err
}

// checkKeys checks the keys that stand in the configuration itself, so that an error
// has a line; the others are read when the configuration is loaded.
func (s *BadgerStore) checkKeys() error {
	for _, text := range s.EncryptionKeys {
		if strings.Contains(text, "{") {
			return nil
		}
	}
	_, err := keyring(s.EncryptionKeys)
	return err
}

// parseAPI reads the directive:
//
//	audit_api [<matcher>] {
//		jwt {
//			jwks_url    <url>             # one of the four
//			jwks_file   <file>
//			public_key  <pem file>
//			hmac_secret <secret>
//			audience    <aud…> | any
//			issuer      <iss>
//			algorithms  <alg…>
//			require     <claim> <value>   # repeatable
//			leeway      <duration>
//		}
//		keystone       <url>
//		roles_claim    <claim>
//		role           auditor|admin|ingest <value…>   # repeatable
//		projects_claim <claim>
//		sources_claim  <claim>
//		restrict       <source…> | none
//		marker_ttl     <duration>
//	}
func parseAPI(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	d := h.Dispenser
	d.Next() // consume directive name
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	a := new(API)
	b := block{Dispenser: d}
	for b.next() {
		switch d.Val() {
		case "jwt":
			b.once(func() error { return parseJWT(d, &a.JWT) })
		case "keystone":
			b.once(func() error { return word(d, &a.Keystone) })
			b.check(a.checkKeystone)
		case "roles_claim":
			b.once(func() error { return word(d, &a.RolesClaim) })
		case "role":
			b.try(func() error { return parseRole(d, a) })
		case "projects_claim":
			b.once(func() error { return word(d, &a.ProjectsClaim) })
		case "sources_claim":
			b.once(func() error { return word(d, &a.SourcesClaim) })
		case "restrict":
			b.words(&a.Restrict)
			if len(a.Restrict) == 1 && a.Restrict[0] == "none" {
				a.Restrict = []string{}
			}
		case "marker_ttl":
			b.once(func() error { return duration(d, &a.MarkerTTL, time.Second, maxMarkerTTL) })
		default:
			b.unknown("jwt", "keystone", "roles_claim", "role", "projects_claim", "sources_claim", "restrict", "marker_ttl")
		}
	}
	return a, b.err
}

// checkKeystone checks an address that stands in the configuration itself, so that an
// error has a line.
func (a *API) checkKeystone() error {
	if strings.Contains(a.Keystone, "{") {
		return nil
	}
	if err := checkKeystone(a.Keystone); err != nil {
		return fmt.Errorf("keystone: %w", err)
	}
	return nil
}

func parseRole(d *caddyfile.Dispenser, a *API) error {
	var role string
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.ArgErr()
	}
	switch role = args[0]; role {
	case "auditor", "admin", "ingest":
	default:
		return d.Errf("role %q is unknown: want auditor, admin or ingest", role)
	}
	if a.Roles == nil {
		a.Roles = make(map[string][]string)
	}
	a.Roles[role] = append(a.Roles[role], args[1:]...)
	return nil
}

// parseJWT reads the block of that name, of an API or of an identity.
func parseJWT(d *caddyfile.Dispenser, to **JWT) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	j := new(JWT)
	b := block{Dispenser: d, nesting: d.Nesting()}
	for b.next() {
		switch d.Val() {
		case "jwks_url":
			b.once(func() error { return word(d, &j.JWKSURL) })
		case "hmac_secret":
			b.once(func() error { return word(d, &j.HMACSecret) })
		case "public_key":
			b.once(func() error { return word(d, &j.PublicKey) })
		case "jwks_file":
			b.once(func() error { return word(d, &j.JWKSFile) })
		case "audience":
			b.words(&j.Audience)
		case "issuer":
			b.once(func() error { return word(d, &j.Issuer) })
		case "algorithms":
			b.words(&j.Algorithms)
		case "require":
			b.try(func() error {
				var r identity.Requirement
				if !d.AllArgs(&r.Claim, &r.Value) {
					return d.ArgErr()
				}
				j.Require = append(j.Require, r)
				return nil
			})
		case "leeway":
			b.once(func() error {
				if err := duration(d, &j.Leeway, 0, identity.MaxLeeway); err != nil {
					return err
				}
				if j.Leeway == 0 {
					j.Leeway = -1 // the zero of JSON is the default
				}
				return nil
			})
		default:
			b.unknown("jwks_url", "jwks_file", "public_key", "hmac_secret", "audience", "issuer", "algorithms", "require", "leeway")
		}
	}
	*to = j
	if b.err == nil {
		if err := j.check(); err != nil {
			b.err = d.Errf("jwt block: %v", err)
		}
	}
	return b.err
}
