package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing/iotest"
	"time"

	"github.com/coder/websocket"
)

// make makes all calls, some at a time, and returns what the gateway itself
// answered, where no component did.
func (g *secretGateway) make(calls []*secretCall) (answers []byte) {
	numbers := make(chan int)
	var mu sync.Mutex // guards answers
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for n := range numbers {
				answer := g.call(n, calls[n])
				if strings.HasPrefix(calls[n].target, "/down") {
					mu.Lock()
					answers = append(answers, answer...)
					mu.Unlock()
				}
			}
		})
	}
	for n := range calls {
		numbers <- n
	}
	close(numbers)
	clients.Wait()
	g.made += len(calls)
	return answers
}

// call makes one call and returns its answer. It is a POST, which no client
// sends again.
func (g *secretGateway) call(n int, c *secretCall) []byte {
	host := strings.TrimPrefix(g.sites[c.source], "http://")
	req := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: "http", Host: host, Opaque: c.target}, Host: host,
		Header: c.header, Trailer: c.trailer, Body: io.NopCloser(bytes.NewReader(c.body)), ContentLength: int64(len(c.body)),
	}
	req.Header.Set("X-Plant", strconv.Itoa(n))
	if c.drip >= 0 {
		req.ContentLength = -1
		req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(c.body[:c.drip]), iotest.OneByteReader(bytes.NewReader(c.body[c.drip:]))))
	}
	res, err := g.client.Do(req)
	if err != nil {
		if !strings.HasPrefix(c.target, "/panics") {
			g.t.Errorf("%s: %v", c.name, err)
		}
		return nil
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if (err == nil) != (c.answerBreaks < 0) {
		g.t.Errorf("%s: reading the answer: %v", c.name, err)
	}
	return answer
}

// breakOff begins to send bodies and leaves in the middle of a secret.
func (g *secretGateway) breakOff(of *garden, positions []position) {
	for _, p := range positions {
		text, at, n := of.text(p, "request", "left", false, false)
		g.raw("hmac", fmt.Sprintf("POST /x HTTP/1.1\r\nHost: h\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", p.kind, len(text), text[:at+n/2]))
	}
}

// raw sends what may be no good request, and waits for the answer if it is one.
func (g *secretGateway) raw(source, text string) {
	g.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.sites[source], "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		g.t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		g.t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, _ = io.Copy(io.Discard, conn) // until the gateway closes
	g.made++
}

// hold begins a stream that is open when the gateway is killed.
func (g *secretGateway) hold(of *garden) {
	secret := func(position string) string { return of.secret("open stream, "+position, "", aPassword, false).text }
	req, err := http.NewRequest(http.MethodPost, g.sites["hmac"]+"/held?token="+secret("query"), strings.NewReader(`{"password":"`+secret("body")+`"}`))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", secret("header"))
	req.Header.Set("Referer", "https://h/?token="+secret("referer"))
	req.Header.Set("Content-Type", jsonType)
	res, err := g.client.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { res.Body.Close() })
	g.made++
}

// frames sends secrets over WebSockets, and gets them back.
func (g *secretGateway) frames(of *garden, sources ...string) {
	for _, source := range sources {
		ctx, cancel := context.WithTimeout(g.t.Context(), patience)
		conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(g.sites[source], "http")+"/ws", nil)
		if err != nil {
			g.t.Fatal(err)
		}
		for name, kind := range map[string]websocket.MessageType{"text": websocket.MessageText, "binary": websocket.MessageBinary} {
			secret := of.secret("WebSocket, "+name, source, aPassword, false)
			if err := conn.Write(ctx, kind, []byte(`{"password":"`+secret.text+`"}`)); err != nil {
				g.t.Fatal(err)
			}
			if _, _, err := conn.Read(ctx); err != nil {
				g.t.Fatal(err)
			}
		}
		_ = conn.Close(websocket.StatusNormalClosure, "")
		cancel()
		g.made++
	}
}

// strangers asks the audit API with secrets where no secrets belong, and
// returns what it answers.
func (g *secretGateway) strangers(of *garden) (answers []byte) {
	secret := func(position string) string { return of.secret("audit API, "+position, "", aPassword, false).text }
	for _, ask := range []struct{ target, header string }{
		{"/v1/-/logs", "Authorization: Bearer " + secret("a bearer")},
		{"/v1/-/logs", "X-Auth-Token: " + secret("a token")},
		{"/v1/-/logs?token=" + secret("an unknown parameter"), "Authorization: Bearer " + g.bearer},
		{"/v1/-/logs?uri=/x?token=" + secret("a URI"), "Authorization: Bearer " + g.bearer},
		{"/v1/-/logs?q=" + secret("words"), "Authorization: Bearer " + g.bearer},
		{"/v1/-/logs?limit=1", "Authorization: Bearer " + g.bearer + "\r\nReferer: http://h/?token=" + secret("a referer")},
		{"/v1/token=" + secret("a project") + "/logs", "Authorization: Bearer " + g.bearer},
		{"/nowhere?token=" + secret("an unknown path"), ""},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.audit, "http://"))
		if err != nil {
			g.t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n%s\r\n\r\n", ask.target, ask.header)
		answer, err := io.ReadAll(conn)
		if err != nil {
			g.t.Error(err)
		}
		conn.Close()
		answers = append(answers, answer...)
	}
	return answers
}

// metrics is what Caddy's admin endpoint says.
func (g *gateway) metrics() []byte {
	g.t.Helper()
	admin := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", g.dir+"/admin")
		},
	}}
	res, err := admin.Get("http://localhost/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		g.t.Fatalf("asking for the metrics: %s, %v", res.Status, err)
	}
	return text
}
