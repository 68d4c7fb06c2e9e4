package identity_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

// keystone is what is learned of an OpenStack.
var keystone = []identity.Lesson{
	{
		Method: "POST", Path: "/v3/auth/tokens", Token: "{audit.res.header.X-Subject-Token}",
		UserID: "{audit.res.json./token/user/id}", UserName: "{audit.res.json./token/user/name}",
		UserRoles: "{audit.res.json./token/roles/*/name}",
		Project:   "{audit.res.json./token/project/id}", Expires: "{audit.res.json./token/expires_at}",
	},
	{
		Method: "GET", Path: "/v3/users/:id", UserID: "{audit.res.json./user/id}",
		UserName: "{audit.res.json./user/name}", UserEmail: "{audit.res.json./user/email}",
	},
	{Method: "DELETE", Path: "/v3/auth/tokens", Forget: "{audit.req.header.X-Subject-Token}"},
}

const login = `{"token":{"methods":["password"],"user":{"domain":{"id":"default","name":"Default"},"id":"u1","name":"ann","password_expires_at":null},
"audit_ids":["x"],"expires_at":"2026-11-21T11:00:00.000000Z","issued_at":"2026-11-21T10:00:00.000000Z","project":{"domain":{"id":"default"},"id":"p1","name":"demo"},
"is_domain":false,"roles":[{"id":"r1","name":"member"},{"id":"r2","name":"reader"}],"catalog":[{"endpoints":[]}]}}`

func taught(t *testing.T, lessons []identity.Lesson, calls ...*identity.Passed) *identity.Book {
	t.Helper()
	all, err := identity.NewLessons(lessons)
	if err != nil {
		t.Fatal(err)
	}
	b := identity.NewBook(func() time.Time { return now })
	for _, c := range calls {
		all.Teach(c, func(token string) string { return "id of " + token }, b)
	}
	return b
}

func knows(t *testing.T, b *identity.Book, id string, at time.Time) bool {
	t.Helper()
	who := holder(t, b, id, at)
	return who.Known()
}

func TestKeystoneLoginTeachesWhoHoldsTheToken(t *testing.T) {
	answer := &identity.Passed{
		Method: "POST", Path: "/v3/auth/tokens",
		ResponseHeaders: record.Headers{{Name: "x-subject-token", Value: "gAAAA"}}, ResponseBody: []byte(login),
	}
	user := &identity.Passed{Method: "GET", Path: "/v3/users/u1", ResponseBody: []byte(`{"user":{"id":"u1","email":"ann@example.org","name":"ann"}}`)}
	want := identity.Identity{Project: "p1", ProjectVerified: true, Actor: record.Actor{
		UserID: "u1", UserName: "ann", UserEmail: "ann@example.org", UserRoles: []string{"member", "reader"},
		AuthMethod: "learned", AuthVerified: true, TokenID: "id of gAAAA",
	}}
	b := taught(t, keystone, answer, user)
	if diff := cmp.Diff(want, holder(t, b, "id of gAAAA", now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !knows(t, b, "id of gAAAA", now.Add(time.Hour-1)) || knows(t, b, "id of gAAAA", now.Add(time.Hour)) {
		t.Error("the token does not end when Keystone says")
	}
	revoked := &identity.Passed{Method: "DELETE", Path: "/v3/auth/tokens", RequestHeaders: record.Headers{{Name: "X-Subject-Token", Value: "gAAAA"}, {Name: "X-Auth-Token", Value: "admin's"}}}
	if b := taught(t, keystone, answer, revoked); knows(t, b, "id of gAAAA", now) {
		t.Error("a revoked token is still known")
	}

	// The answer may be longer than what is read of it.
	for n := range len(login) {
		cut := *answer
		cut.ResponseBody = cut.ResponseBody[:n]
		who := holder(t, taught(t, keystone, &cut), "id of gAAAA", now)
		if who.Known() && (who.UserID != "u1" || who.UserName != "" && who.UserName != "ann" || who.Project != "" && who.Project != "p1") {
			t.Fatalf("cut after %d bytes: %+v", n, who)
		}
	}
}

// A login is the call of whoever got the token by it. A call about a token that was
// there before is not.
func TestLoginIsOfWhoeverGotTheToken(t *testing.T) {
	all, err := identity.NewLessons(append(keystone, identity.Lesson{
		Method: "GET", Path: "/v3/auth/tokens", Token: "{audit.req.header.X-Subject-Token}", UserID: "{audit.res.json./token/user/id}",
	}))
	if err != nil {
		t.Fatal(err)
	}
	b := identity.NewBook(func() time.Time { return now })
	token := record.Headers{{Name: "X-Subject-Token", Value: "gAAAA"}}
	id := func(token string) string { return "id of " + token }
	issued := all.Teach(&identity.Passed{Method: "POST", Path: "/v3/auth/tokens", ResponseHeaders: token, ResponseBody: []byte(login)}, id, b)
	e := &identity.Evidence{At: now, Book: b, Issued: issued}
	if who, _ := identity.Default().Who(t.Context(), e, identity.Wait); who.UserName != "ann" || who.TokenID != "id of gAAAA" || !who.AuthVerified || who.Project != "p1" {
		t.Errorf("the login is of %+v", who)
	}
	e.Tokens = []identity.Token{{Raw: "other", ID: "id of other"}}
	if who, _ := identity.Default().Who(t.Context(), e, identity.Wait); who.Known() || who.TokenID != "id of other" {
		t.Errorf("a login with a token that nobody is known to hold is of %+v", who)
	}
	checked := all.Teach(&identity.Passed{Method: "GET", Path: "/v3/auth/tokens", RequestHeaders: token, ResponseBody: []byte(login)}, id, b)
	refused := all.Teach(&identity.Passed{Method: "POST", Path: "/v3/auth/tokens", ResponseHeaders: token, ResponseBody: []byte(`{}`)}, id, b)
	if checked != "" || refused != "" {
		t.Errorf("issued: %q by a check, %q without a user", checked, refused)
	}
}

func TestOAuthTokenEndpointTeachesAsWell(t *testing.T) {
	b := taught(t, []identity.Lesson{{
		Method: "POST", Path: "/oauth/token", Token: "{audit.res.json./access_token}",
		UserName: "{audit.req.form.username}", Expires: "{audit.res.json./expires_in}",
	}}, &identity.Passed{
		Method: "POST", Path: "/oauth/token", RequestBody: []byte("grant_type=password&username=ann&password=x"),
		RequestHeaders: record.Headers{{Name: "Content-Type", Value: "application/x-www-form-urlencoded; charset=utf-8"}},
		ResponseBody:   []byte(`{"access_token":"opaque","expires_in":600,"token_type":"Bearer"}`),
	})
	if who := holder(t, b, "id of opaque", now.Add(10*time.Minute-1)); who.UserName != "ann" {
		t.Errorf("got %+v", who)
	}
	if who := holder(t, b, "id of opaque", now.Add(10*time.Minute)); who.Known() {
		t.Errorf("after its end: %+v", who)
	}
}

// What a request says is its client's word, also where the component has let it in.
func TestWhatARequestSaysIsNotVerified(t *testing.T) {
	const answer = `{"t":"opaque","id":"u1","name":"ann","mail":"ann@example.org","project":"p1","roles":["reader"]}`
	const request = `{"id":"u1","name":"ann","mail":"ann@example.org","project":"p1","roles":["reader"]}`
	token := identity.Lesson{
		Method: "POST", Path: "/login", Token: "{audit.res.json./t}", UserID: "{audit.res.json./id}", UserName: "{audit.res.json./name}",
		UserEmail: "{audit.res.json./mail}", UserRoles: "{audit.res.json./roles/*}", Project: "{audit.res.json./project}",
	}
	bare := identity.Lesson{Method: "POST", Path: "/login", Token: "{audit.res.json./t}", UserID: "{audit.res.json./id}"}
	user := identity.Lesson{Method: "POST", Path: "/login", UserID: "{audit.res.json./id}", UserEmail: "{audit.res.json./mail}"}
	with := func(l identity.Lesson, set func(*identity.Lesson)) identity.Lesson { set(&l); return l }
	for name, tc := range map[string]struct {
		lessons           []identity.Lesson
		verified, project bool
	}{
		"all from the answer":  {[]identity.Lesson{token}, true, true},
		"an id in a header":    {[]identity.Lesson{with(token, func(l *identity.Lesson) { l.UserID = "{audit.req.header.User}" })}, false, true},
		"a name":               {[]identity.Lesson{with(token, func(l *identity.Lesson) { l.UserName = "{audit.req.json./name}" })}, false, true},
		"an address":           {[]identity.Lesson{with(token, func(l *identity.Lesson) { l.UserEmail = "{audit.req.json./mail}" })}, false, true},
		"roles":                {[]identity.Lesson{with(token, func(l *identity.Lesson) { l.UserRoles = "{audit.req.json./roles/*}" })}, false, true},
		"a project":            {[]identity.Lesson{with(token, func(l *identity.Lesson) { l.Project = "{audit.req.json./project}" })}, false, false},
		"a token of the past":  {[]identity.Lesson{with(token, func(l *identity.Lesson) { l.Token = "{audit.req.header.Token}" })}, true, true},
		"an end":               {[]identity.Lesson{with(token, func(l *identity.Lesson) { l.Expires = "{audit.req.json./end}" })}, true, true},
		"what a user's called": {[]identity.Lesson{bare, with(user, func(l *identity.Lesson) { l.UserEmail = "{audit.req.json./mail}" })}, false, false},
		"which user it is":     {[]identity.Lesson{bare, with(user, func(l *identity.Lesson) { l.UserID = "{audit.req.json./id}" })}, false, false},
		"what is known better": {[]identity.Lesson{bare, user, with(user, func(l *identity.Lesson) { l.UserEmail = "{audit.req.json./id}" })}, true, false},
		"what is not used":     {[]identity.Lesson{token, with(user, func(l *identity.Lesson) { l.UserEmail = "{audit.req.json./id}" })}, true, true},
	} {
		b := taught(t, tc.lessons, &identity.Passed{
			Method: "POST", Path: "/login", RequestBody: []byte(request), ResponseBody: []byte(answer),
			RequestHeaders: record.Headers{{Name: "Content-Type", Value: "application/json"}, {Name: "User", Value: "u1"}, {Name: "Token", Value: "opaque"}},
		})
		who := holder(t, b, "id of opaque", now)
		if who.UserID != "u1" || who.UserEmail != "ann@example.org" || who.AuthMethod != "learned" {
			t.Errorf("%s: got %+v", name, who)
		}
		if who.AuthVerified != tc.verified || who.ProjectVerified != tc.project {
			t.Errorf("%s: verified %t, project %t; want %t, %t", name, who.AuthVerified, who.ProjectVerified, tc.verified, tc.project)
		}
	}
}

// A client writes its request as it likes: what two servers would read in two ways
// teaches nothing.
func TestRequestsThatCanBeReadInTwoWaysTeachNothing(t *testing.T) {
	for name, tc := range map[string]struct{ place, kind, body string }{
		"a name twice":             {"{audit.req.json./username}", "application/json", `{"username":"ann","x":{},"username":"mallory"}`},
		"a name twice, escaped":    {"{audit.req.json./username}", "application/json", `{"username":"ann","user\u006eame":"mallory"}`},
		"a name twice on the way":  {"{audit.req.json./a/username}", "application/json", `{"a":{"username":"ann"},"a":{"username":"mallory"}}`},
		"a field twice":            {"{audit.req.form.username}", "application/x-www-form-urlencoded", "username=ann&username=mallory"},
		"a form within JSON":       {"{audit.req.form.username}", "application/json", `{"username":"mallory","x":"&username=ann&"}`},
		"a form that says nothing": {"{audit.req.form.username}", "", "username=ann"},
	} {
		call := &identity.Passed{Method: "POST", Path: "/login", RequestBody: []byte(tc.body), ResponseBody: []byte(`{"t":"opaque"}`)}
		if tc.kind != "" {
			call.RequestHeaders = record.Headers{{Name: "Content-Type", Value: tc.kind}}
		}
		b := taught(t, []identity.Lesson{{Method: "POST", Path: "/login", Token: "{audit.res.json./t}", UserName: tc.place}}, call)
		if who := holder(t, b, "id of opaque", now); who.Known() {
			t.Errorf("%s: %+v", name, who)
		}
	}
}

func TestCallsThatTellNothingTeachNothing(t *testing.T) {
	token := record.Headers{{Name: "X-Subject-Token", Value: "gAAAA"}}
	for name, call := range map[string]*identity.Passed{
		"another path":       {Method: "POST", Path: "/v3/auth/tokens/x", ResponseHeaders: token, ResponseBody: []byte(login)},
		"another method":     {Method: "PUT", Path: "/v3/auth/tokens", ResponseHeaders: token, ResponseBody: []byte(login)},
		"no token":           {Method: "POST", Path: "/v3/auth/tokens", ResponseBody: []byte(login)},
		"two tokens":         {Method: "POST", Path: "/v3/auth/tokens", ResponseHeaders: append(token, record.Field{Name: "X-Subject-Token", Value: "other"}), ResponseBody: []byte(login)},
		"a token too long":   {Method: "POST", Path: "/v3/auth/tokens", ResponseHeaders: record.Headers{{Name: "X-Subject-Token", Value: strings.Repeat("x", identity.MaxTokenLen+1)}}, ResponseBody: []byte(login)},
		"and another one":    {Method: "POST", Path: "/v3/auth/tokens", ResponseHeaders: append(token, record.Field{Name: "X-Subject-Token", Value: strings.Repeat("x", identity.MaxTokenLen+1)}), ResponseBody: []byte(login)},
		"no user":            {Method: "POST", Path: "/v3/auth/tokens", ResponseHeaders: token, ResponseBody: []byte(`{"token":{"user":{}}}`)},
		"a user of no text":  {Method: "POST", Path: "/v3/auth/tokens", ResponseHeaders: token, ResponseBody: []byte(`{"token":{"user":{"id":{"a":1},"name":["x"]}}}`)},
		"control characters": {Method: "POST", Path: "/v3/auth/tokens", ResponseHeaders: token, ResponseBody: []byte(`{"token":{"user":{"id":"\u001b[2J"}}}`)},
		"no JSON":            {Method: "POST", Path: "/v3/auth/tokens", ResponseHeaders: token, ResponseBody: []byte("<html>")},
		"a request's body":   {Method: "POST", Path: "/v3/auth/tokens", ResponseHeaders: token, RequestBody: []byte(login)},
	} {
		b := taught(t, keystone, call)
		if who := holder(t, b, "id of gAAAA", now); who.Known() {
			t.Errorf("%s: %+v", name, who)
		}
	}
}

func TestValuesAreFoundWhereThePointerSays(t *testing.T) {
	for _, tc := range []struct{ pointer, document, want string }{
		{"/a", `{"a":"x"}`, "x"},
		{"/a", ` { "b" : [1,{"a":"no"}] , "a" : "x" } `, "x"},
		{"/a/b", `{"a":{"b":"x","b":"y"}}`, "x"},
		{"/a/1", `{"a":["x","y"]}`, "y"},
		{"/a/2", `{"a":["x","y"]}`, ""},
		{"/a~1b/c~0d", `{"a/b":{"c~d":"x"}}`, "x"},
		{`/\}`, `{"}":"x"}`, "x"},
		{"/a", `{"\u0061":"x"}`, "x"},
		{"/a", `{"a":"\u00e4\n"}`, "ä\n"},
		{"/a", `{"a":12.5}`, "12.5"},
		{"/a", `{"a":true}`, "true"},
		{"/a", `{"a":null}`, ""},
		{"/a", `{"a":{}}`, ""},
		{"/a", `{"a":36`, ""}, // of 3600, perhaps
		{"/a", `{"a":"x`, ""},
		{"/a", `{"b":{"a":"x"}}`, ""},
		{"/a/*", `{"a":["x"]}`, "x"},
		{"/", `{"":"x"}`, "x"},
	} {
		b := taught(t, []identity.Lesson{{Method: "*", Path: "/*", Token: "{audit.req.header.T}", UserID: "{audit.res.json." + tc.pointer + "}"}},
			&identity.Passed{Method: "GET", Path: "/", RequestHeaders: record.Headers{{Name: "T", Value: "t"}}, ResponseBody: []byte(tc.document)})
		want := tc.want
		if strings.Contains(want, "\n") {
			want = "" // which stands in no record
		}
		if got := holder(t, b, "id of t", now).UserID; got != want {
			t.Errorf("%s of %s is %q, want %q", tc.pointer, tc.document, got, want)
		}
	}
}

func TestEndsAreReadInEveryForm(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`"2026-11-21T10:30:00Z"`: 30 * time.Minute, `"2026-11-21T11:30:00+01:00"`: 30 * time.Minute, `"2026-11-21T10:30:00.000000Z"`: 30 * time.Minute,
		`"2026-11-21T10:30:00"`: 30 * time.Minute, `1800`: 30 * time.Minute, `"1800"`: 30 * time.Minute, `1795257000`: 30 * time.Minute, `1795257000.5`: 30 * time.Minute,
		`"soon"`: identity.LearnedFor, `-5`: identity.LearnedFor, `1e300`: identity.LearnedFor, `"NaN"`: identity.LearnedFor, `null`: identity.LearnedFor, `"-Inf"`: identity.LearnedFor,
	} {
		b := taught(t, []identity.Lesson{{Method: "*", Path: "/*", Token: "{audit.req.header.T}", UserID: "{audit.req.header.U}", Expires: "{audit.res.json./exp}"}},
			&identity.Passed{Method: "GET", Path: "/", RequestHeaders: record.Headers{{Name: "T", Value: "t"}, {Name: "U", Value: "u"}}, ResponseBody: []byte(`{"exp":` + text + `}`)})
		if !knows(t, b, "id of t", now.Add(want-time.Second)) || knows(t, b, "id of t", now.Add(want+time.Second)) {
			t.Errorf("%s is not %s from now", text, want)
		}
	}
}

func TestPathsOfLessons(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		fits          bool
	}{
		{"/v3/users/:id", "/v3/users/u1", true},
		{"/v3/users/:id", "/v3/users/", false},
		{"/v3/users/:id", "/v3/users/u1/x", false},
		{"/v3/users/:id", "/v3/%75sers/u1", true},
		{"/*", "/", true},
		{"/a/*", "/a", true}, // as /a/, which servers take for the same
		{"/a/*", "/a/", true},
		{"/a/*", "/a/b/c", true},
		{"/a/*/c", "/a/b/c", true},
		{"/a/*/c", "/a/b/d", false},
		{"/a", "/a?", false},
		{"/v3/auth/tokens", "/v3/auth/tokens/", true},
		{"/v3/auth/tokens", "//v3/./auth//tokens", true},
		{"/v3/auth/tokens", "/v3/x/../auth/tokens", true},
		{"/v3/auth/tokens", "/v3/auth%2Ftokens", true},
		{"/v3/auth/tokens", "/v3/auth/token", false},
		{"/v3/auth/tokens", "/v3/auth%252Ftokens", false}, // decoded once, not twice
		{"/v3/auth/tokens", "/v3/auth/%2574okens", false},
		{"/a", "a", false},
		{"/", "/", true},
	} {
		lessons, err := identity.NewLessons([]identity.Lesson{{Method: "GET", Path: tc.pattern, Forget: "{audit.req.header.T}"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := lessons.Fit("GET", tc.path); got != tc.fits {
			t.Errorf("%s fits %s: %t", tc.path, tc.pattern, got)
		}
	}
}

func TestWrongLessonsAreRefusedWithWords(t *testing.T) {
	const token, user = "{audit.res.header.T}", "{audit.res.json./u}"
	for want, l := range map[string]identity.Lesson{
		"method and the path":   {Token: token, UserID: user},
		"nothing says who":      {Method: "GET", Path: "/", Token: token},
		"do not go together":    {Method: "GET", Path: "/", Token: token, Forget: token},
		"stands alone":          {Method: "GET", Path: "/", Forget: token, UserID: user},
		"token is missing":      {Method: "GET", Path: "/", UserID: user},
		"not what can be learn": {Method: "GET", Path: "/", Token: "{http.request.header.X}", UserID: user},
		"begins with a slash":   {Method: "GET", Path: "/", Token: "{audit.res.json.token}", UserID: user},
		"names nothing":         {Method: "GET", Path: "/", Token: "{audit.res.header.}", UserID: user},
	} {
		if _, err := identity.NewLessons([]identity.Lesson{l}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want it to say %q", err, want)
		}
	}
	if _, err := identity.NewLessons(make([]identity.Lesson, 65)); err == nil {
		t.Error("65 lessons were taken")
	}
}

func FuzzTeach(f *testing.F) {
	f.Add([]byte(login), []byte(`{"auth":{}}`), "/token/roles/*/name")
	f.Add([]byte(`[[["\ud800`), []byte("a=%"), "/0/0/0")
	f.Fuzz(func(t *testing.T, response, request []byte, pointer string) {
		lessons, err := identity.NewLessons([]identity.Lesson{{
			Method: "*", Path: "/*", Token: "{audit.res.json." + pointer + "}", UserID: "{audit.req.json." + pointer + "}",
			UserName: "{audit.req.form.a}", UserRoles: "{audit.res.json./token/roles/*/name}", Expires: "{audit.res.json./token/expires_at}",
		}})
		if err != nil {
			return
		}
		b := identity.NewBook(nil)
		lessons.Teach(&identity.Passed{Method: "GET", Path: "/", RequestBody: request, ResponseBody: response}, func(token string) string { return token }, b)
	})
}
