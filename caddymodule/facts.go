package caddymodule

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/uripath"
	"github.com/auditgate/auditgate/record"
)

// factsOf gathers what Caddy knows of a call, which has been handled if ending
// says so. matched are the matchers of actions that held before.
func (c *Capture) factsOf(r *http.Request, ending capture.Ending, matched uint64) (f capture.Facts) {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if ok && (r.URL.Path != original.URL.Path || r.URL.RawPath != original.URL.RawPath || r.URL.RawQuery != original.URL.RawQuery) {
		f.UpstreamURI = r.URL.RequestURI()
	}
	if conn := r.TLS; conn != nil && len(conn.VerifiedChains) > 0 && len(conn.PeerCertificates) > 0 {
		f.Certificate = conn.PeerCertificates[0]
	}
	f.TrustedPeer, _ = caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return f
	}
	f.Actor = authenticated(repl)
	f.Naming = c.namer.known(repl, matched)
	if ending.Err != nil || ending.Panic != nil {
		_, f.Proxied = repl.Get("http.reverse_proxy.duration") // which the proxy sets when it is through
	}
	switch {
	case c.Project != "":
		f.Project = repl.ReplaceAll(c.Project, "")
		f.ProjectVerified = vouchedFor(c.Project, r.TLS)
	case c.ProjectPath > 0:
		f.Project, f.Projects = projectIn(originalPath(r), c.ProjectPath)
	}
	return f
}

// projectIn returns the project that the nth segment of a path names: several, instead,
// where servers read it differently.
func projectIn(path string, n int) (project string, several []string) {
	all := uripath.Nth(path, n)
	if len(all) == 1 {
		return all[0], nil
	}
	return "", all
}

// vouchedFor reports whether somebody other than the client says what a project
// is: it is one placeholder of an authentication handler's, or of a certificate
// that was verified.
func vouchedFor(project string, conn *tls.ConnectionState) bool {
	if strings.Count(project, "{") != 1 || !strings.HasSuffix(project, "}") {
		return false
	}
	return strings.HasPrefix(project, "{http.auth.") ||
		strings.HasPrefix(project, "{http.request.tls.client.") && conn != nil && len(conn.VerifiedChains) > 0
}

// originalPath is the escaped path that the client sent, whatever has been
// stripped of it or rewritten since.
func originalPath(r *http.Request) string {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return escapedPath(original.URL)
	}
	return escapedPath(r.URL)
}

// authenticated returns whom an authentication handler of Caddy has let in.
func authenticated(repl *caddy.Replacer) record.Actor {
	id := placeholder(repl, "http.auth.user.id")
	if id == "" {
		return record.Actor{}
	}
	return record.Actor{
		UserID: id, UserName: placeholder(repl, "http.auth.user.name"), UserEmail: placeholder(repl, "http.auth.user.email"),
		AuthMethod: "caddy", AuthVerified: true,
	}
}

func placeholder(repl *caddy.Replacer, name string) string {
	s, _ := repl.GetString(name)
	return s
}

// statusOf returns the status that an error of a handler stands for.
func statusOf(err error) int {
	var he caddyhttp.HandlerError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &he) && he.StatusCode != 0:
		return he.StatusCode
	default:
		return http.StatusInternalServerError // what Caddy answers
	}
}

// clientIP is the client's address as far as trusted proxies tell.
func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}
