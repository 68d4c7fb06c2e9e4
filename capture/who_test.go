package capture_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

func TestTokenIDIsTheHashThatStandsForTheToken(t *testing.T) {
	long := strings.Repeat("x", 12<<10) // longer than what is kept of a header
	for name, tc := range map[string]struct{ header, value, token string }{
		"bearer":                {"Authorization", "Bearer opaque", "opaque"},
		"Keystone's":            {"X-Auth-Token", "gAAAA", "gAAAA"},
		"Swift's":               {"X-Storage-Token", "AUTH_tk", "AUTH_tk"},
		"with underscores":      {"X_Auth_Token", "gAAAA", "gAAAA"},
		"long":                  {"X-Auth-Token", long, long},
		"none":                  {"X-Other", "x", ""},
		"another scheme":        {"Authorization", "Basic YTpi", ""},
		"what the call is over": {"X-Subject-Token", "gAAAA", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(http.ResponseWriter, *http.Request) error { return nil }, nil)
			g.Start()
			g.call(t, "GET", "/", nil, tc.header, tc.value)
			r, want := g.settled(t), ""
			if tc.token != "" {
				want = g.rules.Redactor.Value([]byte(tc.token))
			}
			if r.TokenID != want || r.Known() {
				t.Errorf("token id %q, want %q; actor %+v", r.TokenID, want, r.Actor)
			}
			if shown := r.RequestHeaders.Get(tc.header); want != "" && len(tc.value) < 1<<10 && shown != want {
				t.Errorf("the header shows %q, and the token's id is %q", shown, want)
			}
		})
	}
}

// asking is a method that has to ask over the network, which takes until release, and
// is in no hurry: how long that is on a busy machine is nothing to go by.
func asking(release <-chan struct{}, who identity.Identity) identity.Method {
	return func(_ context.Context, _ *identity.Evidence, p identity.Patience) (identity.Identity, bool) {
		switch p {
		case identity.Probe:
			return identity.Identity{}, true
		case identity.Wait:
			<-release
			return who, false
		}
		return identity.Identity{}, false
	}
}

func TestProjectIsThatOfWhoeverIsKnown(t *testing.T) {
	verified := identity.Identity{Actor: record.Actor{UserID: "u", AuthMethod: "jwt", AuthVerified: true}, Project: "p"}
	claimed := verified
	claimed.AuthVerified = false
	answered := claimed
	answered.ProjectVerified = true
	for name, tc := range map[string]struct {
		who           identity.Identity
		says          bool // the capture says itself what the project is
		want, claimed string
	}{
		"verified":                 {verified, false, "p", ""},
		"a claim":                  {claimed, false, "", "p"},
		"of a user who is a claim": {answered, false, "p", ""},
		"the capture's own":        {verified, true, "own", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(w http.ResponseWriter, _ *http.Request) error {
				w.WriteHeader(http.StatusForbidden) // which says nothing against a project that is vouched for
				return nil
			}, nil)
			done := make(chan struct{})
			close(done)
			g.rules.Identity, g.rules.IdentityProject = identity.Methods{asking(done, tc.who)}, !tc.says
			if tc.says {
				g.facts.Project, g.facts.ProjectVerified = "own", true
			}
			g.Start()
			g.call(t, "GET", "/", nil)
			if r := g.settled(t); r.Project != tc.want || r.ClaimedProject != tc.claimed || r.UserID != "u" {
				t.Errorf("project %q, claimed %q, user %q", r.Project, r.ClaimedProject, r.UserID)
			}
		})
	}
}

// A path with %2F names its tenant to some servers, and to others somebody else: a tenant
// cannot write into the log of another, nor take calls out of its own where it is known.
func TestProjectThatServersReadDifferentlyIsTheVerifiedOne(t *testing.T) {
	verified := identity.Identity{Actor: record.Actor{UserID: "u", AuthMethod: "jwt", AuthVerified: true}, Project: "demo"}
	unverified := verified
	unverified.AuthVerified = false
	for name, tc := range map[string]struct {
		who           identity.Identity
		several       []string
		status        int
		want, claimed string
	}{
		"as a server with slashes":        {verified, []string{"demo/servers", "demo"}, 204, "demo", ""},
		"as a server without":             {verified, []string{"demo", "other"}, 204, "demo", ""},
		"as no server":                    {verified, []string{"other/x", "other"}, 204, "", "other"},
		"not verified":                    {unverified, []string{"demo/servers", "demo"}, 204, "", "demo"},
		"refused":                         {verified, []string{"demo/servers", "demo"}, 404, "", "demo"},
		"named by servers without alone":  {unverified, []string{"demo/..", ""}, 204, "", "demo/.."},
		"no project in what is not known": {identity.Identity{Actor: verified.Actor}, []string{"", "demo"}, 204, "", "demo"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(w http.ResponseWriter, _ *http.Request) error {
				w.WriteHeader(tc.status)
				return nil
			}, nil)
			done := make(chan struct{})
			close(done)
			g.rules.Identity, g.facts.Projects = identity.Methods{asking(done, tc.who)}, tc.several
			g.Start()
			g.call(t, "GET", "/", nil)
			if r := g.settled(t); r.Project != tc.want || r.ClaimedProject != tc.claimed {
				t.Errorf("project %q, claimed %q; want %q, %q", r.Project, r.ClaimedProject, tc.want, tc.claimed)
			}
		})
	}
}

// Those who are asked do not answer: neither calls nor workers wait for them.
func TestCallsDoNotWaitForWhoeverIsAsked(t *testing.T) {
	g := newGateway(t, func(_ http.ResponseWriter, r *http.Request) error { _, err := io.Copy(io.Discard, r.Body); return err }, nil)
	asked := make(chan struct{})
	release := sync.OnceFunc(func() { close(asked) })
	defer release()
	g.rules.Identity = identity.Methods{asking(asked, identity.Identity{Actor: record.Actor{UserID: "u"}})}
	g.Start()
	const calls = 100
	for range calls {
		if res, body := g.call(t, "GET", "/", nil); res == nil {
			t.Fatal(body)
		}
	}
	recorded := func(n int) {
		t.Helper()
		got := 0
		for range 30_000 {
			g.mu.Lock()
			got = len(g.records)
			g.mu.Unlock()
			if got >= n {
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
		t.Fatalf("waited in vain for %d records, %d have come", n, got)
	}
	recorded(calls - capture.MaxAsking) // who finds no place to wait is recorded without the answer
	release()
	recorded(calls)
	known := 0
	g.mu.Lock()
	for _, r := range g.records {
		if r.Known() {
			known++
		}
	}
	g.mu.Unlock()
	g.Server.Close()
	if err := g.pipeline.Close(t.Context()); err != nil || known != capture.MaxAsking {
		t.Errorf("%d of %d calls have their user, want %d; %v", known, calls, capture.MaxAsking, err)
	}
}

// many is a header that leaves no room in a record for any other: of this many lines,
// and bytes in all.
func many(lines, size int) http.Header {
	h := http.Header{}
	for n := range lines {
		h.Set(fmt.Sprintf("A-%d", n), strings.Repeat("x", size/lines))
	}
	return h
}

// send makes a call with these headers, of which a name may come twice.
func (g *gateway) send(t *testing.T, method, path, body string, junk http.Header, headers ...string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = junk.Clone()
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := g.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

// What a record has no room for still says who made the call, and who holds a token;
// no client can push it out.
func TestHeadersBeyondTheBoundsOfARecordAreRead(t *testing.T) {
	for name, junk := range map[string]http.Header{
		"none": {}, "many lines": many(300, 300), "much in all": many(20, 100<<10), "both": many(400, 200<<10),
	} {
		for user, want := range map[string]string{"eve": "eve", "eve,mallory": "", strings.Repeat("x", identity.MaxClaimLen+1): ""} {
			g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
				r.Header.Set("X-User-Id", "changed")
				return nil
			}, nil)
			g.rules.Identity, g.rules.IdentityHeaders = identity.Methods{identity.Header("X-User-Id", "")}, []string{"X-User-Id"}
			g.facts.TrustedPeer = true
			headers := []string{}
			for _, one := range strings.Split(user, ",") {
				headers = append(headers, "X-User-Id", one)
			}
			g.Start()
			g.send(t, "GET", "/", "", junk, headers...)
			if r := g.settled(t); r.UserID != want {
				t.Errorf("%s, %.20q: user %q, want %q", name, user, r.UserID, want)
			}
		}
	}
}

func TestLessonsReadHeadersBeyondTheBoundsOfARecord(t *testing.T) {
	long := strings.Repeat("x", 12<<10) // of a value
	for name, junk := range map[string]http.Header{
		"none": {}, "many lines": many(300, 300), "much in all": many(20, 100<<10),
	} {
		for _, token := range []string{"gAAAA", long} {
			g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
				r.Header.Set("X-Subject", "changed")
				_, _ = io.Copy(io.Discard, r.Body)
				for name, values := range junk {
					w.Header()[name] = values
				}
				w.Header().Set("X-Token", token)
				_, err := io.WriteString(w, `{"id":"u1"}`)
				return err
			}, nil)
			lessons, err := identity.NewLessons([]identity.Lesson{
				{Method: "POST", Path: "/login", Token: "{audit.res.header.x-token}", UserID: "{audit.res.json./id}", UserName: "{audit.req.header.x-subject}", UserEmail: "{audit.req.form.mail}"},
			})
			if err != nil {
				t.Fatal(err)
			}
			g.rules.Lessons = lessons
			g.Start()
			g.send(t, "POST", "/login", "mail=ann", junk, "X-Subject", "ann", "Content-Type", "application/x-www-form-urlencoded")
			g.settled(t)
			if who := holder(g.pipeline, g.rules, token); who.UserID != "u1" || who.UserName != "ann" || who.UserEmail != "ann" {
				t.Errorf("%s, a token of %d bytes: %+v", name, len(token), who.Actor)
			}
			g.Server.Close()
			if err := g.pipeline.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if used := g.pipeline.Budget().Used(); used != 0 {
				t.Errorf("%s: %d bytes of the budget are still taken", name, used)
			}
		}
	}
}
