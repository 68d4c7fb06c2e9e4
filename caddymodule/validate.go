package caddymodule

import (
	"context"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// validated is the cause with which Caddy ends a configuration that was only to be
// validated, and is valid. Others that never start have failed. It is a text of
// caddy.Validate, not of its interface: with another Caddy the warnings may go unsaid,
// which TestValidateTellsWarnings notices.
const validated = "validation complete"

// Cleanup implements caddy.CleanerUpper. A configuration that is only validated has its
// warnings told here: only now are all apps provisioned.
func (a *App) Cleanup() error {
	if cause := context.Cause(a.ctx); cause != nil && cause.Error() == validated {
		a.warn(os.Stderr)
	}
	return nil
}

// warn writes the warnings for whoever looks at w, since the log of the configuration may
// go elsewhere.
func (a *App) warn(w io.Writer) {
	log := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
		if len(groups) == 0 && attr.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return attr
	}}))
	for _, f := range a.warnings(a.survey()) {
		log.Warn(f.text, f.with...)
	}
}

// warnings are what an operator should know of the configuration.
func (a *App) warnings(s *survey) []finding { return slices.Concat(s.findings, a.clearLogs()) }

// Interface guards
var _ caddy.CleanerUpper = (*App)(nil)
