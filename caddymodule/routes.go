package caddymodule

import (
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// maxNesting bounds how deep routes are followed: a named route may invoke itself.
const maxNesting = 64

// behind returns the routes that a handler lets run on the answer that it got.
func behind(handler any) (routes []caddyhttp.RouteList) {
	var answers []caddyhttp.ResponseHandler
	switch h := handler.(type) {
	case *reverseproxy.Handler:
		answers = h.HandleResponse
	case *intercept.Intercept:
		answers = h.HandleResponse
	}
	for _, a := range answers {
		routes = append(routes, a.Routes)
	}
	return routes
}

// named returns the named route that a handler runs.
func named(h *caddyhttp.Invoke, s *caddyhttp.Server) caddyhttp.RouteList {
	if route := s.NamedRoutes[h.Name]; route != nil {
		return caddyhttp.RouteList{*route}
	}
	return nil
}

// asks reports whether a proxy asks another server about calls instead of
// passing them on: forward_auth is one that does.
func asks(p *reverseproxy.Handler) bool {
	return p.Rewrite != nil && p.Rewrite.Method == "GET" && len(p.HandleResponse) > 0
}

// answers reports whether a handler of Caddy's, or our own, ends the way of a
// call: behind it no other handler runs.
func answers(handler any) bool {
	switch h := handler.(type) {
	case *reverseproxy.Handler:
		return !asks(h)
	case *fileserver.FileServer:
		return !h.PassThru
	}
	switch moduleID(handler) {
	case "http.handlers.static_response", "http.handlers.error", "http.handlers.metrics", "http.handlers.audit_api":
		return true
	}
	return false
}

// thirdParty reports whether a handler is neither Caddy's nor ours.
func thirdParty(handler any) bool {
	t := reflect.TypeOf(handler)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() != reflect.TypeFor[Capture]().PkgPath() && !strings.HasPrefix(t.PkgPath(), "github.com/caddyserver/caddy/v2/")
}

func moduleID(handler any) string {
	if m, ok := handler.(caddy.Module); ok {
		return string(m.CaddyModule().ID)
	}
	return ""
}

// hosts are those that a route is for; nil is any.
type hosts []string

func hostsOf(route caddyhttp.Route) (all hosts) {
	for _, set := range route.MatcherSets {
		n := len(all)
		for _, m := range set {
			if h, ok := m.(*caddyhttp.MatchHost); ok {
				all = append(all, *h...)
			}
		}
		if len(all) == n {
			return nil
		}
	}
	return all
}

// overlap reports whether a call may be for both. A pattern may be any host.
func (h hosts) overlap(other hosts) bool {
	if h == nil || other == nil {
		return true
	}
	for _, a := range h {
		for _, b := range other {
			if strings.EqualFold(a, b) || strings.ContainsAny(a+b, "*{") {
				return true
			}
		}
	}
	return false
}
