// Package caddymodule puts Auditgate into Caddy: it translates between Caddy's
// configuration, life cycle and requests and the packages that do the work. It
// has no ideas of its own.
//
//   - app.go: the app `auditgate`, with what all sites share
//   - engine.go: the store and the workers, which outlive configurations
//   - capture.go: the handler `audit_capture`, which records the calls that pass
//   - api.go: the handler `audit_api`, which serves the records
//   - stores.go: the stores that a configuration can choose from
//   - caddyfile.go: what people write; block.go reads its lines
//   - keys.go: the secrets that the gateway makes for itself
//   - command.go: `auditgate audit …` on the command line
//   - metrics.go: figures for Caddy's /metrics
package caddymodule
