// Command auditgate is Caddy with its standard modules and Auditgate.
package main

import (
	"runtime/debug"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/auditgate/auditgate"
)

func main() {
	caddy.CustomBinaryName = "auditgate"
	if build, ok := debug.ReadBuildInfo(); ok { // before Caddy's own version in `auditgate version`
		caddy.CustomVersion = "Auditgate " + build.Main.Version + ", Caddy"
	}
	caddycmd.Main()
}
