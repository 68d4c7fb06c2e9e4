package caddymodule

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

func init() { caddy.RegisterModule(API{}) }

// API serves the records over HTTP, to whoever has a token: see the API's
// description in the project's documentation.
//
// Without `jwt` it accepts the tokens of the gateway's own key, which
// `auditgate audit token` makes.
type API struct {
	// Which tokens are accepted. Default: those of the gateway's own key.
	JWT *JWT `json:"jwt,omitempty"`

	// The address of a Keystone, as in `https://keystone.example.org:5000/v3`: tokens of
	// its cloud in `X-Auth-Token` are accepted too, each for the project that it is
	// scoped to. `roles` says which roles in that project mean what here. Each token is
	// validated there with itself, so no account is needed, in at most 5 seconds,
	// without redirects; the answer is remembered for 1 minute, and so a revoked token
	// is refused a minute later at the latest. Where Keystone cannot be asked the answer
	// is 503, and after an outage nothing is asked for 10 seconds. Use https: over plain
	// http whoever is on the way reads the tokens, and says who may read the records.
	// Placeholders work. Default: none.
	Keystone string `json:"keystone,omitempty"`

	// The claim that holds the roles of a caller, a list or one word. A dotted
	// path leads into nested claims: `realm_access.roles`. Default: `roles`.
	RolesClaim string `json:"roles_claim,omitempty"`

	// For each role (`auditor`, `admin`, `ingest`) the values of the roles claim
	// that mean it. Default: `owner`, `super_admin` and `admin` mean admin,
	// `auditor` means auditor, `ingest` means ingest.
	Roles map[string][]string `json:"roles,omitempty"`

	// The claim that lists the projects that a caller may see, or is `*` for
	// every project. Default: `projects`.
	ProjectsClaim string `json:"projects_claim,omitempty"`

	// The claim that lists the sources that a caller may see. A token without it
	// sees every source that is not restricted. Default: `sources`.
	SourcesClaim string `json:"sources_claim,omitempty"`

	// Sources that only tokens see which name them. An empty list is none. Default:
	// `iam` and `keystone`, whether there are such captures or only their records, and
	// the sources of captures for which `preset openstack` stands for `iam`, since their
	// calls tell of every user of the cloud. Where such a source has another name, name
	// it here: else what it has recorded is seen by every token of its project once the
	// capture is taken out of the configuration.
	Restrict []string `json:"restrict,omitzero"`

	// How long the marker of a listing is good. Default: 1h, at most 24h.
	MarkerTTL caddy.Duration `json:"marker_ttl,omitempty"`

	app      *App
	held     held
	verifier *identity.Verifier // nil: the gateway's own key
	keystone auditapi.Keystone  // nil: none
	serve    func() (*auditapi.API, error)
}

const maxMarkerTTL = 24 * time.Hour

// CaddyModule implements caddy.Module.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.audit_api", New: func() caddy.Module { return new(API) }}
}

// Provision implements caddy.Provisioner.
func (a *API) Provision(ctx caddy.Context) (err error) {
	if a.app, err = appOf(ctx); err != nil {
		return err
	}
	text, err := written(a)
	if err != nil {
		return err
	}
	a.app.note("audit_api", text)
	if a.MarkerTTL < 0 || time.Duration(a.MarkerTTL) > maxMarkerTTL {
		return fmt.Errorf("marker_ttl is %s: want more than 0 and at most %s", time.Duration(a.MarkerTTL), maxMarkerTTL)
	}
	if a.JWT != nil {
		if a.verifier, err = a.JWT.verifier(ctx, &a.held); err != nil {
			return fmt.Errorf("jwt block: %w", err)
		}
	}
	if a.Keystone != "" {
		if a.keystone, err = keystone(ctx, a.Keystone); err != nil {
			return err
		}
	}
	if _, err := auditapi.New(a.config(a.verifier, make([]byte, 32))); err != nil {
		return err
	}
	a.serve = sync.OnceValues(a.open)
	a.app.ownTokens = a.app.ownTokens || a.JWT == nil
	a.app.restrictsAlone = a.app.restrictsAlone || a.Restrict == nil
	return nil
}

// open makes the API on the first request, when the keys are there.
func (a *API) open() (*auditapi.API, error) {
	k, err := a.app.loadKeys()
	if err != nil {
		return nil, err
	}
	verifier := a.verifier
	if verifier == nil {
		verifier, err = identity.NewVerifier(identity.VerifierConfig{
			Key: k.public(), Audience: []string{tokenAudience}, Issuer: tokenIssuer, Leeway: defaultLeeway,
		})
		if err != nil {
			return nil, err
		}
	}
	redactor, err := a.app.redactor(redact.Options{})
	if err != nil {
		return nil, err
	}
	c := a.config(verifier, k.marker())
	if c.Hashes, err = k.hashes(); err != nil {
		return nil, err
	}
	c.HashLimits = hashLimits
	c.Audit = a.record
	c.Redact = func(name, value string) string {
		if name == "q" { // words may be anything, so all of them are secret
			return redactor.Value([]byte(value))
		}
		value, _ = redactor.URL(value, name, nil)
		return value
	}
	return auditapi.New(c)
}

func (a *API) config(v *identity.Verifier, markerKey []byte) auditapi.Config {
	roles := make(map[auditapi.Role][]string, len(a.Roles))
	for role, values := range a.Roles {
		roles[auditapi.Role(role)] = values
	}
	return auditapi.Config{
		Store: a.store, Verifier: v, Keystone: a.keystone,
		RolesClaim: a.RolesClaim, Roles: roles, ProjectsClaim: a.ProjectsClaim, SourcesClaim: a.SourcesClaim, Restrict: a.restricted(),
		MarkerKey: markerKey, MarkerTTL: time.Duration(a.MarkerTTL),
		ClientIP: clientIP, OriginalPath: originalPath, Log: a.app.logStore,
	}
}

// alwaysRestricted are restricted unless an API says others: what was recorded stays when
// its capture goes.
var alwaysRestricted = []string{"iam", "keystone"}

// restricted are the sources that tokens have to name. Once the configuration is
// loaded its captures have said theirs.
func (a *API) restricted() []string {
	if a.Restrict != nil {
		return a.Restrict
	}
	return slices.Concat(alwaysRestricted, a.app.restricted)
}

// store returns the store, which the lease of the request keeps open.
func (a *API) store() (store.Store, error) {
	e, release := a.app.lease()
	defer release()
	return e.current()
}

// record stores a record that the API makes of its own use.
func (a *API) record(r *record.Record) {
	e, release := a.app.lease()
	defer release()
	e.queries.WithLabelValues(r.Action).Observe(r.Duration().Seconds())
	e.add(r)
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It answers every request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	_, release := a.app.lease() // the store stays open while it is read
	defer release()
	api, err := a.serve()
	if err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	api.ServeHTTP(w, r)
	return nil
}

// Cleanup implements caddy.CleanerUpper.
func (a *API) Cleanup() error {
	a.held.release()
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*API)(nil)
	_ caddy.CleanerUpper          = (*API)(nil)
	_ caddyhttp.MiddlewareHandler = (*API)(nil)
)
