package caddymodule

import (
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// loggerName stands for the modules that log under a name; "" for all.
type loggerName string

// CaddyModule implements caddy.Module.
func (n loggerName) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: caddy.ModuleID(n)} }

// clearLogs finds the logs of the configuration out of which secrets are not taken.
// Caddy tells nobody which there are: they are found by what is written to them.
func (a *App) clearLogs() (all []finding) {
	find := func(text string, with ...any) { all = append(all, finding{text, with}) }
	if !hides(caddy.Log()) {
		find("Caddy's own log shows the headers and URIs of calls that fail, and other secrets; say `log { format audit }` in the global options",
			"log", caddy.DefaultLoggerName)
	}
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		servers := app.(*caddyhttp.App).Servers
		for _, name := range slices.Sorted(maps.Keys(servers)) {
			for _, log := range accessLogs(servers[name]) {
				if !hides(a.ctx.Logger(loggerName("http.log.access." + log))) {
					find("an access log shows the headers and URIs of all calls, with their secrets; say `format audit` in the log block of the site",
						"log", log, "server", name)
				}
			}
		}
	}
	// This reaches those above too.
	if len(all) == 0 && !hides(a.ctx.Logger(loggerName(""))) {
		find("a log beside the default one shows headers and URIs, and other secrets; say `format audit` in each log of the global options")
	}
	return all
}

// accessLogs are the names of the access logs of a server's sites.
func accessLogs(s *caddyhttp.Server) []string {
	if s.Logs == nil {
		return nil
	}
	names := map[string]bool{s.Logs.DefaultLoggerName: true}
	for _, some := range s.Logs.LoggerNames {
		for _, name := range some {
			names[name] = true
		}
	}
	delete(names, "") // that of Caddy's own log
	return slices.Sorted(maps.Keys(names))
}
