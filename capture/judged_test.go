package capture_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/redact"
)

// Placeholders of the server bring raw values into descriptions, objects and aliases.
func TestSecretsDoNotComeByPlaceholders(t *testing.T) {
	r, err := redact.New(redact.Options{Key: bytes.Repeat([]byte("k"), redact.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"http.request.header.Authorization":    "Bearer s3cret",
		"http.request.header.Cookie":           "sid=s3cret",
		"http.response.header.X-Subject-Token": "s3cret",
		"http.reverse_proxy.header.Set-Cookie": "sid=s3cret",
		"http.request.cookie.sid":              "s3cret",
		"http.request.uri.query.token":         "s3cret",
		"http.request.uri.query":               "a=b&token=s3cret",
		"http.request.orig_uri.query":          "password=s3cret",
		"http.request.uri":                     "/x?token=s3cret",
		"http.vars.password":                   "s3cret & more",
	} {
		if got := capture.Judged(r, name, value); strings.Contains(got, "s3cret") {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, value := range map[string]string{
		"http.request.header.User-Agent": "curl/8",
		"http.request.uri.query.name":    "a b&c=d+e%20",
		"http.request.uri.path":          "/servers/1",
		"http.request.host":              "nova.example.org",
		"http.request.uri.query.token":   "",
	} {
		if got := capture.Judged(r, name, value); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}
