package capture_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// Whatever is copied out of a request is searched like what it is copied from.
func TestNothingCopiesASecret(t *testing.T) {
	redactor, err := redact.New(redact.Options{Key: make([]byte, 32), Paths: []string{"/api/reset/:secret"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		path   string
		facts  capture.Facts
		header []string
		host   string
		method string
	}{
		"a host":           {host: "x?password=s3cret"},
		"a request id":     {header: []string{"X-Request-Id", "password=s3cret"}},
		"an agent":         {header: []string{"User-Agent", "x password=s3cret"}},
		"a content type":   {header: []string{"Content-Type", "text/plain; token=s3cret"}},
		"a coding":         {header: []string{"Content-Encoding", "password=s3cret"}},
		"an upstream URI":  {facts: capture.Facts{UpstreamURI: "/x?password=s3cret"}},
		"a path":           {path: "/api/reset/s3cret"},
		"its other end":    {path: "/api/reset/s3cret", facts: capture.Facts{UpstreamURI: "/reset/s3cret?x=1"}},
		"in another code":  {path: "/api/reset/s3cret", facts: capture.Facts{UpstreamURI: "/reset/s3%63ret"}},
		"its segment":      {path: "/api/reset/s3cret", facts: capture.Facts{Project: "s3cret", ProjectVerified: true}},
		"a claimed one":    {path: "/api/reset/s3cret", facts: capture.Facts{Project: "s3cret"}},
		"a project":        {facts: capture.Facts{Project: "password=s3cret", ProjectVerified: true}},
		"an actor":         {facts: capture.Facts{Actor: record.Actor{UserID: "a password=s3cret", UserName: "b?token=s3cret", UserEmail: "c?token=s3cret", UserRoles: []string{"d?token=s3cret"}}}},
		"a response field": {header: []string{"Answer", "password=s3cret"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Content-Type", "text/plain; token=s3cret")
				w.Header().Set("X-Compute-Request-Id", r.Header.Get("Answer"))
				w.WriteHeader(http.StatusForbidden)
				_, err := io.Copy(w, r.Body)
				return err
			}, nil)
			g.rules.Redactor, g.facts = redactor, tc.facts
			inner := g.Config.Handler
			g.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tc.host != "" { // which the server would refuse
					r.Host, r.Method = tc.host, "POST"
				}
				inner.ServeHTTP(w, r)
			})
			g.Start()
			path := tc.path
			if path == "" {
				path = "/"
			}
			g.call(t, "POST", path, strings.NewReader("hello"), tc.header...)
			r := g.settled(t)
			if stored := fmt.Sprintf("%+v", *r); strings.Contains(stored, "s3cret") || strings.Contains(stored, "s3%63ret") {
				t.Errorf("a secret is in the record: %s", stored)
			}
		})
	}
}

// A body in another charset is searched as the component reads it, and its
// digest is that of the wire all the same.
func TestBodyInUTF16IsSearched(t *testing.T) {
	wide := func(text string) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune(text)) {
			b.WriteByte(byte(u))
			b.WriteByte(byte(u >> 8))
		}
		return b.String()
	}
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/plain; charset=utf-16le")
		io.WriteString(w, wide("wörld"))
		return err
	}, nil)
	g.Start()
	g.call(t, "POST", "/", strings.NewReader(wide(`{"password":"s3cret"}`)), "Content-Type", "application/json")
	r := g.settled(t)
	if got := string(r.RequestBody.Content); strings.Contains(got, "s3cret") || !strings.HasPrefix(got, `{"password":"hmac:`) {
		t.Errorf("the request is %q, %+v", got, r.RequestBody.BodyInfo)
	}
	if b := r.ResponseBody; string(b.Content) != "wörld" || b.State != record.BodyComplete || b.SHA256 == "" || b.Size != 10 {
		t.Errorf("the response is %q, %+v", b.Content, b.BodyInfo)
	}
}
