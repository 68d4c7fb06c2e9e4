// Package caddymodule puts Auditgate into Caddy: it translates between Caddy's
// configuration, life cycle and requests and the packages that do the work. It
// has no ideas of its own.
//
//   - app.go: the app `auditgate`, with what all sites share
//   - engine.go: the store and the workers, which outlive configurations
//   - capture.go: the handler `audit_capture`, which records the calls that pass;
//     policy.go: how much it keeps of which calls; redaction.go: what it takes
//     out; facts.go: what Caddy knows of a call
//   - api.go: the handler `audit_api`, which serves the records
//   - stores.go: the stores that a configuration can choose from
//   - caddyfile.go: what people write, parsecapture.go: in `audit_capture`;
//     block.go reads its lines
//   - warn.go: what passes unseen, found at start
//   - keys.go: the secrets that the gateway makes for itself; rotate.go: a new
//     redaction key; hash.go: what stands for a secret under each of them
//   - logs.go: the format `audit` for Caddy's own log; logrules.go: what it hides
//   - command.go: `auditgate audit …` on the command line; explain.go: what is
//     recorded of a call; trace.go: the way of a call through routes.go
//   - metrics.go: figures for Caddy's /metrics
package caddymodule
