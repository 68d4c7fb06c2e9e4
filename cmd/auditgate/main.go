// Command auditgate is Caddy with its standard modules and Auditgate.
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/auditgate/auditgate"
)

func main() {
	caddy.CustomBinaryName = "auditgate"
	caddycmd.Main()
}
