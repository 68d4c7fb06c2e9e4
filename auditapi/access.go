package auditapi

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/auditgate/auditgate/record"
)

// Role is what a caller may do.
type Role string

// The values of Role.
const (
	Auditor Role = "auditor" // reads the calls of the projects and sources in its token
	Admin   Role = "admin"   // an auditor who also reads what the gateway records about itself
	Ingest  Role = "ingest"  // posts events, and reads nothing
)

// defaultRoles are the values of the roles claim that mean a role.
var defaultRoles = map[Role][]string{
	Auditor: {"auditor"},
	Admin:   {"owner", "super_admin", "admin"},
	Ingest:  {"ingest"},
}

// anyProject, in place of a project, stands for all that the token may see.
const anyProject = "-"

// everything, in a claim, stands for every project or source.
const everything = "*"

// caller is who asks, and what they may see.
type caller struct {
	key     [sha256.Size]byte // of issuer and subject: the same caller, the same key
	actor   record.Actor
	roles   []Role
	scope   record.Scope // without the gateway's own records
	self    bool         // may see those as well
	expires time.Time

	keystone bool // the token is one of Keystone's
}

// authenticate returns who sent r.
func (a *API) authenticate(r *http.Request) (c *caller, err error) {
	token, err := tokenOf(r.Header)
	if err != nil {
		return nil, err
	}
	if k := a.config.Keystone; k != nil && slices.Contains(r.Header.Values("X-Auth-Token"), token) && k.Issued(token) { // VK-05
		var holder record.Actor
		var project string
		var expires time.Time
		if holder, project, expires, err = k.Verify(r.Context(), token); err == nil {
			return a.holderOf(holder, project, expires), nil
		}
	} else {
		var actor record.Actor
		var claims map[string]any
		if actor, claims, err = a.config.Verifier.Verify(r.Context(), token); err == nil {
			return a.callerOf(actor, claims), nil
		}
	}
	var lacking interface{ Unavailable() bool }
	if errors.As(err, &lacking) && lacking.Unavailable() {
		return nil, keysUnavailable.because("%s", cut(err.Error(), maxDetail)).with("Retry-After", retryAfter)
	}
	return nil, tokenInvalid.because("%s", cut(err.Error(), maxDetail)).
		with("WWW-Authenticate", `Bearer error="invalid_token"`)
}

// tokenOf returns the one token in h. Several that are the same are one.
func tokenOf(h http.Header) (string, error) {
	tokens := slices.Clone(h.Values("X-Auth-Token")) // VK-05
	for _, value := range h.Values("Authorization") {
		if scheme, token, _ := strings.Cut(value, " "); strings.EqualFold(scheme, "Bearer") {
			tokens = append(tokens, token)
		}
	}
	token := ""
	for _, t := range tokens {
		t = strings.TrimSpace(t)
		if t != "" && token != "" && t != token {
			return "", ambiguousToken.because("X-Auth-Token and Authorization have different tokens: send one of them")
		}
		if t != "" {
			token = t
		}
	}
	if token == "" {
		return "", tokenMissing.because("send it as Authorization: Bearer, or as X-Auth-Token").
			with("WWW-Authenticate", "Bearer")
	}
	return token, nil
}

// callerOf returns whom the claims of a token describe.
func (a *API) callerOf(actor record.Actor, claims map[string]any) *caller {
	issuer, _ := claims["iss"].(string)
	id := []string{issuer, actor.UserID}
	if actor.UserID == "" { // nobody else to tell callers apart by
		id = append(id, actor.UserName, actor.UserEmail)
	}
	c := newCaller(actor, id...)
	values, _ := listClaim(claims, a.config.RolesClaim)
	c.roles = a.rolesOf(values)
	projects, _ := listClaim(claims, a.config.ProjectsClaim)
	c.scope.Projects = projects
	c.scope.AllProjects = slices.Contains(projects, everything)

	// A claim that is there and names nothing shows nothing; only a token
	// without the claim sees every source that is not restricted.
	sources, given := listClaim(claims, a.config.SourcesClaim)
	a.showSources(c, sources, !given)

	switch exp := claims["exp"].(type) {
	case json.Number:
		seconds, _ := exp.Int64()
		c.expires = time.Unix(seconds, 0).UTC()
	case float64:
		c.expires = time.Unix(int64(exp), 0).UTC()
	}
	return c
}

// holderOf returns who holds a token of Keystone's. With a token for another project
// they are another caller.
func (a *API) holderOf(holder record.Actor, project string, expires time.Time) *caller {
	c := newCaller(holder, "keystone", project, holder.UserID)
	c.keystone, c.expires = true, expires
	c.roles = a.rolesOf(holder.UserRoles)
	if project != "" { // never everything: a project's id is only what it says
		c.scope.Projects = []string{project}
	}
	a.showSources(c, nil, true)
	return c
}

// newCaller returns a caller whom these texts tell apart from others.
func newCaller(actor record.Actor, id ...string) *caller {
	text, _ := json.Marshal(id) // strings can always be written
	return &caller{actor: actor, key: sha256.Sum256(text)}
}

// rolesOf returns the roles that these values mean.
func (a *API) rolesOf(values []string) (roles []Role) {
	for _, role := range []Role{Auditor, Admin, Ingest} {
		if slices.ContainsFunc(a.config.Roles[role], func(v string) bool { return slices.Contains(values, v) }) {
			roles = append(roles, role)
		}
	}
	return roles
}

// showSources lets c see these sources, or all that are not restricted.
func (a *API) showSources(c *caller, sources []string, all bool) {
	c.scope.AllSources = all || slices.Contains(sources, everything)
	c.scope.Sources = slices.DeleteFunc(slices.Clone(sources), func(s string) bool { return s == record.Self || s == everything })
	c.scope.Except = append(slices.Clone(a.config.Restrict), record.Self)
	c.self = slices.Contains(c.roles, Admin) &&
		(slices.Contains(sources, record.Self) || c.scope.AllSources && !slices.Contains(a.config.Restrict, record.Self))
}

// see returns the part of the caller's scope that is asked for with project,
// or why there is none.
func (a *API) see(c *caller, project string) (record.Scope, error) {
	reads := slices.Contains(c.roles, Auditor) || slices.Contains(c.roles, Admin)
	switch {
	case c.keystone && len(c.scope.Projects) == 0:
		return record.Scope{}, forbidden.because("the token is scoped to no project: ask Keystone for one that is")
	case !reads && c.keystone:
		return record.Scope{}, forbidden.because("no role of the token means auditor or admin here: the role lines of audit_api say which do")
	case !reads:
		return record.Scope{}, forbidden.because("claim %q of the token has no value that means auditor or admin here", a.config.RolesClaim)
	case !c.scope.AllProjects && len(c.scope.Projects) == 0:
		return record.Scope{}, forbidden.because(`claim %q of the token names no project: want a list, or "*"`, a.config.ProjectsClaim)
	case project != anyProject && !c.scope.AllProjects && !slices.Contains(c.scope.Projects, project), len(project) > maxField:
		return record.Scope{}, notFound.because("there is no such project, or the token does not name it")
	}
	scope := c.scope
	if project != anyProject {
		scope.AllProjects, scope.Projects = false, []string{project}
	}
	return scope, nil
}

// showSelf adds the gateway's own records to scope, if the caller may see them.
func (c *caller) showSelf(scope *record.Scope) {
	if c.self {
		scope.Sources = append(slices.Clone(scope.Sources), record.Self)
	}
}

// narrow returns what q asks for of the scope; of the gateway's own records only if
// it asks for them. A source that the caller may not see is a problem: an empty
// answer would say that it had no calls.
func (c *caller) narrow(q record.Query, scope record.Scope) (record.Query, error) {
	if slices.Contains(q.Sources, record.Self) {
		c.showSelf(&scope)
	}
	for _, source := range q.Sources {
		if !scope.IncludesSource(source) {
			return q, notFound.because("there is no source %q, or the token does not show it: /v1/whoami tells which it does", source)
		}
	}
	q.Scope = scope
	return q, nil
}

// lacks reports whether there may be restricted sources that c does not see where it
// sees all others.
func (c *caller) lacks(restricted []string) bool {
	return c.scope.AllSources && slices.ContainsFunc(restricted, func(source string) bool {
		return source != record.Self && !c.scope.IncludesSource(source)
	})
}

// listClaim reads a claim that is a list of strings or a single one, and
// reports whether it is there at all.
func listClaim(claims map[string]any, path string) ([]string, bool) {
	value, ok := lookUp(claims, path)
	switch value := value.(type) {
	case string:
		return []string{value}, ok
	case []any:
		var list []string
		for _, item := range value {
			if s, isString := item.(string); isString {
				list = append(list, s)
			}
		}
		return list, ok
	}
	return nil, ok
}

// lookUp finds a claim by its name, which may have dots in it, else by the
// dotted path to it.
func lookUp(claims map[string]any, path string) (any, bool) {
	if value, ok := claims[path]; ok {
		return value, true
	}
	first, rest, nested := strings.Cut(path, ".")
	inner, ok := claims[first].(map[string]any)
	if !nested || !ok {
		return nil, false
	}
	return lookUp(inner, rest)
}
