package caddymodule

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// otherReadings returns r with its path as servers read it that read it in another way
// than Caddy's matchers do, to which a coded slash is a slash, and dots are taken out of a
// path: those to which it is none, and those that leave dots where they are. Of an
// address without a slash, as in `GET http:a/b`, the matchers see nothing, and the
// component gets `a/b`. None: all read the path alike.
func otherReadings(r *http.Request) (others []*http.Request) {
	opaque := r.URL.Opaque != ""
	if !opaque && r.URL.RawPath == "" && !hasDots(r.URL.Path) {
		return nil
	}
	sent := escapedPath(r.URL)
	slashes, none := strings.NewReplacer("%2F", "/", "%2f", "/").Replace(sent), strings.NewReplacer("%2F", "%252F", "%2f", "%252F").Replace(sent)
	seen := []string{slashes}
	if opaque {
		seen = nil
	}
	for _, path := range []string{slashes, none, keepDots(slashes), keepDots(none)} {
		if slices.Contains(seen, path) {
			continue
		}
		seen = append(seen, path)
		u := *r.URL
		u.Opaque, u.RawPath = "", path
		var err error
		if u.Path, err = url.PathUnescape(path); err != nil { // only in what Caddy has not read as a path
			u.Path = path
		}
		others = append(others, aside(r, &u))
	}
	return others
}

// hasDots reports whether a path has segments that are dots.
func hasDots(path string) bool {
	if !strings.Contains(path, "/.") {
		return false
	}
	return strings.Contains(path, "/./") || strings.Contains(path, "/../") || strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..")
}

// keepDots codes the dots of an escaped path, twice, that matchers would take out.
func keepDots(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if plain, err := url.PathUnescape(s); err == nil && (plain == "." || plain == "..") {
			segments[i] = strings.Repeat("%252E", len(plain))
		}
	}
	return strings.Join(segments, "/")
}

// aside returns r with another URL, for matchers to look at: its placeholders tell of
// that one, and what they set is not there for the handlers behind them.
func aside(r *http.Request, u *url.URL) *http.Request {
	ctx := r.Context()
	if vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, maps.Clone(vars))
	}
	other := r.WithContext(ctx)
	other.URL = u
	repl := caddyhttp.NewTestReplacer(other) // the one way to have the placeholders of a request
	if own, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(own.Get)
	}
	return other
}

// escapedPath is the path of a URL as its client sent it. Where that does not begin with
// a slash, as in `GET http:a/b`, a component which reads it at all reads it as if it did.
func escapedPath(u *url.URL) string {
	if u.Opaque != "" {
		return "/" + u.Opaque
	}
	return u.EscapedPath()
}
