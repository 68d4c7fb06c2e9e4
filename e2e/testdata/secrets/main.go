// The gateway with one more handler, that of a plugin with a bug: panics, which
// panics with the target and the header of the request.
package main

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/auditgate/auditgate"
)

func main() {
	caddy.CustomBinaryName = "auditgate"
	caddy.RegisterModule(Panics{})
	httpcaddyfile.RegisterHandlerDirective("panics", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return Panics{}, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("panics", httpcaddyfile.Before, "respond")
	caddycmd.Main()
}

// Panics is the handler.
type Panics struct{}

// CaddyModule implements caddy.Module.
func (Panics) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.panics", New: func() caddy.Module { return new(Panics) }}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (Panics) ServeHTTP(_ http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	panic(fmt.Sprintf("handling %s: %v", r.RequestURI, r.Header))
}
