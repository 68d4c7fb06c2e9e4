package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/redact"
)

// Redaction says what is secret, beside what always is: the usual headers and
// fields by name, tokens and private keys by their look. A name covers all that
// stands below it.
type Redaction struct {
	// Names of headers that are secret too.
	Headers []string `json:"headers,omitempty"`

	// Names of fields that are secret too: in JSON, forms, multipart, queries,
	// XML and text.
	Fields []string `json:"fields,omitempty"`

	// JSON pointers (RFC 6901) of values that are secret, in either body. A token
	// `*` stands for every element of a list: `/servers/*/note`.
	Pointers []string `json:"pointers,omitempty"`

	// What is not secret after all.
	Keep []Keep `json:"keep,omitempty"`

	// Patterns of paths with secrets in them: `/reset/:secret`. `:secret` is a
	// segment that is secret, `*` any one segment, a last `/*` the rest.
	Paths []string `json:"paths,omitempty"`

	// What is secret by its look too, wherever it stands: `card` (card numbers),
	// beside `jwt` and `pem` (private keys), which always are. An empty list is
	// none of them, not even those. Default: `jwt` and `pem`.
	Values []string `json:"values,omitzero"`

	// What stands for a secret: `hmac`, a keyed hash, so that the same secret
	// can be recognised and never read; `mask`; or `drop`. Default: `hmac`.
	Mode string `json:"mode,omitempty"`

	// Calls of which bodies are kept in another way; the first that matches
	// decides.
	Bodies []BodyRule `json:"bodies,omitempty"`
}

// Keep is a place that is not secret although its name is: what stands below it
// is judged by its own names.
type Keep struct {
	// A JSON pointer.
	Pointer string `json:"pointer"`

	// The method of the calls. Default: any.
	Method string `json:"method,omitempty"`

	// A pattern of the path of the calls: `:name` and `*` are any one segment,
	// a last `/*` the rest. Default: any.
	Path string `json:"path,omitempty"`
}

// BodyRule is how the bodies of some calls are kept.
type BodyRule struct {
	// `off` keeps no body; `on` also keeps binary that would be withheld, since
	// nobody can look for secrets in it.
	Body string `json:"body"`
	Calls

	bodies capture.Bodies
}

// options returns what r says for package redact, without a key.
func (r *Redaction) options() (o redact.Options, err error) {
	if r == nil {
		return o, nil
	}
	o = redact.Options{Headers: r.Headers, Fields: r.Fields, Pointers: r.Pointers, Paths: r.Paths, Values: r.values()}
	for _, k := range r.Keep {
		o.Keep = append(o.Keep, redact.Keep(k))
	}
	if r.Mode != "" {
		o.Mode, err = redact.ParseMode(r.Mode)
	}
	return o, err
}

// values returns what is secret by its look; nil is the default.
func (r *Redaction) values() []string {
	if len(r.Values) == 0 {
		return r.Values
	}
	return merge([]string{"jwt", "pem"}, r.Values)
}

// unkeyed returns a redactor whose hashes mean nothing, or an error that says
// which option is wrong.
func (r *Redaction) unkeyed() (*redact.Redactor, error) {
	o, err := r.options()
	if err != nil {
		return nil, err
	}
	o.Key = make([]byte, redact.KeySize)
	return redact.New(o)
}

// check makes the rules for bodies, and says what is wrong.
func (r *Redaction) check() error {
	if r == nil {
		return nil
	}
	if _, err := r.unkeyed(); err != nil {
		return err
	}
	for _, name := range r.Headers {
		if !httpguts.ValidHeaderFieldName(name) || strings.Contains(name, "*") {
			return fmt.Errorf("headers %q: no header has this name; want whole names, each an argument of its own, without wildcards", name)
		}
	}
	for _, name := range r.Fields {
		if strings.ContainsAny(name, "*?") {
			return fmt.Errorf("fields %q: want whole names, * and ? are no wildcards", name)
		}
	}
	if len(r.Bodies) > maxLevels {
		return fmt.Errorf("%d rules for bodies: want %d at most", len(r.Bodies), maxLevels)
	}
	for i := range r.Bodies {
		b := &r.Bodies[i]
		switch b.Body {
		case "off":
			b.bodies = capture.BodiesOff
		case "on":
			b.bodies = capture.BodiesBinary
			if len(b.Match) == 0 {
				return errors.New("body on wants a matcher: binary cannot be searched for secrets, so say of which calls it is kept")
			}
		default:
			return fmt.Errorf("body %q is unknown: want off or on", b.Body)
		}
		if len(b.Match) == 0 && i < len(r.Bodies)-1 {
			return fmt.Errorf("body %s is never reached: `body off` before it holds for every call", r.Bodies[i+1].Body)
		}
	}
	return nil
}
