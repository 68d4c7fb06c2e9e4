package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/auditgate/auditgate/capture"
)

// Decide returns what the rules of c say of a call.
func (c *Capture) Decide(r *http.Request) ([]capture.Choice, capture.Bodies) {
	return c.policy.level(r), c.body(r)
}

// PolicyID is what the records of c name as their policy.
func (c *Capture) PolicyID() string { return c.policy.id }

// Finding is what a survey found, without its advice.
type Finding struct {
	Text string
	With []any
}

// Survey looks over the servers of app.
func Survey(app *caddyhttp.App) (captures []*Capture, findings []Finding) {
	s := surveyOf(app)
	for _, c := range s.captures {
		captures = append(captures, c.capture)
	}
	for _, f := range s.findings {
		findings = append(findings, Finding{f.text, f.with})
	}
	return captures, findings
}

// The commands of `audit`.
var (
	ExplainCommand = explainCommand
	HashCommand    = hashCommand
	RotateCommand  = rotateCommand
	AuditCommand   = auditCommand
	TokenCommand   = tokenCommand
)

// ClearLogs returns what is said of the logs of a configuration that show secrets.
func (a *App) ClearLogs() (findings []Finding) {
	for _, f := range a.clearLogs() {
		findings = append(findings, Finding{f.text, f.with})
	}
	return findings
}

// Values is what is secret by its look, as package redact is told.
func (c *Capture) Values() []string { return c.Redact.values() }

// Restricted are the sources that an API shows only to tokens which name them.
func (a *API) Restricted() []string { return a.restricted() }

// PooledKeys are keys that several configurations hold.
type PooledKeys = pooledKeys

// Hold has a log told until release.
func (p *PooledKeys) Hold(log func(string, error)) (release func()) { return p.hold(log) }

// Tell tells the newest log.
func (p *PooledKeys) Tell(msg string, err error) { p.tell(msg, err) }
