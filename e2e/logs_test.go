package e2e_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// insert puts a line into the global options.
func (g *gateway) insert(option string) { g.t.Helper(); g.replace("{\n", "{\n\t"+option+"\n") }

// replace replaces the first of a text in the configuration.
func (g *gateway) replace(old, replacement string) {
	g.t.Helper()
	config, err := os.ReadFile(g.config)
	if err != nil {
		g.t.Fatal(err)
	}
	writeFile(g.t, g.config, strings.Replace(string(config), old, replacement, 1))
}

// With the format `audit` for Caddy's default log the gateway's output has no
// secret of the calls that pass, however they fail. The same calls, logged as
// Caddy does by default, show that the test would see one.
func TestCaddysLogHoldsNoSecrets(t *testing.T) {
	program := filepath.Join(t.TempDir(), "auditgate")
	if err := build(program, "./testdata/secrets"); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		option string
		leaks  bool
	}{
		"format audit":         {"log {\n\tformat audit\n}", false},
		"format audit console": {"debug\n\tlog {\n\tformat audit console\n}", false},
		"Caddy's format":       {"debug", true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			g.program = program
			m := &matrix{t: t, gateway: g}
			certificate, key := m.certify()
			secure := freeAddress(t)
			_, port, _ := strings.Cut(secure, ":")
			g.write(fmt.Sprintf(`https://log.test:%s {
	tls %s %s
	audit_capture nova {
		redact {
			headers X-Elsewhere
		}
	}
	panics "the value of {header.X-Auth-Token} and c4naryPANIC"
}
%s {
	log
	audit_capture nova {
		redact {
			headers X-Odd-Header
			path /reset/:secret
		}
	}
	handle /panics* {
		panics "the value of {header.X-Auth-Token} and c4naryPANIC"
	}
	handle /errors* {
		error "access_token={header.X-Auth-Token}" 503
	}
	handle /down* {
		reverse_proxy %s
	}
	handle {
		respond "hello"
	}
}
`, port, certificate, key, g.traffic, freeAddress(t)))
			g.insert(tc.option)
			g.start()
			g.bearer = g.token("auditor")
			for _, path := range []string{"/x", "/panics", "/errors", "/down", "/reset/c4naryPATH", "/down/../reset/c4naryPATH"} {
				req, err := http.NewRequest(http.MethodPost, g.traffic, strings.NewReader(`{"password":"c4naryBODY"}`))
				if err != nil {
					t.Fatal(err)
				}
				req.URL.Opaque = path + "?access_token=c4naryQUERY&page=2"
				for header, value := range map[string]string{
					"Authorization": "Bearer c4naryAUTHORIZATION", "X-Auth-Token": "c4naryTOKEN", "X-Odd-Header": "c4naryODD",
					"X-Elsewhere": "c4naryELSEWHERE", // secret to a capture that has had no call yet
					"Cookie":      "session=c4naryCOOKIE", "Referer": "https://u:c4naryREFERER@h/?sig=c4narySIG", "X-Plain": "plain-value",
					"X-Callback": "https://h/reset/c4naryURL", "X-Note": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjNG5hcnkifQ.c2lnbmF0dXJlLWM0bmFyeQ",
				} {
					req.Header.Set(header, value)
				}
				res, err := g.client.Do(req)
				if err != nil {
					continue // the handler has panicked
				}
				_, _ = io.Copy(io.Discard, res.Body) // whatever it is
				res.Body.Close()
			}
			// Each server has its own way to tell of a panic.
			for _, client := range []http.RoundTripper{
				&http.Transport{TLSClientConfig: m.trust, ForceAttemptHTTP2: true, DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", secure)
				}},
				&http3.Transport{TLSClientConfig: m.trust, Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
					return quic.DialAddr(ctx, secure, t, q)
				}},
			} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://log.test:"+port+"/", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("X-Auth-Token", "c4naryTOKEN")
				if res, err := client.RoundTrip(req); err == nil {
					t.Errorf("a panic is answered with %s", res.Status)
				}
			}
			// What Caddy refuses before any handler.
			g.garbage(t, "GET /?token=c4naryBAD HTTP/1.1\r\nX-Auth-Token: c4naryBAD\r\nno header\r\n\r\n")
			g.garbage(t, "GET /%zz?token=c4naryBAD HTTP/1.1\r\nHost: h\r\n\r\n")
			g.garbage(t, "POST /?token=c4naryBAD HTTP/1.1\r\nHost: h\r\nX-Auth-Token: c4naryBAD\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
			if conn, err := tls.Dial("tcp", strings.TrimPrefix(g.traffic, "http://"), &tls.Config{ServerName: "c4naryBAD"}); err == nil {
				conn.Close()
			}
			if status, _, err := g.ask("/v1/-/logs?token=c4naryBAD"); err != nil || status != 400 {
				t.Errorf("asking for the logs: %d, %v", status, err)
			}
			g.stop()
			log := g.log()
			for _, want := range []string{"plain-value", "http: panic serving", "net/http.(*conn).serve", "http3: panic serving", "connection refused", "page=2"} {
				if !strings.Contains(log, want) {
					t.Errorf("the log has no %q", want)
				}
			}
			leaks := strings.Contains(log, "c4nary") || strings.Contains(log, "eyJzdWIiOiJjNG5hcnkifQ")
			if leaks != tc.leaks {
				t.Errorf("secrets in the log: %v, want %v", leaks, tc.leaks)
				for line := range strings.Lines(log) {
					if i := strings.Index(line, "c4nary"); i >= 0 {
						t.Logf("…%s", line[max(0, i-200):min(len(line), i+40)])
					}
				}
			}
			if warned := strings.Contains(log, "format audit"); warned != tc.leaks {
				t.Errorf("warned: %v, want %v", warned, tc.leaks)
			}
			if strings.Contains(log, "hmac:") && !tc.leaks {
				t.Error("the log has hashes, which could be looked up")
			}
		})
	}
}

func TestLogThatShowsSecretsIsWarnedOf(t *testing.T) {
	for option, want := range map[string]bool{
		"log {\n\tlevel WARN\n}":                                                 true,
		"log {\n\tlevel WARN\n\tformat audit\n}":                                 false,
		"log {\n\tlevel WARN\n\tformat filter {\n\twrap audit\n\tx delete\n}\n}": false,
		"log {\n\tlevel WARN\n\toutput discard\n}":                               false,
	} {
		g := newGateway(t)
		g.write(g.site(freeAddress(t)))
		g.insert(option)
		g.start()
		g.stop()
		if got := strings.Contains(g.log(), "say `log { format audit }`"); got != want {
			t.Errorf("%q: warned %v, want %v\n%s", option, got, want, g.log())
		}
	}
}

// garbage sends what is no request and waits for the end of the answer.
func (g *gateway) garbage(t *testing.T, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.traffic, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, text)
	_ = conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, conn) // whatever it is
}
