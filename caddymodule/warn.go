package caddymodule

import (
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/auditgate/auditgate/record"
)

// survey is a look over the routes of a configuration: what is captured, and
// what calls may pass by unseen. It looks at how handlers stand to each other,
// not at what matchers would say: a capture with a matcher covers what stands
// behind it, since whoever wrote the matcher meant it. What handlers of third
// parties nest in themselves is not seen.
type survey struct {
	captures []captured
	apis     []servedAPI
	findings []finding

	server *caddyhttp.Server
	// failing are the captures whose calls may come to these routes, which are
	// those for errors; inErrors tells that there is one to this route.
	failing  []captured
	inErrors bool
	depth    int
}

// captured is a capture in its server.
type captured struct {
	server  *caddyhttp.Server
	hosts   hosts // of the site that it stands in
	capture *Capture
}

// servedAPI is an API in its server.
type servedAPI struct {
	server *caddyhttp.Server
	api    *API
}

// finding is something that an operator should know, and what to do about it.
type finding struct {
	text string
	with []any // attributes for the log
}

// way is what a call has met before it comes to a handler.
type way struct {
	covered bool     // by a capture
	ended   bool     // by an answer: nothing comes to it
	foreign []string // modules of third parties, before any capture
}

// surveyOf looks over all servers.
func surveyOf(app *caddyhttp.App) *survey {
	s := new(survey)
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		s.server = app.Servers[name]
		first := len(s.captures)
		s.routes(s.server.Routes, way{})
		if s.server.Errors == nil {
			continue
		}
		s.failing = s.captures[first:]
		s.routes(s.server.Errors.Routes, way{})
		s.failing, s.inErrors = nil, false
	}
	for _, w := range s.apis {
		for _, source := range w.api.Restrict {
			if source != record.Self && !slices.ContainsFunc(s.captures, func(c captured) bool { return c.capture.Source == source }) {
				s.server = w.server
				s.find("restrict names a source that no audit_capture has, so it keeps nothing from anybody unless records of before have it; is it misspelled?",
					"source", source)
			}
		}
	}
	return s
}

// routes follows a list of routes and returns the way of a call behind it.
func (s *survey) routes(list caddyhttp.RouteList, before way) way {
	if s.depth == maxNesting {
		return before
	}
	s.depth++
	defer func() { s.depth-- }()
	after := before
	groups := make(map[string]way) // before their first route: a call takes one of them
	special := ""                  // source of a capture of some of the calls that come to the next route
	for _, route := range list {
		for _, c := range capturesIn(route) {
			switch {
			case len(route.MatcherSets) > 0:
				special = c.Source
			case special != "" && !s.inErrors:
				s.find("an audit_capture for all calls follows one with a matcher, so its source and rules hold for every call; put both into a route block, the one for all calls first",
					"source", c.Source, "before", special)
			}
		}
		in := after
		if route.Group != "" {
			if first, ok := groups[route.Group]; ok {
				in = first
			} else {
				groups[route.Group] = in
			}
		}
		switch out := s.route(route, in); {
		case !out.ended && !route.Terminal:
			after = way{covered: after.covered || out.covered, foreign: merge(after.foreign, out.foreign)}
		case len(route.MatcherSets) == 0 && route.Group == "":
			after.ended = true
			return after
		}
	}
	return after
}

// route follows the handlers of one route.
func (s *survey) route(route caddyhttp.Route, w way) way {
	first := len(s.captures)
	if s.depth == 1 {
		s.inErrors = slices.ContainsFunc(s.failing, func(c captured) bool { return c.hosts.overlap(hostsOf(route)) })
	}
	for _, h := range route.Handlers {
		if w = s.handler(h, w); w.ended {
			break
		}
	}
	if s.depth == 1 {
		for i := range s.captures[first:] {
			s.captures[first+i].hosts = hostsOf(route)
		}
	}
	return w
}

// capturesIn returns the captures of a route behind which a call may come to the
// next one.
func capturesIn(route caddyhttp.Route) (all []*Capture) {
	if route.Terminal || route.Group != "" {
		return nil
	}
	for _, h := range route.Handlers {
		if c, ok := h.(*Capture); ok {
			all = append(all, c)
		}
	}
	return all
}

// handler returns the way of a call behind a handler.
func (s *survey) handler(handler any, before way) way {
	for _, a := range asked(handler) {
		if a.plain() {
			s.find(a.danger, "url", a.url)
		}
	}
	switch h := handler.(type) {
	case *Capture:
		s.captures = append(s.captures, captured{server: s.server, capture: h})
		if s.inErrors && h.hasRules() {
			s.find("an audit_capture in handle_errors has rules of its own, which do not hold for calls that another audit_capture has begun: those of that one do; leave them out here",
				"source", h.Source)
		}
		if h.restricts() && !s.inErrors && (h.Identity == nil || len(h.Identity.Learn) == 0) {
			s.find("nothing is learned from the logins that pass an audit_capture of Keystone, so nobody knows who holds its tokens; docs/openstack.md has the `learn` blocks",
				"source", h.Source)
		}
		if h.restricts() && !slices.Contains(alwaysRestricted, h.Source) && h.app.restrictsAlone {
			s.find("the records of Keystone are seen only with tokens that name their source, but under another name than iam or keystone no longer when its audit_capture is taken out; say `restrict` in audit_api",
				"source", h.Source)
		}
		for _, module := range before.foreign {
			s.find("a handler stands before audit_capture, so what it answers is not recorded; order its directive after audit_capture",
				"module", module, "source", h.Source)
		}
		return way{covered: true}
	case *API:
		s.apis = append(s.apis, servedAPI{s.server, h})
	case *caddyhttp.Subroute:
		if h.Errors != nil {
			s.routes(h.Errors.Routes, before)
		}
		return s.routes(h.Routes, before)
	case *caddyhttp.Invoke:
		return s.routes(named(h, s.server), before)
	}
	for _, routes := range behind(handler) {
		s.routes(routes, before)
	}
	before.ended = answers(handler)
	proxy, isProxy := handler.(*reverseproxy.Handler)
	switch {
	case before.covered:
	case s.inErrors && answers(handler):
		s.find("handle_errors answers calls without audit_capture, so their records have the status of the error and not what the client saw; put audit_capture into handle_errors too",
			"module", moduleID(handler))
	case isProxy && !asks(proxy):
		s.find("a reverse_proxy stands behind no audit_capture, so its calls are not recorded; put one before it, with `level none` where that is meant so",
			"upstreams", upstreams(proxy))
	case thirdParty(handler):
		before.foreign = merge(before.foreign, []string{moduleID(handler)})
	}
	return before
}

// find notes a finding once for each server.
func (s *survey) find(text string, with ...any) {
	f := finding{text: text, with: append([]any{"server", s.server.Name(), "listen", strings.Join(s.server.Listen, " ")}, with...)}
	same := func(other finding) bool { return other.text == f.text && slices.Equal(other.with, f.with) }
	if !slices.ContainsFunc(s.findings, same) {
		s.findings = append(s.findings, f)
	}
}

func upstreams(p *reverseproxy.Handler) string {
	if p.DynamicUpstreamsRaw != nil || p.DynamicUpstreams != nil {
		return "dynamic"
	}
	var all []string
	for _, u := range p.Upstreams {
		all = append(all, u.Dial)
	}
	return strings.Join(all, " ")
}

// merge returns a and what of b is not in it.
func merge(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(slices.Clip(a), s)
		}
	}
	return a
}

// report logs what a configuration records, under which policies, and what is
// to be warned of.
func (a *App) report(s *survey, warnings []finding) {
	for _, c := range s.captures {
		a.log.Info("capture is ready", slog.String("source", c.capture.Source),
			slog.String("server", c.server.Name()), slog.String("policy", c.capture.policy.id))
	}
	for _, f := range warnings {
		a.log.Warn(f.text, f.with...)
	}
}
