package capture_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/identity"
)

// login is an answer to a login, whose user comes first and whose project last.
const login = `{"token":{"user":{"id":"u1","name":"Ann"},"catalog":[%s],"project":{"id":"p1"}}}`

func logins(t *testing.T) *identity.Lessons {
	t.Helper()
	lessons, err := identity.NewLessons([]identity.Lesson{{
		Method: "POST", Path: "/v3/auth/tokens", Token: "{audit.res.header.X-Subject-Token}", UserID: "{audit.res.json./token/user/id}",
		UserName: "{audit.res.json./token/user/name}", Project: "{audit.res.json./token/project/id}",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return lessons
}

// holder returns who is known to hold a token.
func holder(p *capture.Pipeline, rules *capture.Rules, token string) identity.Identity {
	who, _ := identity.FromBook(context.Background(), &identity.Evidence{
		Book: p.Book(), Tokens: []identity.Token{{Raw: token, ID: rules.Redactor.Value([]byte(token))}},
	}, identity.Never)
	return who
}

// leaving is the writer of a client that leaves when it has so much of the body.
type leaving struct {
	header http.Header
	takes  int
}

func (l *leaving) Header() http.Header { return l.header }
func (*leaving) WriteHeader(int)       {}
func (l *leaving) Write(p []byte) (int, error) {
	n := min(len(p), l.takes)
	if l.takes -= n; n < len(p) {
		return n, errors.New("the client has left")
	}
	return n, nil
}

func TestClientThatLeavesDuringALoginTeaches(t *testing.T) {
	plain := fmt.Sprintf(login, `"`+strings.Repeat("x", 3000)+`"`)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(plain))
	_ = z.Close()
	for name, tc := range map[string]struct {
		takes  int // bytes of the body
		pieces []string
		packed bool
		user   string
		known  string // project
	}{
		"at once":                         {0, []string{plain}, false, "u1", "p1"},
		"within the one piece":            {5, []string{plain}, false, "u1", "p1"},
		"before the last byte":            {len(plain) - 1, []string{plain}, false, "u1", "p1"},
		"at the second piece":             {20, []string{plain[:20], plain[20:]}, false, "u1", "p1"},
		"within the second piece":         {100, []string{plain[:20], plain[20:]}, false, "u1", "p1"},
		"at the second of three":          {20, []string{plain[:20], plain[20:100], plain[100:]}, false, "u1", ""},
		"before the user was there":       {3, []string{plain[:20], plain[20:]}, false, "", ""},
		"packed, at once":                 {0, []string{packed.String()}, true, "u1", "p1"},
		"packed, within the second piece": {30, []string{packed.String()[:20], packed.String()[20:]}, true, "u1", "p1"},
		"never":                           {len(plain), []string{plain}, false, "u1", "p1"},
	} {
		for _, declared := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, declared %t", name, declared), func(t *testing.T) {
				g := newGateway(t, nil, nil)
				g.rules.Lessons = logins(t)
				w := &leaving{http.Header{"X-Subject-Token": {"gAAAA"}}, tc.takes}
				if tc.packed {
					w.header.Set("Content-Encoding", "gzip")
				}
				if declared {
					w.header.Set("Content-Length", strconv.Itoa(len(strings.Join(tc.pieces, ""))))
				}
				x := g.pipeline.Begin(w, httptest.NewRequest(http.MethodPost, "/v3/auth/tokens", strings.NewReader(`{"auth":{}}`)), capture.Call{Rules: g.rules, Ledger: g.book})
				x.Writer().WriteHeader(http.StatusCreated)
				var ending capture.Ending
				for _, piece := range tc.pieces {
					if _, err := io.WriteString(x.Writer(), piece); err != nil {
						ending.Panic = http.ErrAbortHandler // as a proxy does
						break
					}
				}
				x.End(ending)
				if who := holder(g.pipeline, g.rules, "gAAAA"); who.UserID != tc.user || who.Project != tc.known {
					t.Errorf("the token is known as that of %+v, project %q; want %q, %q", who.Actor, who.Project, tc.user, tc.known)
				}
				if err := g.pipeline.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				if used := g.pipeline.Budget().Used(); used != 0 {
					t.Errorf("%d bytes of the budget are still taken", used)
				}
			})
		}
	}
}

// The client is gone before the component answers; whatever of the answer the server
// still takes, all of it teaches.
func TestLoginOfAClientThatHasLeftTeaches(t *testing.T) {
	answer := fmt.Sprintf(login, `"`+strings.Repeat("x", 20<<10)+`"`)
	came := make(chan struct{})
	g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
		_, _ = io.Copy(io.Discard, r.Body)
		close(came)
		<-r.Context().Done()
		w.Header().Set("X-Subject-Token", "gAAAA")
		w.WriteHeader(http.StatusCreated)
		_, err := io.Copy(w, strings.NewReader(answer))
		_ = err // which may come, or not: the server's buffers decide
		return nil
	}, nil)
	g.rules.Lessons = logins(t)
	g.Start()
	conn, err := net.Dial("tcp", g.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(conn)
	_, _ = fmt.Fprint(out, "POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	<-came
	_ = conn.Close()
	g.settled(t)
	if who := holder(g.pipeline, g.rules, "gAAAA"); who.UserID != "u1" || who.Project != "p1" {
		t.Errorf("the token is known as that of %+v, project %q", who.Actor, who.Project)
	}
}
