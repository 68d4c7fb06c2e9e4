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
}

// authenticate returns who sent r.
func (a *API) authenticate(r *http.Request) (*caller, error) {
	token, err := tokenOf(r.Header)
	if err != nil {
		return nil, err
	}
	actor, claims, err := a.config.Verifier.Verify(r.Context(), token)
	var lacking interface{ Unavailable() bool }
	if errors.As(err, &lacking) && lacking.Unavailable() {
		return nil, keysUnavailable.because("%s", cut(err.Error(), maxDetail)).with("Retry-After", retryAfter)
	}
	if err != nil {
		return nil, tokenInvalid.because("%s", cut(err.Error(), maxDetail)).
			with("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	return a.callerOf(actor, claims), nil
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

func (a *API) callerOf(actor record.Actor, claims map[string]any) *caller {
	c := &caller{actor: actor}
	issuer, _ := claims["iss"].(string)
	id := []string{issuer, actor.UserID}
	if actor.UserID == "" { // nobody else to tell callers apart by
		id = append(id, actor.UserName, actor.UserEmail)
	}
	text, _ := json.Marshal(id) // strings can always be written
	c.key = sha256.Sum256(text)

	values, _ := listClaim(claims, a.config.RolesClaim)
	for _, role := range []Role{Auditor, Admin, Ingest} {
		if slices.ContainsFunc(a.config.Roles[role], func(v string) bool { return slices.Contains(values, v) }) {
			c.roles = append(c.roles, role)
		}
	}
	projects, _ := listClaim(claims, a.config.ProjectsClaim)
	c.scope.Projects = projects
	c.scope.AllProjects = slices.Contains(projects, everything)

	// A claim that is there and names nothing shows nothing; only a token
	// without the claim sees every source that is not restricted.
	sources, given := listClaim(claims, a.config.SourcesClaim)
	c.scope.AllSources = !given || slices.Contains(sources, everything)
	c.scope.Sources = slices.DeleteFunc(slices.Clone(sources), func(s string) bool { return s == record.Self || s == everything })
	c.scope.Except = append(slices.Clone(a.config.Restrict), record.Self)
	c.self = slices.Contains(c.roles, Admin) &&
		(slices.Contains(sources, record.Self) || c.scope.AllSources && !slices.Contains(a.config.Restrict, record.Self))

	switch exp := claims["exp"].(type) {
	case json.Number:
		seconds, _ := exp.Int64()
		c.expires = time.Unix(seconds, 0).UTC()
	case float64:
		c.expires = time.Unix(int64(exp), 0).UTC()
	}
	return c
}

// see returns the part of the caller's scope that is asked for with project,
// or why there is none.
func (a *API) see(c *caller, project string) (record.Scope, error) {
	switch {
	case !slices.Contains(c.roles, Auditor) && !slices.Contains(c.roles, Admin):
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
// it asks for them.
func (c *caller) narrow(q record.Query, scope record.Scope) record.Query {
	if slices.Contains(q.Sources, record.Self) {
		c.showSelf(&scope)
	}
	q.Scope = scope
	return q
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
