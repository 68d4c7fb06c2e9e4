package caddymodule

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// maxTold is how many captures, APIs and warnings the record of a configuration tells,
// of each.
const maxTold = 1000

// control returns a record that the gateway makes of what was done to it, with what is
// to be told of it as its request body. No secret stands in that.
func control(action, description string, told any) *record.Record {
	id := record.NewID()
	return &record.Record{
		EventID: id, Timestamp: id.Time(), EndTime: id.Time(),
		Source: record.Self, Action: action, Description: description,
		Success: record.SuccessYes, Outcome: record.OutcomeComplete,
		RequestBody: record.JSONBody(told),
	}
}

// loadedConfig is what the record of a configuration that was loaded tells. It names
// keys by their ids alone, and nothing in it is what a client sent.
type loadedConfig struct {
	// Load is "start" for the first configuration of a process, else "reload".
	Load string `json:"load"`
	// HMACSHA256 is the digest of all that the configuration says to this app and its
	// handlers, keyed, since there may be weak secrets in it: the same for the same
	// configuration and the same keys, whatever the order.
	HMACSHA256 string `json:"hmac_sha256"`
	Store      string `json:"store"`
	Fixed      string `json:"fixed"` // what only a restart can change, in words
	// Retention is how long records are kept, RetentionBefore how long they were by the
	// configuration before, where that has changed.
	Retention       retained  `json:"retention"`
	RetentionBefore *retained `json:"retention_before,omitempty"`

	Captures []loadedCapture `json:"captures"`
	APIs     []loadedAPI     `json:"apis"`
	Warnings []string        `json:"warnings"`
	// More is how many captures, APIs and warnings are not told for want of room.
	More int `json:"more,omitempty"`
}

// retained is a [Retention] as it is written in a Caddyfile.
type retained struct {
	Writes     string `json:"writes"`
	Reads      string `json:"reads"`
	Disk       string `json:"disk"`
	DiskWrites bool   `json:"disk_writes"`
}

func (r *Retention) words() retained {
	return retained{
		Writes: store.Days(time.Duration(r.Writes)), Reads: store.Days(time.Duration(r.Reads)),
		Disk: fmt.Sprintf("%d%%", r.Disk), DiskWrites: r.DiskWrites,
	}
}

// loadedCapture is a capture, and by Policy which of the records are made by its rules.
type loadedCapture struct {
	Source string   `json:"source"`
	Policy string   `json:"policy"`
	Fail   string   `json:"fail"`
	Server string   `json:"server"`
	Listen []string `json:"listen"`
}

// loadedAPI is an API: whose tokens it takes, and what only tokens see that name it.
type loadedAPI struct {
	Tokens   []string `json:"tokens"` // some of gateway, jwt, keystone
	Restrict []string `json:"restrict"`
	Server   string   `json:"server"`
	Listen   []string `json:"listen"`
}

// describe returns what is told of the configuration that starts.
func (a *App) describe(k *keys, s *survey, warnings []finding) *loadedConfig {
	c := &loadedConfig{
		Load: "start", HMACSHA256: k.digest(a.parts), Store: a.opener.Key(), Fixed: a.options(), Retention: a.Retention.words(),
		Captures: []loadedCapture{}, APIs: []loadedAPI{}, Warnings: []string{},
	}
	// Until this one has started the active one is the one before.
	if active := caddy.ActiveContext(); active.Context != nil {
		c.Load = "reload"
		if app, err := active.AppIfConfigured("auditgate"); err == nil {
			if before := app.(*App).Retention.words(); before != c.Retention {
				c.RetentionBefore = &before
			}
		}
	}
	for _, found := range s.captures {
		c.Captures = append(c.Captures, loadedCapture{
			Source: found.capture.Source, Policy: found.capture.policy.id, Fail: cmp.Or(found.capture.Fail, failOpen),
			Server: found.server.Name(), Listen: found.server.Listen,
		})
	}
	for _, found := range s.apis {
		tokens := []string{"gateway"}
		if found.api.JWT != nil {
			tokens[0] = "jwt"
		}
		if found.api.Keystone != "" {
			tokens = append(tokens, "keystone")
		}
		c.APIs = append(c.APIs, loadedAPI{
			Tokens: tokens, Restrict: found.api.restricted(), Server: found.server.Name(), Listen: found.server.Listen,
		})
	}
	for _, f := range warnings { // their attributes stand in the log: addresses may have secrets
		if !slices.Contains(c.Warnings, f.text) {
			c.Warnings = append(c.Warnings, f.text)
		}
	}
	c.Captures = c.Captures[:c.tell(len(c.Captures))]
	c.APIs = c.APIs[:c.tell(len(c.APIs))]
	c.Warnings = c.Warnings[:c.tell(len(c.Warnings))]
	return c
}

// tell returns how many of n are told, and counts the others.
func (c *loadedConfig) tell(n int) int {
	told := min(n, maxTold)
	c.More += n - told
	return told
}

// record returns the record of the configuration.
func (c *loadedConfig) record() *record.Record {
	how := "A configuration was loaded"
	if c.Load == "start" {
		how = "The gateway was started with a configuration"
	}
	return control("config.load", fmt.Sprintf("%s of %d captures", how, len(c.Captures)), c)
}

// note adds to what the digest of the configuration is made of a module as it stands
// there. Modules note themselves before they are provisioned, which takes matchers out
// of them.
func (a *App) note(id string, module []byte) {
	a.parts = append(a.parts, id+" "+string(module))
}

// written returns a module as it stands in the configuration, members of objects in
// order, whoever wrote them.
func written(module any) ([]byte, error) {
	text, err := json.Marshal(module)
	var members any
	if err == nil {
		err = json.Unmarshal(text, &members)
	}
	if err != nil {
		return nil, fmt.Errorf("writing down the configuration: %w", err)
	}
	return json.Marshal(members)
}

// digest returns the digest of a configuration, keyed with a key that comes from the
// signing key, and so is the same after a rotation of the other.
func (k *keys) digest(parts []string) string {
	parts = slices.Sorted(slices.Values(parts)) // servers come in any order
	mac := hmac.New(sha256.New, k.derive("auditgate configuration v1"))
	mac.Write([]byte(strings.Join(parts, "\n"))) // none has a line break: they are JSON
	return hex.EncodeToString(mac.Sum(nil))
}

// onStarted calls do when all apps of the configuration have started: one that Caddy
// takes back was never loaded. Caddy says that its events may change, this one too: were
// it gone, nothing would be on record of configurations, which
// TestEachLoadedConfigurationIsOnRecord notices.
func onStarted(ctx caddy.Context, do func()) error {
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("loading the events app: %w", err)
	}
	return events.(*caddyevents.App).On("started", eventHandler(do))
}

// eventHandler implements caddyevents.Handler.
type eventHandler func()

// Handle implements caddyevents.Handler.
func (do eventHandler) Handle(context.Context, caddy.Event) error {
	do()
	return nil
}

// survey looks over the servers of the configuration, of which there may be none.
func (a *App) survey() *survey {
	loaded, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return new(survey)
	}
	return surveyOf(loaded.(*caddyhttp.App))
}
