package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/spf13/cobra"
)

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain [--config <path>] [--header 'Name: value']… [--status <n>] [--json] <method> <uri>",
		Short: "Says what is recorded of a call, and which line decides",
		Example: "  auditgate audit explain POST http://127.0.0.1:8080/v1/demo/orders\n" +
			"  auditgate audit explain --status 404 GET :8080/v1/demo/orders/7",
		Long: `
Says what a configuration records of a call: which audit_capture takes it, how
much is kept, what is redacted, and which line decides.

The configuration is loaded as by validate: nothing is opened and nothing is
called. The URI is http://host:port/path, host:port/path, or a path alone where
calls of one site only are recorded. Matchers are asked about a request from
127.0.0.1 without a body. Handlers do not run, but for those that rewrite the
request or set variables: what an authentication handler would do is not known.
`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("want a method and a URI, as in `GET http://127.0.0.1:8080/v1/demo/orders`, and not %q", args)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	config := flags.StringP("config", "c", "", "Configuration file of the gateway (default: Caddyfile)")
	adapter := flags.StringP("adapter", "a", "", "Name of the adapter of the configuration file")
	header := flags.StringArrayP("header", "H", nil, "A header of the call, 'Name: value'; repeatable")
	status := flags.String("status", "", "The status of the answer, as 404 (default: every one is told)")
	asJSON := flags.Bool("json", false, "Print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c := call{method: strings.ToUpper(args[0]), uri: args[1], header: *header}
		if *status != "" {
			var err error
			if c.status, err = strconv.Atoi(*status); err != nil || c.status < 100 || c.status > 599 {
				return fmt.Errorf("status %q: want that of one answer, 100 to 599", *status)
			}
		}
		app, origins, err := provision(*config, *adapter)
		if err != nil {
			return err
		}
		e, err := c.explain(app, origins)
		if err != nil {
			return err
		}
		if *asJSON {
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			out.SetEscapeHTML(false)
			return out.Encode(e)
		}
		return e.print(cmd.OutOrStdout())
	}
	return cmd
}

// errNoConfig is why a command has no configuration.
var errNoConfig = errors.New("there is no Caddyfile here: name the configuration with --config")

// provision loads a configuration as `validate` does, without its logs, and says
// of each policy where in a Caddyfile it stands.
func provision(config, adapter string) (*caddyhttp.App, map[string][]origin, error) {
	origins := make(map[string][]origin)
	adapted = func(c *Capture, at origin) {
		if policy, err := c.fingerprint(); err == nil {
			origins[policy] = append(origins[policy], at)
		}
	}
	defer func() { adapted = nil }()
	raw, _, _, err := caddycmd.LoadConfig(config, adapter)
	if err != nil {
		return nil, nil, err
	}
	if len(raw) == 0 {
		return nil, nil, errNoConfig
	}
	var c *caddy.Config
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(raw), &c); err != nil {
		return nil, nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	c.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output": "discard"}`)}},
	}}
	ctx, err := caddy.ProvisionContext(c) // cleaned up by the end of the process
	if err != nil {
		return nil, nil, err
	}
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil, nil, errors.New("the configuration has no site")
	}
	return app.(*caddyhttp.App), origins, nil
}

// call is what somebody asks about.
type call struct {
	method, uri string
	header      []string
	status      int // 0: any
}
