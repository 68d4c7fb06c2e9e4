package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/auditgate/auditgate/capture/identity"
)

// Identity says how it is found out who makes the calls, which then stands in the
// records with `auth_method` and `auth_verified`.
type Identity struct {
	// The methods, tried in this order: the first that knows somebody wins.
	// Default: `caddy`, `mtls`, `learned`, `claims`.
	Methods []Method `json:"methods,omitempty"`

	// What calls to this source teach about tokens, for the method `learned`. At
	// most 64.
	Learn []Learn `json:"learn,omitempty"`
}

// Learn says what calls of one kind teach: who holds a token, from the login that
// answers it; that a token has ended; or what a user is called. Only calls that were
// answered with a 2xx teach, and those of `level none` do not. It is read before
// secrets are taken out; of a token nothing is kept but its hash.
//
// Values are placeholders: `{audit.res.header.<name>}`, `{audit.res.json.<pointer>}`,
// `{audit.req.header.<name>}`, `{audit.req.json.<pointer>}`, `{audit.req.form.<name>}`.
// Of a body the first 64 KiB are read, of a header values of at most 16 KiB. What stands in
// the request is the word of its client: where the user or the project is taken from
// there, records have `auth_verified` false.
type Learn struct {
	// The method of the calls; `*` is any.
	Method string `json:"method"`
	// Their path as the client sends it: `:name` and `*` are any one segment, a last
	// `/*` is the rest.
	Path string `json:"path"`

	// The token that the call issues. It needs `user_id` or `user_name`.
	Token string `json:"token,omitempty"`
	// The token that the call ends, instead.
	Forget string `json:"forget,omitempty"`
	// Who holds the token. Without `token`: whose name and e-mail address these are.
	UserID    string `json:"user_id,omitempty"`
	UserName  string `json:"user_name,omitempty"`
	UserEmail string `json:"user_email,omitempty"`
	// The user's roles. In the pointer `*` is every element of a list:
	// `{audit.res.json./token/roles/*/name}`.
	UserRoles string `json:"user_roles,omitempty"`
	// The project that the token is for.
	Project string `json:"project,omitempty"`
	// When the token ends: a time as in `2026-11-21T10:00:00Z`, seconds from now, or
	// seconds since 1970. Default: an hour after the call.
	Expires string `json:"expires,omitempty"`
}

// Introspect says whom to ask about tokens (RFC 7662).
type Introspect struct {
	// The address of the introspection endpoint. Placeholders work.
	URL string `json:"url"`
	// The name and the secret by which the gateway is known there. The secret may
	// be one placeholder: `{env.SECRET}`, `{file./run/secrets/introspect}`.
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	// How long an answer is remembered, at most 1h. Default: 5m.
	Cache caddy.Duration `json:"cache,omitempty"`
}

// Method is one way of knowing who makes a call.
type Method struct {
	// Which way:
	//
	// - `jwt`: a JSON Web Token in `Authorization: Bearer` or in `X-Auth-Token`,
	//   checked as `jwt` says. Its claims `sub`, `name` or `preferred_username`,
	//   `email` and `roles` name the user, `project_id` or `project` the project.
	// - `caddy`: `{http.auth.user.id}`, which `basic_auth`, `forward_auth` and the
	//   like set.
	// - `mtls`: a client certificate that was verified.
	// - `header`: headers of a proxy that `trusted_proxies` names. From anybody else
	//   they mean nothing; they are passed on as they came. The proxy must set or
	//   remove them itself.
	// - `learned`: what `learn` taught, of any capture of this gateway, about the token;
	//   unverified where that was the word of a request.
	// - `introspect`: what an authorization server says of the token. It is asked when
	//   the call has ended, for at most 5 seconds, and not for 10 seconds after it
	//   failed; where it does not answer nobody is known.
	// - `claims`: what a token says of itself, unverified.
	Method string `json:"method"`

	// How tokens are checked, of `jwt`.
	JWT *JWT `json:"jwt,omitempty"`

	// Whom to ask, of `introspect`.
	Introspect *Introspect `json:"introspect,omitempty"`

	// The header with the user's id, of `header`.
	UserIDHeader string `json:"user_id_header,omitempty"`
	// The header with the user's e-mail address, of `header`. Default: none.
	UserEmailHeader string `json:"user_email_header,omitempty"`
}

// methodNames are the ways of knowing who makes a call.
var methodNames = []string{"jwt", "caddy", "mtls", "header", "learned", "introspect", "claims"}

// maxMethods is how many methods a capture may have.
const maxMethods = 16

var headerName = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~` + "`" + `-]{1,128}$`)

// check finds what is wrong without reading a key.
func (i *Identity) check() error {
	if i == nil {
		return nil
	}
	if len(i.Methods) > maxMethods {
		return fmt.Errorf("identity: %d methods: want %d at most", len(i.Methods), maxMethods)
	}
	for _, m := range i.Methods {
		if err := m.check(); err != nil {
			return fmt.Errorf("identity: %w", err)
		}
	}
	_, err := i.lessons()
	return err
}

// lessons makes ready what is to be learned.
func (i *Identity) lessons() (*identity.Lessons, error) {
	if i == nil || len(i.Learn) == 0 {
		return nil, nil
	}
	var list []identity.Lesson
	for _, l := range i.Learn {
		list = append(list, identity.Lesson(l))
	}
	lessons, err := identity.NewLessons(list)
	if err != nil {
		return nil, fmt.Errorf("identity: learn: %w", err)
	}
	return lessons, nil
}

func (m *Method) check() error {
	switch {
	case !slices.Contains(methodNames, m.Method):
		return fmt.Errorf("method %q is unknown: want one of %q", m.Method, methodNames)
	case (m.Method == "jwt") != (m.JWT != nil):
		return errors.New("jwt block: its settings are missing, or stand with another method")
	case (m.Method == "introspect") != (m.Introspect != nil):
		return errors.New("introspect: its settings are missing, or stand with another method")
	case (m.Method == "header") != (m.UserIDHeader != ""):
		return errors.New("header: want the name of the header with the user's id, as in `header X-User-Id X-User-Email`")
	case m.UserEmailHeader != "" && m.UserIDHeader == "":
		return errors.New("header: the one with the user's e-mail address stands behind that with the user's id")
	}
	for _, name := range []string{m.UserIDHeader, m.UserEmailHeader} {
		if name != "" && !headerName.MatchString(name) {
			return fmt.Errorf("header %q is no name of a header", name)
		}
	}
	if m.JWT != nil {
		if err := m.JWT.check(); err != nil {
			return fmt.Errorf("jwt block: %w", err)
		}
	}
	if m.Introspect != nil {
		return m.Introspect.check()
	}
	return nil
}

func (i *Introspect) check() error {
	switch {
	case i.ClientID == "" || i.ClientSecret == "":
		return errors.New("introspect: client_id and client_secret are needed: the endpoint answers nobody else (RFC 7662)")
	case i.Cache < 0 || time.Duration(i.Cache) > identity.MaxIntrospectCache:
		return fmt.Errorf("introspect: cache is %s: want more than 0s and at most %s", time.Duration(i.Cache), identity.MaxIntrospectCache)
	case strings.Contains(i.URL, "{"):
		return nil
	}
	if err := checkURL(i.URL); err != nil {
		return fmt.Errorf("introspect: %w", err)
	}
	return nil
}

// defaultIntrospectCache is how long an answer is remembered.
const defaultIntrospectCache = 5 * time.Minute

// method makes ready who asks. It asks nothing.
func (i *Introspect) method(ctx caddy.Context) (identity.Method, error) {
	repl := caddy.NewReplacer()
	c := identity.IntrospectionConfig{ClientID: i.ClientID, ClientSecret: i.ClientSecret, Cache: cmp.Or(time.Duration(i.Cache), defaultIntrospectCache)}
	var err error
	if c.URL, err = repl.ReplaceOrErr(i.URL, true, true); err == nil {
		err = checkURL(c.URL)
	}
	if err == nil && isPlaceholder.MatchString(i.ClientSecret) {
		c.ClientSecret, err = repl.ReplaceOrErr(i.ClientSecret, true, true)
	}
	if err != nil {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	c.Log = logTo(ctx, "introspect", c.URL)
	return identity.NewIntrospection(c).Who, nil
}

// tried are the methods as they are tried: those of [identity.Default] where nothing is
// said.
func (i *Identity) tried() []Method {
	if i == nil || len(i.Methods) == 0 {
		return []Method{{Method: "caddy"}, {Method: "mtls"}, {Method: "learned"}, {Method: "claims"}}
	}
	return i.Methods
}

// methods makes the methods ready. What they hold on to until the configuration
// ends goes to held.
func (i *Identity) methods(ctx caddy.Context, held *held) (identity.Methods, error) {
	var all identity.Methods
	for _, m := range i.tried() {
		switch m.Method {
		case "jwt":
			v, err := m.JWT.verifier(ctx, held)
			if err != nil {
				return nil, fmt.Errorf("identity: jwt block: %w", err)
			}
			all = append(all, identity.Verified(v))
		case "caddy":
			all = append(all, identity.Server)
		case "mtls":
			all = append(all, identity.Certificate)
		case "header":
			all = append(all, identity.Header(http.CanonicalHeaderKey(m.UserIDHeader), http.CanonicalHeaderKey(m.UserEmailHeader)))
		case "learned":
			all = append(all, identity.FromBook)
		case "introspect":
			ask, err := m.Introspect.method(ctx)
			if err != nil {
				return nil, fmt.Errorf("identity: %w", err)
			}
			all = append(all, ask)
		case "claims":
			all = append(all, identity.Claims)
		}
	}
	return all, nil
}

// headers are the names of the headers that some method reads.
func (i *Identity) headers() (names []string) {
	for _, m := range i.tried() {
		for _, name := range []string{m.UserIDHeader, m.UserEmailHeader} {
			if name = http.CanonicalHeaderKey(name); name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// order says in words how it is found out who made a call.
func (i *Identity) order() (all []string) {
	for _, m := range i.tried() {
		text := m.Method
		switch text {
		case "jwt":
			text += " by " + m.JWT.source()
		case "introspect":
			text += " at " + m.Introspect.URL
		case "header":
			text += " " + m.UserIDHeader
		case "claims":
			text += " (unverified)"
		}
		all = append(all, text)
	}
	return all
}
