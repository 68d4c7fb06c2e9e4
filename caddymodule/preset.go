package caddymodule

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/naming"
)

// Preset is what Auditgate knows beforehand of a product's APIs: what their calls are
// called and act on, and which secrets stand in them beside the usual ones.
type Preset struct {
	// The product: `openstack`. Required.
	Name string `json:"name"`

	// The services that the capture stands in front of, each by the name of its source
	// (`iam`), its project (`keystone`) or its type (`identity`). Where two know a call
	// the one named first wins. Default: the one that the source is named after.
	Services []string `json:"services,omitempty"`
}

// presetNames are the products of which something is known.
var presetNames = []string{"openstack"}

// parsePreset reads `preset openstack` or `preset openstack nova cinder`.
func parsePreset(d *caddyfile.Dispenser, c *Capture) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("preset: want a product, one of %q, as in `preset openstack`", presetNames)
	}
	c.Preset = &Preset{Name: args[0], Services: args[1:]}
	if len(args) == 1 {
		c.Preset.Services = nil
	}
	return nil
}

// services are those of p in front of which a capture of that source stands, by the
// names of their sources.
func (p *Preset) services(source string) (all []string, err error) {
	if !slices.Contains(presetNames, p.Name) {
		return nil, fmt.Errorf("preset %q is unknown: want one of %q", p.Name, presetNames)
	}
	names := p.Services
	if len(names) == 0 {
		names = []string{source}
	}
	for _, name := range names {
		service, ok := naming.OpenStackSource(name)
		if !ok {
			known, _ := naming.OpenStackServices()
			if len(p.Services) == 0 {
				return nil, fmt.Errorf("preset openstack: no service is known by the name of the source, %q: say which it is, as in `preset openstack keystone`; want some of %q, or their projects or types", source, known)
			}
			return nil, fmt.Errorf("preset openstack: no service is known as %q: want some of %q, or their projects or types", name, known)
		}
		if slices.Contains(all, service) {
			return nil, fmt.Errorf("preset openstack: %s is named twice", service)
		}
		all = append(all, service)
	}
	return all, nil
}

// knows returns what the preset of c knows, which it reads once; nothing where there
// is none. It is first called before the capture has calls.
func (c *Capture) knows() (*naming.Preset, error) {
	if c.Preset == nil {
		return new(naming.Preset), nil
	}
	if c.known == nil {
		services, err := c.Preset.services(c.Source)
		if err != nil {
			return nil, err
		}
		if c.known, err = naming.OpenStack(services...); err != nil {
			return nil, fmt.Errorf("preset: %w", err)
		}
	}
	return c.known, nil
}

// restricts reports whether only tokens that name the source see its records, unless an
// API says otherwise: whether it is Keystone's.
func (c *Capture) restricts() bool {
	if c.Preset == nil {
		return false
	}
	services, err := c.Preset.services(c.Source)
	return err == nil && slices.Contains(services, "iam") // VK-02
}

// redaction is what c calls secret, with what its preset knows; nil where there is
// nothing.
func (c *Capture) redaction() *Redaction {
	known, err := c.knows()
	if c.Preset == nil || err != nil { // check tells the error
		return c.Redact
	}
	var r Redaction
	if c.Redact != nil {
		r = *c.Redact
	}
	r.Headers = slices.Concat(r.Headers, known.Headers)
	r.Fields = slices.Concat(r.Fields, known.Fields)
	r.Pointers = slices.Concat(r.Pointers, known.Pointers)
	r.Paths = slices.Concat(r.Paths, known.Paths)
	r.Keep = slices.Clip(r.Keep)
	for _, k := range known.Keep {
		r.Keep = append(r.Keep, Keep{Pointer: k.Pointer, Method: k.Method, Path: k.Path})
	}
	return &r
}

// newWithheld returns what finds the calls of which the preset keeps no body; nil where
// there are none.
func newWithheld(known *naming.Preset) (*naming.Namer, error) {
	if len(known.Withheld) == 0 {
		return nil, nil
	}
	return naming.New([]naming.Rule{{Name: "withheld", Matches: known.Withheld}})
}

// body returns what is kept of the bodies of a call: what a rule says, else what the
// preset knows.
func (c *Capture) body(r *http.Request) capture.Bodies {
	bodies := c.policy.body(r)
	if bodies == capture.BodiesDefault && c.withholds(r.Method, originalPath(r)) {
		return capture.BodiesOff
	}
	return bodies
}

// withholds reports whether the preset keeps no bodies of a call.
func (c *Capture) withholds(method, uri string) bool {
	if c.withheld == nil {
		return false
	}
	switch {
	case len(uri) > capture.MaxURI: // it is not kept whole, and its end may say so
		return true
	case !strings.HasPrefix(uri, "/") && uri != "*": // no path, and nobody knows what a component makes of it
		return true
	}
	return c.withheld.Covers(method, uri)
}
