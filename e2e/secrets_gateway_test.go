package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// redactOptions make secrets of what positions with options have.
const redactOptions = `
		redact {
			headers X-Vault-Thing
			fields bank_account
			pointer /deep/0/hidden /a~1b
			path /reset/:secret /share/*/key/:secret/* /download/:secret/*
			values jwt pem card
			mode %s
		}`

// secretGateway is a gateway for all sources, with all that it logs.
type secretGateway struct {
	*gateway
	sites map[string]string // where each source is: http://127.0.0.1:…
	made  int               // calls
}

func newSecretGateway(t *testing.T, upstream string) *secretGateway {
	g := &secretGateway{gateway: newGateway(t), sites: map[string]string{}}
	g.program = filepath.Join(t.TempDir(), "auditgate")
	if err := build(g.program, "./testdata/secrets"); err != nil {
		t.Fatal(err)
	}
	var sites strings.Builder
	for _, source := range secretSources {
		options := ""
		switch source {
		case "cut":
			options = fmt.Sprintf("request_body %d\n\t\tresponse_body %d", cutAt, cutAt)
		case "hmac", "mask", "drop":
			options = fmt.Sprintf(redactOptions, source)
		}
		address := freeAddress(t)
		_, port, _ := strings.Cut(address, ":")
		g.sites[source] = "http://" + address
		fmt.Fprintf(&sites, `http://:%s {
	log {
		format audit
	}
	audit_capture %s {
		%s
	}
	panics /panics*
	reverse_proxy /down* %s
	reverse_proxy %s {
		flush_interval -1
	}
}
`, port, source, options, freeAddress(t), upstream)
	}
	g.write(sites.String())
	config, err := os.ReadFile(g.config)
	if err != nil {
		t.Fatal(err)
	}
	config = bytes.Replace(config, []byte("{\n"), []byte("{\n\tlog {\n\t\tformat audit\n\t}\n"), 1) // the global options
	if err := os.WriteFile(g.config, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

// secretUpstream is the component: it reads all of a request, and answers as the
// call says whose number is in X-Plant. What has no number it echoes.
func secretUpstream(t *testing.T, calls []*secretCall) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.Header.Get("X-Plant"))
		if err != nil {
			echo(w, r)
			return
		}
		c := calls[n]
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("%s: reading the request: %v", c.name, err)
		}
		maps.Copy(w.Header(), c.answerHeader)
		for name, values := range c.answerTrailer {
			w.Header()[http.TrailerPrefix+name] = values
		}
		answer := c.answer
		if c.answerBreaks >= 0 {
			w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
			answer = answer[:c.answerBreaks]
		}
		w.WriteHeader(c.status)
		if c.answerDrip >= 0 {
			rest := answer[c.answerDrip:]
			_, _ = w.Write(answer[:c.answerDrip])
			for ; len(rest) > 0; rest = rest[1:] {
				_ = http.NewResponseController(w).Flush()
				_, _ = w.Write(rest[:1])
			}
			return
		}
		_, _ = w.Write(answer)
		if c.answerBreaks >= 0 {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler) // closes the connection
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// echo answers with what it was sent, message by message on a WebSocket. At /held
// the answer is a stream that does not end.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/held" {
		body, _ := io.ReadAll(r.Body) // it is short
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Set-Cookie", "sid="+r.Header.Get("X-Auth-Token"))
		fmt.Fprintf(w, "data: %s\n\n", body)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	if r.Header.Get("Upgrade") == "" {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body) // which may break off
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // the client's dialing fails
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return // the client has closed
		}
	}
}
