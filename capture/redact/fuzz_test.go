package redact_test

import (
	"bytes"
	"encoding/json"
	"html"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// grown is how many times its size a text may become, at most: one byte may
// become a value in quotes, escaped as often as texts are nested.
const grown = 128

// FuzzBody reads a body by its first byte: the kind, the mode, and whether it is
// cut. In a well-formed body around it no secret may be left.
func FuzzBody(f *testing.F) {
	for i, in := range []string{
		`{"name":"password","value":"x","a":["--token","y"]}`, "a=1&b=%7B%22token%22%3A1%7D", "password: |\n  x\ny: Bearer abc123", "<a b='c'><key>token</key><s>x</s></a>",
		"<p><b>Password</b>: x<input name=token value=y>", "a,b\n1,2", block, token, `\u0000"`, "--password 'x' http:\\/\\/u:p@h", "&lt;token&gt;x&lt;/token&gt;", "4111 1111 1111 1111",
	} {
		f.Add(append([]byte{byte(i)}, in...))
	}
	types := []string{"application/json", "application/x-www-form-urlencoded", "text/plain", "application/xml", "text/html", "text/csv"}
	list := redactors(f)
	list[1] = newRules(f, redact.Options{Mode: redact.Mask, Values: []string{"jwt", "pem", "card"}, Paths: []string{"/reset/:secret"}, Pointers: []string{"/a/b"}})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) == 0 {
			return
		}
		how := int(in[0])
		in = in[1:]
		r, contentType, cut := list[how/len(types)%len(list)], types[how%len(types)], how&0x80 != 0
		body := func(content []byte, cut bool) redact.Result {
			return r.Body(redact.Body{ContentType: contentType, Content: content, Truncated: cut, Side: "request_body"})
		}
		once := body(bytes.Clone(in), cut)
		if len(once.Content) > grown*len(in) {
			t.Fatalf("%d bytes became %d", len(in), len(once.Content))
		}
		if !once.Changed && once.State != record.BodyWithheld && !bytes.Equal(once.Content, in) && !cut {
			t.Fatalf("%q became %q, unchanged", in, once.Content)
		}
		if once.State == record.BodyComplete {
			if twice := body(once.Content, false); !bytes.Equal(twice.Content, once.Content) && twice.State != record.BodyWithheld {
				t.Fatalf("%q\nbecame   %q\nand then %q at %q", in, once.Content, twice.Content, twice.Redacted)
			}
		}
		if !utf8.Valid(in) {
			return
		}
		whole := planted(contentType, string(in))
		if res := body([]byte(whole), false); leaks(string(res.Content)) != "" && !leaksBeside(whole) {
			t.Fatalf("%q kept the canary in %q", whole, res.Content)
		}
	})
}

// planted returns a well-formed body with text and a secret in it.
func planted(contentType, text string) string {
	quoted, _ := json.Marshal(text)
	switch contentType {
	case "application/json":
		return `{"x":` + string(quoted) + `,"y":[` + string(quoted) + `],"password":"` + canary + `"}`
	case "application/x-www-form-urlencoded":
		return "x=" + url.QueryEscape(text) + "&password=" + canary
	case "application/xml", "text/html":
		escaped := html.EscapeString(text)
		return `<r x="` + escaped + `"><x>` + escaped + "</x><password>" + canary + "</password></r>"
	case "text/csv":
		return "x,password\n1," + canary + "\n"
	}
	return text + "\npassword: " + canary + "\n"
}

// leaksBeside reports whether the text around the canary, as it is escaped there,
// looks like a piece of it: %2CaNa.
func leaksBeside(planted string) bool { return leaks(strings.Replace(planted, canary, "", 1)) != "" }

// FuzzHeaders reads a header whose value is in, cut at limit.
func FuzzHeaders(f *testing.F) {
	for _, in := range []string{"Bearer abc123", "</reset/x>; rel=a", "5; url=/x?token=y", `failed: {"password":"x"}`, "a=b; c=d", token, "a%20b: password: x", "<token>x</token>", "http:\\/\\/u:p@h (cut, 5 bytes)"} {
		f.Add("X-Detail", in, 100)
	}
	r := newRules(f, redact.Options{Values: []string{"jwt", "pem", "card"}, Paths: []string{"/reset/:secret"}})
	f.Fuzz(func(t *testing.T, name, in string, limit int) {
		h := record.Headers{{Name: name, Value: redact.Cut(in, max(limit, 0))}}
		r.Headers(h, "request_headers", nil)
		once := h[0].Value
		if len(once) > grown*(len(in)+64) {
			t.Fatalf("%d bytes became %d", len(in), len(once))
		}
		r.Headers(h, "request_headers", nil)
		if h[0].Value != once && limit >= len(in) && !strings.HasSuffix(in, " bytes)") {
			t.Fatalf("%s: %q became %q and then %q", name, in, once, h[0].Value)
		}
		whole := "/x?y=" + url.QueryEscape(in) + "&token=" + canary
		planted := record.Headers{{Name: name, Value: whole}}
		if r.Headers(planted, "request_headers", nil); leaks(planted[0].Value) != "" && !leaksBeside(whole) {
			t.Fatalf("%q kept the canary in %q", in, planted[0].Value)
		}
	})
}

// FuzzURL reads a URL or a query, cut at limit.
func FuzzURL(f *testing.F) {
	for _, in := range []string{"/reset/x%2Fy?token=z#sig=a", "https://u:p@h/a?b=//c:d@e", "a=b&c=%7B%22token%22%3A1%7D", "/x/" + token + "/y", "//a/../reset/b", "/%22password%22:x", "/a%252Fb;token=c"} {
		f.Add(in, 100)
	}
	r := newRules(f, redact.Options{Values: []string{"jwt", "pem", "card"}, Paths: []string{"/reset/:secret", "/a/:secret/b"}})
	f.Fuzz(func(t *testing.T, in string, limit int) {
		once, places := r.URL(redact.Cut(in, max(limit, 0)), "uri", nil)
		if len(once) > grown*(len(in)+64) || len(places) > redact.MaxPlaces+1 {
			t.Fatalf("%d bytes became %d, at %d places", len(in), len(once), len(places))
		}
		if limit >= len(in) && !strings.HasSuffix(in, " bytes)") {
			if twice, _ := r.URL(once, "uri", nil); twice != once {
				t.Fatalf("%q became %q and then %q", in, once, twice)
			}
		}
		whole := "?x=" + url.QueryEscape(in) + "&token=" + canary
		if got, _ := r.URL("/reset/"+canary+whole, "uri", nil); leaks(got) != "" && !leaksBeside(whole) {
			t.Fatalf("%q kept the canary in %q", in, got)
		}
	})
}
