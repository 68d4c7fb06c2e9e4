package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The sources that secrets are sent to: one with the defaults, one for each mode
// with all options of redact, one that keeps little of a body.
var secretSources = []string{"defaults", "hmac", "mask", "drop", "cut"}

const cutAt = 4 << 10 // what the source cut keeps of a body

// secretCall is one call in which secrets are planted, and how it is answered.
type secretCall struct {
	name, source, target string
	header, trailer      http.Header
	body                 []byte
	drip                 int // where bytes begin that are sent one by one; -1: none

	status                      int
	answerHeader, answerTrailer http.Header
	answer                      []byte
	answerDrip                  int
	answerBreaks                int // how much is sent of the answer; -1: all
}

func newSecretCall(name, source string) *secretCall {
	return &secretCall{
		name: name, source: source, target: "/x", drip: -1, status: http.StatusOK, answerDrip: -1, answerBreaks: -1,
		header: http.Header{}, trailer: http.Header{}, answerHeader: http.Header{}, answerTrailer: http.Header{},
	}
}

// secretVariants are the ways in which bodies are sent.
var secretVariants = []struct {
	name, source    string
	up, down        string // Content-Encoding
	status          int
	hard            bool
	drip, cut, dies bool
	utf16           bool
}{
	{name: "plain", source: "defaults", status: 200},
	{name: "gzip", source: "hmac", up: "gzip", down: "gzip", status: 500, hard: true},
	{name: "bytes one by one", source: "mask", status: 404, hard: true, drip: true},
	{name: "br and stacked", source: "drop", up: "br", down: "gzip, br", status: 422},
	{name: "deflate and zstd", source: "defaults", up: "deflate", down: "zstd", status: 503, hard: true},
	{name: "cut", source: "cut", status: 200, cut: true},
	{name: "broken off", source: "hmac", status: 200, dies: true},
	{name: "UTF-16", source: "defaults", status: 200, utf16: true},
}

// bodies makes the calls for secrets in bodies: each one plain and in two other
// variants, with -long in all.
func (g *garden) bodies(t *testing.T, positions []position) (calls []*secretCall) {
	for i, p := range positions {
		for j, v := range secretVariants {
			if others := len(secretVariants) - 1; !*long && j != 0 && j-1 != i%others && j-1 != (i+others/2)%others {
				continue
			}
			source := v.source
			if p.options && (source == "defaults" || source == "cut") {
				source = "mask"
			}
			c := newSecretCall(p.name+", "+v.name, source)
			c.status = v.status
			whole := !v.cut && !v.dies && !v.utf16
			for _, answer := range []bool{false, true} {
				in, codings, header := "request", v.up, c.header
				if answer {
					in, codings, header = "answer", v.down, c.answerHeader
				}
				text, at, n := g.text(p, in, v.name, v.hard, whole)
				if v.cut && at+n/2 < cutAt {
					pad := cutAt - at - n/2
					text, at = padded(p.kind, text, pad), at+pad
				}
				body, kind := []byte(text), p.kind
				if v.utf16 {
					body = utf16of(body, !answer)
					if !answer && kind != "" {
						kind, _, _ = strings.Cut(kind, ";")
						kind += "; charset=utf-16le"
					}
				}
				if body = compress(t, codings, body); codings != "" {
					header.Set("Content-Encoding", codings)
				}
				if header["Content-Type"] = []string{kind}; kind == "" {
					header["Content-Type"] = nil
				}
				if answer {
					c.answer = body
				} else {
					c.body = body
				}
				if v.drip && answer {
					c.answerDrip = at
				} else if v.drip {
					c.drip = at
				}
				if v.dies && answer {
					c.answerBreaks = at + n/2
				}
			}
			calls = append(calls, c)
		}
	}
	return calls
}

// headers makes the calls for secrets in headers, and in trailers.
func (g *garden) headers(headers, trailers []place) (calls []*secretCall) {
	for i, p := range headers {
		for j, target := range []string{"/x", "/down", "/panics"} {
			source := secretSources[1+(i+j)%3]
			if target == "/x" && !p.options {
				source = "defaults"
			}
			c := newSecretCall(p.name+" "+target, source)
			c.target = target
			value, _, _ := g.text(p, "request", target, false, true)
			c.header[p.kind] = []string{value}
			if target == "/x" {
				value, _, _ := g.text(p, "answer", target, false, true)
				c.answerHeader[p.kind] = []string{value}
				c.status = []int{200, 302, 401, 500}[i%4]
			}
			calls = append(calls, c)
		}
	}
	for i, p := range trailers {
		c := newSecretCall(p.name, secretSources[i%4])
		up, _, _ := g.text(p, "request", "", false, true)
		down, _, _ := g.text(p, "answer", "", false, true)
		c.trailer[p.kind], c.answerTrailer[p.kind] = []string{up}, []string{down}
		c.body, c.drip = []byte("x"), 0
		c.answer = []byte("x")
		calls = append(calls, c)
	}
	return calls
}

// targets makes the calls for secrets in request targets.
func (g *garden) targets(places []place) (calls []*secretCall) {
	for i, p := range places {
		for j, prefix := range []string{"", "/down", "/panics"} {
			if prefix != "" && (p.options && strings.HasPrefix(p.name, "option path") || p.text[0] != '/') {
				continue // such a path begins otherwise
			}
			source := secretSources[1+(i+j)%3]
			if prefix == "" && !p.options {
				source = "defaults"
			}
			c := newSecretCall(p.name+" "+prefix, source)
			target, _, _ := g.text(p, "request", prefix, p.coding != nil, true)
			c.target = prefix + target
			c.status = []int{200, 404, 503}[i%3]
			calls = append(calls, c)
		}
	}
	return calls
}

// calls plants everything that a call through the gateway's client can carry.
func (g *garden) calls(t *testing.T) []*secretCall {
	options := byOptions()
	bodies := slices.Concat(inJSONBodies(), inForms(), inTexts(), inMultipart(), withShapes())
	return slices.Concat(
		g.bodies(t, kinds(false, bodies)), g.bodies(t, kinds(true, bodies, options)),
		g.headers(inHeaders(), inTrailers()), g.targets(inTargets()))
}
