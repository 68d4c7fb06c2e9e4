package caddymodule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/auditgate/auditgate/caddymodule"
	"github.com/auditgate/auditgate/capture/redact"
)

// logFormat returns the format that a line of a Caddyfile describes.
func logFormat(t testing.TB, line string) *caddymodule.LogEncoder {
	t.Helper()
	module, err := caddyfile.UnmarshalModule(nextToken(line), "caddy.logging.encoders.audit")
	if err != nil {
		t.Fatal(err)
	}
	format := module.(*caddymodule.LogEncoder)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	if err := format.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return format
}

func nextToken(text string) *caddyfile.Dispenser {
	d := caddyfile.NewTestDispenser(text)
	d.Next()
	return d
}

// line returns what is written of an entry.
func line(t testing.TB, encoder zapcore.Encoder, message string, fields ...zap.Field) string {
	t.Helper()
	b, err := encoder.EncodeEntry(zapcore.Entry{Level: zapcore.ErrorLevel, Time: time.Unix(0, 0), LoggerName: "http", Message: message}, fields)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free()
	return b.String()
}

// lines are the lines of a header, as Caddy logs them.
type lines map[string][]string

func (l lines) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for name, values := range l {
		if err := enc.AddArray(name, zapcore.ArrayMarshalerFunc(func(items zapcore.ArrayEncoder) error {
			for _, v := range values {
				items.AppendString(v)
			}
			return nil
		})); err != nil {
			return err
		}
	}
	return nil
}

func TestLogEntriesHoldNoSecrets(t *testing.T) {
	const s = "c4nary"
	request := zap.Inline(zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
		return enc.AddObject("request", zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
			enc.AddString("uri", "/v1/x?token="+s+"&page=2")
			return enc.AddObject("headers", lines{
				"X-Auth-Token": {s, s + "2"}, "X-Vendor-Token": {s}, "Cookie": {"a=" + s},
				"Referer": {"https://u:" + s + "@h/?password=" + s}, "Accept": {"text/html"}, "Vary": {"Cookie"},
			})
		}))
	}))
	for name, tc := range map[string]struct {
		message string
		field   zap.Field
		keeps   []string
	}{
		"a request":              {"handled request", request, []string{"handled request", "page=2", "text/html", `"Vary":["Cookie"]`, "X-Vendor-Token"}},
		"a message":              {`Get "http://h/?access_token=` + s + `": refused`, zap.Skip(), []string{"refused"}},
		"prose":                  {"login failed, password: " + s, zap.Skip(), []string{"login failed"}},
		"an error":               {"m", zap.Error(errors.New("dial: http://u:" + s + "@h/x")), []string{"dial"}},
		"errors":                 {"m", zap.Errors("errors", []error{errors.New("a"), errors.New("secret=" + s)}), nil},
		"a named string":         {"m", zap.String("api_key", s), []string{`"api_key":"***"`}},
		"named strings":          {"m", zap.Strings("tokens", []string{s, s}), []string{`"tokens":["***","***"]`}},
		"a named object":         {"m", zap.Object("credentials", lines{"x": {s}}), []string{`"credentials":"***"`}},
		"bytes":                  {"m", zap.ByteString("text", []byte("token="+s)), nil},
		"lists of bytes":         {"m", zap.ByteStrings("texts", [][]byte{[]byte("token=" + s)}), nil},
		"binary":                 {"m", zap.Binary("dump", []byte(s)), nil},
		"JSON in a string":       {"m", zap.String("body", `{"a": 1, "password": "`+s+`"}`), []string{`\"a\": 1`}},
		"a value":                {"m", zap.Reflect("value", map[string]any{"n": 5, "adminPass": s}), []string{`"n":5`}},
		"a named value":          {"m", zap.Reflect("secret", []int{1}), []string{`"secret":"***"`}},
		"a list of values":       {"m", zap.Any("list", []any{map[string]string{"token": s}}), nil},
		"a stringer":             {"m", zap.Stringer("url", stringer("https://h/?sig="+s)), nil},
		"a header as a value":    {"m", zap.Reflect("sent", http.Header{"X-Vendor-Token": {s}, "Cookie": {"a=" + s}, "Accept": {"text/html"}}), []string{`"X-Vendor-Token":["***"]`, "text/html"}},
		"a dump of a header":     {"m", zap.String("dump", "GET / HTTP/1.1\r\nX-Auth-Token: "+s+"\r\nAccept: text/html\r\n\r\n"), []string{"text/html"}},
		"a namespace":            {"m", zap.Namespace("inner"), []string{`"inner":{}`}},
		"a panic of HTTP/1.1":    {"http: panic serving 127.0.0.1:1: " + s + "\ngoroutine 5 [running]:\nmain.f()", zap.Skip(), []string{"goroutine 5 [running]", "main.f()"}},
		"a panic of HTTP/3":      {`ERROR http3: panic serving arg=` + s + ` trace="goroutine 5 [running]:\nmain.f()"`, zap.Skip(), []string{"main.f()"}},
		"a panic that stacks":    {"http: panic serving h: goroutine 4 [running]:\n" + s + "\ngoroutine 5 [running]:\nmain.f()\ncreated by main.main in goroutine 1\n\t/a.go:1", zap.Skip(), []string{"main.f()", "/a.go:1"}},
		"a panic that says both": {"http: panic serving h: goroutine " + s + "\ngoroutine 5 [running]:", zap.Skip(), nil},
		"a panic without stack":  {"http: panic serving h: " + s, zap.Skip(), nil},
		"not text":               {"m\xff token=" + s, zap.Skip(), nil},
		"numbers":                {"m", zap.Int("status", 502), []string{`"status":502`}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, format := range []string{"audit json", "audit console", "audit"} {
				encoder := logFormat(t, format)
				with := encoder.Clone() // as a logger that has the field already
				tc.field.AddTo(with)
				for way, got := range map[string]string{
					"entry": line(t, encoder, tc.message, tc.field), "logger": line(t, with, tc.message),
				} {
					if strings.Contains(got, s) || strings.Contains(got, "hmac:") || strings.Contains(got, "YzRuYXJ5") {
						t.Errorf("%s, %s: %s", format, way, got)
					}
					for _, want := range tc.keeps {
						if format != "audit console" && !strings.Contains(got, want) {
							t.Errorf("%s, %s: %s\nwant %s", format, way, got, want)
						}
					}
					if format == "audit json" && !json.Valid([]byte(got)) {
						t.Errorf("%s, %s: no JSON: %s", format, way, got)
					}
				}
			}
		})
	}
}

type stringer string

func (s stringer) String() string { return string(s) }

func TestLogHidesWhatACaptureCallsSecret(t *testing.T) {
	t.Cleanup(caddymodule.ForgetLogRules)
	encoder := logFormat(t, "audit json")
	entry := func() string {
		return line(t, encoder, "m", zap.String("licence_plate", "AB-1"), zap.String("uri", "/reset-by-mail/AB-2/x"), zap.String("text", "4111 1111 1111 1111"),
			zap.Reflect("value", map[string]string{"X-Licence": "AB-3"}), zap.String("dump", "GET / HTTP/1.1\r\nX-Licence: AB-4\r\n"))
	}
	if got := entry(); strings.Count(got, "AB-") != 4 || !strings.Contains(got, "1111") {
		t.Errorf("hidden before: %s", got)
	}
	if err := caddymodule.AddLogRules(redact.Options{Fields: []string{"licence_plate"}, Values: []string{"card"}}); err != nil {
		t.Fatal(err)
	}
	if err := caddymodule.AddLogRules(redact.Options{Headers: []string{"X-Licence"}, Paths: []string{"/reset-by-mail/:secret/x"}, Values: []string{}}); err != nil {
		t.Fatal(err)
	}
	if got := entry(); strings.Contains(got, "AB-") || strings.Contains(got, "1111") {
		t.Errorf("not hidden: %s", got)
	}
	if err := caddymodule.AddLogRules(redact.Options{Fields: []string{""}}); err == nil {
		t.Error("a bad rule is accepted")
	}
	if got := entry(); strings.Contains(got, "AB-") {
		t.Errorf("not hidden after a bad rule: %s", got)
	}
}

// Caddy sends it elsewhere with every configuration that has no log.
func TestGoLogIsAdoptedByEveryConfiguration(t *testing.T) {
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	for range 2 {
		var before strings.Builder
		log.SetOutput(&before)
		logFormat(t, "audit json")
		log.Print("a line of Go's own log")
		if before.Len() > 0 {
			t.Errorf("it still goes where it went: %s", &before)
		}
	}
}

// Filters of Caddy change the lines of a header only where they are of its own
// type.
func TestFiltersWorkInsideTheFormat(t *testing.T) {
	encoder := logFormat(t, "audit filter {\n\theaders>X-Forwarded-For ip_mask 8\n\theaders>Cookie delete\n}")
	got := line(t, encoder, "m", zap.Object("headers", caddyhttp.LoggableHTTPHeader{ShouldLogCredentials: true, Header: http.Header{
		"X-Forwarded-For": {"192.0.2.1"}, "X-Vendor-Token": {"c4nary"}, "Cookie": {"a=b"}, "Accept": {"text/html"},
	}}))
	for _, want := range []string{`"X-Forwarded-For":["192.0.0.0"]`, `"X-Vendor-Token":["***"]`, `"Accept":["text/html"]`} {
		if !strings.Contains(got, want) || strings.Contains(got, "Cookie") {
			t.Errorf("written is %s\nwant %s and no cookie", got, want)
		}
	}
}

func TestLogHidesTheNewestOfTooManyPaths(t *testing.T) {
	t.Cleanup(caddymodule.ForgetLogRules)
	encoder := logFormat(t, "audit json")
	path := func(i int) string { return fmt.Sprintf("/many-%d/", i) }
	add := func(i int) error {
		return caddymodule.AddLogRules(redact.Options{Paths: []string{path(i) + ":secret"}})
	}
	for i := range redact.MaxRules {
		if err := add(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := add(0); err != nil { // which is then the newest
		t.Error(err)
	}
	if err := add(redact.MaxRules); err == nil || !strings.Contains(err.Error(), "257 secret paths") {
		t.Errorf("the error is %v", err)
	}
	for i, hides := range map[int]bool{0: true, 1: false, 2: true, redact.MaxRules: true} {
		if got := line(t, encoder, "m", zap.String("uri", path(i)+"AB-3")); strings.Contains(got, "AB-3") == hides {
			t.Errorf("path %d, want it hidden %v: %s", i, hides, got)
		}
	}
}

func TestLogFormatIsReadFromTheCaddyfile(t *testing.T) {
	for text, want := range map[string]string{
		"audit":                             `{}`,
		"audit console":                     `{"wrap":{"format":"console"}}`,
		"audit json {\n\ttime_key when\n}":  `{"wrap":{"format":"json","time_key":"when"}}`,
		"audit filter {\n\tuser delete\n}":  `{"wrap":{"fields":{"user":{"filter":"delete"}},"format":"filter"}}`,
		"audit nonsense":                    "nonsense",
		"audit json console":                "wrong argument",
		"audit {\n\ttime_key when\n}":       "format audit json",
		"audit json {\n\tno_such_option\n}": "no_such_option",
	} {
		module, err := caddyfile.UnmarshalModule(nextToken(text), "caddy.logging.encoders.audit")
		if err != nil {
			if strings.HasPrefix(want, "{") || !strings.Contains(strings.ToLower(err.Error()), want) {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
			continue
		}
		if got, err := json.Marshal(module); err != nil || string(got) != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
}

func BenchmarkLogEncoder(b *testing.B) {
	request := zap.Inline(zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
		enc.AddString("uri", "/v1/servers?limit=10&page=2")
		return enc.AddObject("headers", lines{
			"X-Auth-Token": {"gAAAAABsomething"}, "Accept": {"text/html"}, "User-Agent": {"curl/8"}, "Content-Type": {"application/json"},
		})
	}))
	encoder := logFormat(b, "audit json")
	for name, e := range map[string]zapcore.Encoder{
		"plain": zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), "audit": encoder,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := line(b, e, "handled request", request, zap.Int("status", 200), zap.String("user_id", "")); got == "" {
					b.Fatal(fmt.Errorf("nothing is written"))
				}
			}
		})
	}
}
