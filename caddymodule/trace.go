package caddymodule

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// trace follows a request through the routes of a server, as far as can be told
// without running handlers.
type trace struct {
	server  *caddyhttp.Server
	request *http.Request
	groups  map[string]bool // those of which a route was taken
	depth   int

	captures []met // outermost first
	end      string
}

// met is a capture on the way of a request, and what its rules say there.
type met struct {
	capture *Capture
	path    string    // in the configuration
	levels  []verdict // see policy.weigh
	body    int       // see policy.bodyRule
	matched uint64    // matchers of actions, see namer.match
}

// follow sends a request through the routes of a server.
func follow(server *caddyhttp.Server, r *http.Request) (*trace, error) {
	repl := caddy.NewReplacer()
	t := &trace{server: server, groups: make(map[string]bool)}
	t.request = caddyhttp.PrepareRequest(r, repl, noAnswer{}, server)
	_, err := t.routes(server.Routes, "apps/http/servers/"+server.Name())
	return t, err
}

// routes reports whether the request goes on behind a list of routes.
func (t *trace) routes(list caddyhttp.RouteList, path string) (on bool, err error) {
	if t.depth == maxNesting {
		return false, errors.New("the routes are nested too deeply, or invoke each other")
	}
	t.depth++
	defer func() { t.depth-- }()
	for i, route := range list {
		if route.Group != "" && t.groups[route.Group] {
			continue
		}
		here := fmt.Sprintf("%s/routes/%d", path, i)
		match, err := route.MatcherSets.AnyMatchWithError(t.request)
		if err != nil {
			return false, fmt.Errorf("matching %s: %w", here, err)
		}
		if !match {
			continue
		}
		if route.Group != "" {
			t.groups[route.Group] = true
		}
		for j, h := range route.Handlers {
			if on, err := t.handler(h, fmt.Sprintf("%s/handle/%d", here, j)); !on || err != nil {
				return false, err
			}
		}
		if route.Terminal {
			t.end = here
			return false, nil
		}
	}
	return true, nil
}

// handler reports whether the request goes on behind a handler.
func (t *trace) handler(handler any, path string) (on bool, err error) {
	switch h := handler.(type) {
	case *Capture:
		t.captures = append(t.captures, met{h, path, h.policy.weigh(t.request, otherReadings(t.request)), h.policy.bodyRule(t.request), h.namer.match(t.request)})
	case *caddyhttp.Subroute:
		return t.routes(h.Routes, path)
	case *caddyhttp.Invoke:
		return t.routes(named(h, t.server), path)
	case *rewrite.Rewrite:
		h.Rewrite(t.request, t.request.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer))
	case *caddyhttp.VarsMiddleware:
		err := h.ServeHTTP(noAnswer{}, t.request, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }))
		return err == nil, err
	}
	if answers(handler) {
		t.end = moduleID(handler) + " at " + path
		return false, nil
	}
	return true, nil
}

// noAnswer stands for the answer that there is none of.
type noAnswer struct{}

func (noAnswer) Header() http.Header         { return http.Header{} }
func (noAnswer) Write(b []byte) (int, error) { return len(b), nil }
func (noAnswer) WriteHeader(int)             {}

// site is where calls are captured: a server, and a host that it serves.
type site struct {
	server *caddyhttp.Server
	host   string
	port   uint
}

func (s site) String() string {
	return net.JoinHostPort(s.host, strconv.FormatUint(uint64(s.port), 10))
}

// sites are those with a capture, each once.
func sites(app *caddyhttp.App) (all []site) {
	for _, c := range surveyOf(app).captures {
		if len(c.server.Listen) == 0 {
			continue
		}
		address, err := caddy.ParseNetworkAddress(c.server.Listen[0])
		if err != nil || address.IsUnixNetwork() {
			continue
		}
		s := site{c.server, cmp.Or(address.Host, "localhost"), address.StartPort}
		if len(c.hosts) > 0 {
			s.host = c.hosts[0]
		}
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// reach returns the server that a URI reaches, and the request as it comes there.
func (c call) reach(app *caddyhttp.App) (*caddyhttp.Server, *http.Request, error) {
	scheme, rest, found := strings.Cut(c.uri, "://")
	if !found {
		scheme, rest = "", c.uri
	}
	switch {
	case strings.HasPrefix(rest, ":"): // a port alone: of the site with a capture there, if it is one
		port, path, _ := strings.Cut(rest[1:], "/")
		all := slices.DeleteFunc(sites(app), func(s site) bool { return strconv.FormatUint(uint64(s.port), 10) != port })
		if rest = "localhost" + rest; len(all) == 1 {
			rest = all[0].String() + "/" + path
		}
	case strings.HasPrefix(rest, "/"):
		all := sites(app)
		if len(all) != 1 {
			return nil, nil, fmt.Errorf("%d sites have an audit_capture%s: name the one that is meant, as in http://host:port%s",
				len(all), list(all), rest)
		}
		rest = all[0].String() + rest
	}
	u, err := url.Parse(cmp.Or(scheme, "http") + "://" + rest)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the URI: %w", err)
	}
	port := cmp.Or(app.HTTPPort, caddyhttp.DefaultHTTPPort)
	if scheme == "https" {
		port = cmp.Or(app.HTTPSPort, caddyhttp.DefaultHTTPSPort)
	}
	if p := u.Port(); p != "" {
		port, _ = strconv.Atoi(p) // url.Parse takes digits alone
	}
	server := serverAt(app, u.Hostname(), uint(port))
	if server == nil {
		return nil, nil, fmt.Errorf("no server of the configuration listens on %s port %d", u.Hostname(), port)
	}
	r, err := http.NewRequest(c.method, u.String(), http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	r.URL.Scheme, r.URL.Host, r.URL.User = "", "", nil // as a server sees it
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:0"
	if scheme == "https" || scheme == "" && len(server.TLSConnPolicies) > 0 {
		r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: u.Hostname()}
	}
	for _, line := range c.header {
		name, value, ok := strings.Cut(line, ":")
		if name, value = strings.TrimSpace(name), strings.TrimSpace(value); !ok || name == "" {
			return nil, nil, fmt.Errorf("header %q: want 'Name: value'", line)
		}
		if strings.EqualFold(name, "Host") {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	return server, r, nil
}

// serverAt returns the server that listens there.
func serverAt(app *caddyhttp.App, host string, port uint) *caddyhttp.Server {
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		for _, listen := range app.Servers[name].Listen {
			a, err := caddy.ParseNetworkAddress(listen)
			if err != nil || a.IsUnixNetwork() || port < a.StartPort || port > a.EndPort {
				continue
			}
			on, errOn := netip.ParseAddr(a.Host)
			to, errTo := netip.ParseAddr(host)
			if errOn != nil || errTo != nil || on.IsUnspecified() || on == to {
				return app.Servers[name]
			}
		}
	}
	return nil
}

func list(all []site) string {
	if len(all) == 0 {
		return ""
	}
	var names []string
	for _, s := range all {
		names = append(names, s.String())
	}
	return " (" + strings.Join(names, ", ") + ")"
}
