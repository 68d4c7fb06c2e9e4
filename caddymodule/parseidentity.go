package caddymodule

import (
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/auditgate/auditgate/capture/identity"
)

// parseIdentity reads the block of a capture:
//
//	identity {
//		jwt { … }
//		caddy
//		mtls
//		header <id> [<email>]
//		learned
//		introspect <url> {
//			client_id     <id>
//			client_secret <secret>
//			cache         <duration>
//		}
//		claims
//		learn {                                   # repeatable
//			on         <METHOD path>
//			token      <placeholder>              # or forget <placeholder>, or neither
//			user_id    <placeholder>
//			user_name  <placeholder>
//			user_email <placeholder>
//			user_roles <placeholder>
//			project    <placeholder>
//			expires    <placeholder>
//		}
//	}
func parseIdentity(d *caddyfile.Dispenser, c *Capture) error {
	if d.NextArg() {
		return d.Errf("identity: want lines in a block, not %q", d.Val())
	}
	i := new(Identity)
	c.Identity = i
	b := block{Dispenser: d, nesting: d.Nesting()}
	for b.next() {
		m := Method{Method: d.Val()}
		add := func(parse func() error) {
			b.try(parse)
			i.Methods = append(i.Methods, m)
		}
		switch d.Val() {
		case "jwt":
			add(func() error { return parseJWT(d, &m.JWT) })
		case "caddy", "mtls", "learned", "claims":
			b.once(func() error { return alone(d) })
			i.Methods = append(i.Methods, m)
		case "header":
			add(func() error {
				switch args := d.RemainingArgs(); len(args) {
				case 2:
					m.UserEmailHeader = args[1]
					fallthrough
				case 1:
					m.UserIDHeader = args[0]
				default:
					return d.Err("header: want the header with the user's id, and if you like that with the e-mail address, as in `header X-User-Id X-User-Email`")
				}
				return nil
			})
		case "introspect":
			add(func() error { return parseIntrospect(d, &m.Introspect) })
		case "learn":
			b.try(func() error { return parseLearn(d, i) })
		default:
			b.unknown(append(slices.Clone(methodNames), "learn")...)
		}
		b.check(c.check)
	}
	return b.err
}

func parseIntrospect(d *caddyfile.Dispenser, to **Introspect) error {
	i := new(Introspect)
	*to = i
	if args := d.RemainingArgs(); len(args) == 1 {
		i.URL = args[0]
	} else {
		return d.Err("introspect: want the address of the introspection endpoint, and the settings in a block")
	}
	b := block{Dispenser: d, nesting: d.Nesting()}
	for b.next() {
		switch d.Val() {
		case "client_id":
			b.once(func() error { return word(d, &i.ClientID) })
		case "client_secret":
			b.once(func() error { return word(d, &i.ClientSecret) })
		case "cache":
			b.once(func() error { return duration(d, &i.Cache, time.Second, identity.MaxIntrospectCache) })
		default:
			b.unknown("client_id", "client_secret", "cache")
		}
	}
	return b.err
}

func parseLearn(d *caddyfile.Dispenser, i *Identity) error {
	if d.NextArg() {
		return d.Errf("learn: want lines in a block, not %q", d.Val())
	}
	var l Learn
	b := block{Dispenser: d, nesting: d.Nesting()}
	lines := map[string]*string{
		"token": &l.Token, "forget": &l.Forget, "user_id": &l.UserID, "user_name": &l.UserName, "user_email": &l.UserEmail,
		"user_roles": &l.UserRoles, "project": &l.Project, "expires": &l.Expires,
	}
	for b.next() {
		switch to := lines[d.Val()]; {
		case d.Val() == "on":
			b.once(func() error {
				if !d.AllArgs(&l.Method, &l.Path) {
					return d.Err("on: want a method and a path, as in `on POST /v3/auth/tokens`")
				}
				return nil
			})
		case to != nil:
			b.once(func() error { return word(d, to) })
		default:
			b.unknown("on", "token", "forget", "user_id", "user_name", "user_email", "user_roles", "project", "expires")
		}
	}
	i.Learn = append(i.Learn, l)
	return b.err
}

// alone reads a line of one word.
func alone(d *caddyfile.Dispenser) error {
	if name := d.Val(); d.NextArg() {
		return d.Errf("%s: nothing stands behind it, not %q", name, d.Val())
	}
	return nil
}
