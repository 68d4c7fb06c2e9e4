package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/auditgate/auditgate/record"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "audit",
		Usage: "<verb>",
		Short: "Works with the records of Auditgate",
		Long: `
Works with the records of Auditgate, the audit gateway:

  auditgate audit token         makes a token for the audit API of this machine
  auditgate audit rotate-key    makes a new redaction key
  auditgate audit redact-hash   tells what stands for a secret in the records
  auditgate audit explain       says what is recorded of a call, and why
  auditgate audit backup        saves the records and keys of a running gateway
  auditgate audit restore       makes a store of a backup
`,
		CobraFunc: auditCommand,
	})
}

// auditCommand gives the command `audit` its verbs.
func auditCommand(cmd *cobra.Command) {
	cmd.AddCommand(tokenCommand(), rotateCommand(), hashCommand(), explainCommand(), backupCommand(), restoreCommand())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var verbs []string
		for _, verb := range cmd.Commands() {
			verbs = append(verbs, verb.Name())
		}
		return fmt.Errorf("verb %q is unknown: want one of %q", args[0], verbs)
	}
}

// Who issues the gateway's own tokens, and for whom.
const (
	tokenIssuer   = "auditgate"
	tokenAudience = "auditgate"
)

// maxTokenTTL bounds how long a token of the gateway's own key is good: it
// cannot be taken back.
const maxTokenTTL = 30 * 24 * time.Hour

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token [--config <path>] [--role <role>] [--project <id>]… [--source <name>]… [--ttl <duration>]",
		Short: "Makes a token for the audit API",
		Long: `
Makes a token of the gateway's own key, which the audit API accepts where its
configuration has no jwt block, and prints it on standard output.

The key is read from the directory that the configuration names (without
--config the Caddyfile of the working directory, if there is one), or from its
default place in Caddy's data directory; run this as the user that runs the
gateway. A token cannot be taken back: keep its time short.
`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	config := flags.StringP("config", "c", "", "Configuration file of the gateway (default: Caddyfile)")
	adapter := flags.StringP("adapter", "a", "", "Name of the adapter of the configuration file")
	role := flags.String("role", "auditor", "What the token may do: auditor, admin or ingest")
	projects := flags.StringSlice("project", []string{"*"}, "Projects that the token may see, * for all")
	sources := flags.StringSlice("source", nil, "Sources that the token may see (default: all that are not restricted)")
	ttl := flags.Duration("ttl", 15*time.Minute, "How long the token is good, at most 720h")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, all, err := readConfig(cmd, *config, *adapter)
		if err != nil {
			return err
		}
		for _, source := range *sources {
			if all != nil && source != "*" && source != record.Self && !hasHandler(all, "audit_capture", "source", func(v any) bool { return v == source }) {
				fmt.Fprintf(cmd.ErrOrStderr(), "No audit_capture of this configuration has the source %q.\n", source)
			}
		}
		if hasHandler(all, "audit_api", "jwt", func(v any) bool { return v != nil }) {
			fmt.Fprintln(cmd.ErrOrStderr(), "This configuration has an audit API with a jwt block: it accepts the tokens of that issuer, and not this one.")
		}
		k, err := existingKeys(dir)
		if err != nil {
			return err
		}
		token, err := k.token(*role, *projects, *sources, *ttl)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
		return err
	}
	return cmd
}

// existingKeys reads the keys in dir, and makes none where there are none.
func existingKeys(dir string) (*keys, error) {
	if _, err := os.Stat(filepath.Join(dir, redactionFile)); err != nil {
		return nil, fmt.Errorf("there are no keys in %s: start the gateway first, run this as its user, and name its configuration with --config", dir)
	}
	return loadKeys(dir)
}

// readConfig returns the directory of the keys that a configuration names, and all of
// the configuration, nil where there is none. Where none is
// named it is the Caddyfile of the working directory, of which it tells, and without
// that one of defaults.
func readConfig(cmd *cobra.Command, config, adapter string) (keys string, all any, err error) {
	var c struct {
		Apps struct {
			Auditgate struct {
				Keys string `json:"keys"`
			} `json:"auditgate"`
		} `json:"apps"`
	}
	raw, file, _, err := caddycmd.LoadConfig(config, adapter)
	if err != nil {
		return "", nil, err
	}
	if config == "" && file != "" {
		if full, err := filepath.Abs(file); err == nil {
			file = full
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "The configuration is %s.\n", file)
	}
	if len(raw) > 0 {
		if err := errors.Join(json.Unmarshal(raw, &c), json.Unmarshal(raw, &all)); err != nil {
			return "", nil, fmt.Errorf("reading %s: %w", file, err)
		}
	}
	keys, err = absolute(c.Apps.Auditgate.Keys, "auditgate-keys")
	return keys, all, err
}

// hasHandler looks anywhere in config for a handler of that name, a member of which is
// as is says.
func hasHandler(config any, name, member string, is func(any) bool) bool {
	switch v := config.(type) {
	case []any:
		return slices.ContainsFunc(v, func(inner any) bool { return hasHandler(inner, name, member, is) })
	case map[string]any:
		if v["handler"] == name && is(v[member]) {
			return true
		}
		for _, inner := range v {
			if hasHandler(inner, name, member, is) {
				return true
			}
		}
	}
	return false
}

// token makes a token of the gateway's own key.
func (k *keys) token(role string, projects, sources []string, ttl time.Duration) (string, error) {
	switch role {
	case "auditor", "admin", "ingest":
	default:
		return "", fmt.Errorf("role %q is unknown: want auditor, admin or ingest", role)
	}
	switch {
	case ttl <= 0 || ttl > maxTokenTTL:
		return "", fmt.Errorf("ttl is %s: want more than 0 and at most %s", ttl, maxTokenTTL)
	case len(projects) == 0:
		return "", errors.New("project is missing: name those that the token may see, or * for all")
	}
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": tokenIssuer, "aud": tokenAudience, "sub": issuedBy(), "jti": uuid.NewString(),
		"iat": now.Unix(), "exp": now.Add(ttl).Unix(),
		"roles": []string{role}, "projects": projects,
	}
	if len(projects) == 1 && projects[0] == "*" {
		claims["projects"] = "*"
	}
	if len(sources) > 0 {
		claims["sources"] = sources
	}
	return jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims).SignedString(k.signing)
}

// issuedBy says on whose word a token of the gateway's own key was made.
func issuedBy() string {
	name := os.Getenv("SUDO_USER")
	if name == "" {
		name = os.Getenv("USER")
	}
	if name == "" {
		name = fmt.Sprintf("uid %d", os.Getuid())
	}
	host, _ := os.Hostname()
	return "cli:" + name + "@" + host
}

// greet prints a short-lived token for whoever has just started the gateway on a
// terminal by hand.
func (a *App) greet(k *keys) {
	token, err := k.token("auditor", []string{"*"}, nil, 15*time.Minute)
	if err != nil {
		a.log.Error("making a token for the terminal", "error", err)
		return
	}
	fmt.Printf("\nA token for the audit API, good for 15 minutes (role auditor, every project):\n\n%s\n\n", token)
}
