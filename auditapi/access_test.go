package auditapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/record"
)

// Two tenants, and everything that either can ask for: nothing of the other.
func TestTenantsSeeNothingOfEachOther(t *testing.T) {
	records := calls(20, func(i int, r *record.Record) {
		r.Project = []string{"p1", "p2", ""}[i%3]
		r.ClaimedProject = map[string]string{"": "p1"}[r.Project]
		r.RequestBody = record.Body{Content: []byte("secret of " + r.Project), BodyInfo: record.BodyInfo{Size: 9, Kept: 9, State: record.BodyComplete}}
	})
	srv := serve(t, opened(t, records...), nil)
	for _, own := range []string{"p1", "p2"} {
		tenant := token(t, map[string]any{"sub": own, "projects": []string{own}})
		for _, path := range []string{"/v1/-/logs", "/v1/" + own + "/logs", "/v1/-/logs?view=summary", "/v1/-/logs?user=u9"} {
			got := srv.list(path, tenant)
			if len(got.Logs) != 7 {
				t.Errorf("%s: %d records, want 7", path, len(got.Logs))
			}
			for _, r := range got.Logs {
				if r.Project != own {
					t.Errorf("%s: a record of project %q", path, r.Project)
				}
			}
		}
		other := map[string]string{"p1": "p2", "p2": "p1"}[own]
		srv.refuse(404, "not-found", "GET", "/v1/"+other+"/logs", tenant)
		unknown := record.NewID().String()
		for _, r := range records {
			for _, suffix := range []string{"", "/request_body", "/response_body"} {
				for _, project := range []string{"-", own, other} {
					path := func(id string) string { return "/v1/" + project + "/logs/" + id + suffix }
					if r.Project == own && project != other {
						if res, body := srv.do("GET", path(r.EventID.String()), tenant); suffix != "/response_body" && (res.StatusCode != 200 || !strings.Contains(string(body), "secret of "+own)) {
							t.Errorf("%s: %s\n%s", path(r.EventID.String()), res.Status, body)
						}
						continue
					}
					// The same as for a record that is not there, but for its id.
					hidden := srv.refuse(404, "not-found", "GET", path(r.EventID.String()), tenant)
					missing := srv.refuse(404, "not-found", "GET", path(unknown), tenant)
					if diff := cmp.Diff(missing.Detail, strings.ReplaceAll(hidden.Detail, r.EventID.String(), unknown)); diff != "" {
						t.Errorf("%s differs from a record that is not there:\n%s", path(r.EventID.String()), diff)
					}
				}
			}
		}
	}
	// Records without a project are seen with "*" alone; there an unknown
	// project is an empty list.
	all := token(t, nil)
	if got := srv.list("/v1/-/logs", all); len(got.Logs) != 20 {
		t.Errorf("%d records, want 20", len(got.Logs))
	}
	if got := srv.list("/v1/unknown/logs", all); len(got.Logs) != 0 || !got.Complete {
		t.Errorf("unknown project: %d records, complete %v", len(got.Logs), got.Complete)
	}
	srv.refuse(404, "not-found", "GET", "/v1/p2/logs/"+records[0].EventID.String(), all)
	srv.refuse(404, "not-found", "GET", "/v1/"+strings.Repeat("p", 513)+"/logs", all)
}

// VK-02: a source can be for some only.
func TestSourcesAreSeenAsTheTokenSays(t *testing.T) {
	records := calls(12, func(i int, r *record.Record) {
		r.Source = []string{"nova", "cinder", "iam", record.Self}[i%4]
	})
	srv := serve(t, opened(t, records...), func(c *auditapi.Config) { c.Restrict = []string{"iam"} })
	tests := []struct {
		name   string
		claims map[string]any
		query  string
		want   []string
	}{
		{"no claim", nil, "", []string{"cinder", "nova"}},
		{"all", map[string]any{"sources": "*"}, "", []string{"cinder", "nova"}},
		{"a list", map[string]any{"sources": []string{"nova"}}, "", []string{"nova"}},
		{"one", map[string]any{"sources": "nova"}, "", []string{"nova"}},
		{"an empty list", map[string]any{"sources": []string{}}, "", nil},
		{"a number", map[string]any{"sources": 7}, "", nil},
		{"restricted, named", map[string]any{"sources": []string{"iam"}}, "", []string{"iam"}},
		{"restricted, named beside all", map[string]any{"sources": []string{"*", "iam"}}, "", []string{"cinder", "iam", "nova"}},
		{"own records, an admin does not ask", map[string]any{"roles": []string{"owner"}}, "", []string{"cinder", "nova"}},
		{"own records, an admin asks", map[string]any{"roles": []string{"super_admin"}}, "?source=auditgate", []string{"auditgate"}},
		{"own records beside others", map[string]any{"roles": "admin"}, "?source=auditgate&source=nova", []string{"auditgate", "nova"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, r := range srv.list("/v1/-/logs"+tt.query, token(t, tt.claims)).Logs {
				got = append(got, r.Source)
			}
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, tt.want) {
				t.Errorf("sources are %q, want %q", got, tt.want)
			}
		})
	}
	for name, tt := range map[string]struct {
		claims map[string]any
		query  string
	}{
		"restricted":                   {nil, "?source=iam"},
		"restricted, beside another":   {nil, "?source=nova&source=iam"},
		"not in the list":              {map[string]any{"sources": []string{"nova"}}, "?source=cinder"},
		"in no list, and not there":    {map[string]any{"sources": []string{"nova"}}, "?source=nothing"},
		"an auditor":                   {nil, "?source=auditgate"},
		"an auditor who names it":      {map[string]any{"sources": []string{"nova", "auditgate"}}, "?source=auditgate"},
		"an admin of another source":   {map[string]any{"roles": "admin", "sources": []string{"nova"}}, "?source=auditgate"},
		"an admin, what is restricted": {map[string]any{"roles": "admin"}, "?source=auditgate&source=iam"},
	} {
		for _, path := range []string{"logs", "summary"} {
			p := srv.refuse(404, "not-found", "GET", "/v1/-/"+path+tt.query, token(t, tt.claims))
			if want := tt.query[strings.LastIndexByte(tt.query, '=')+1:]; !strings.Contains(p.Detail, strconv.Quote(want)) {
				t.Errorf("%s: %q names no %s", name, p.Detail, want)
			}
		}
	}
	own := "/v1/-/logs/" + records[3].EventID.String()
	srv.refuse(404, "not-found", "GET", own, token(t, nil))
	if res, _ := srv.do("GET", own, token(t, map[string]any{"roles": "admin"})); res.StatusCode != 200 {
		t.Errorf("an admin looks up one of the own records: %s", res.Status)
	}
	srv.refuse(404, "not-found", "GET", "/v1/-/logs/"+records[2].EventID.String(), token(t, nil))
}

func TestRolesAndProjectsAreReadWhereTheConfigurationSays(t *testing.T) {
	s := opened(t, calls(3, nil)...)
	plain := serve(t, s, nil)
	nested := serve(t, s, func(c *auditapi.Config) {
		c.RolesClaim, c.ProjectsClaim = "realm_access.roles", "https://example.com/tenants"
		c.Roles = map[auditapi.Role][]string{auditapi.Auditor: {"log-reader", "support"}}
	})
	tests := []struct {
		name   string
		srv    *server
		claims map[string]any
		says   string // of the refusal
	}{
		{"auditor", plain, nil, ""},
		{"among others", plain, map[string]any{"roles": []any{"x", 7, "auditor"}}, ""},
		{"owner", plain, map[string]any{"roles": "owner"}, ""},
		{"one project as text", plain, map[string]any{"projects": "p1"}, ""},
		{"no roles", plain, map[string]any{"roles": nil}, `claim "roles"`},
		{"other roles", plain, map[string]any{"roles": []string{"member"}}, `claim "roles"`},
		{"in capitals", plain, map[string]any{"roles": "Admin"}, `claim "roles"`},
		{"ingest", plain, map[string]any{"roles": "ingest"}, `claim "roles"`},
		{"no projects", plain, map[string]any{"projects": nil}, `claim "projects"`},
		{"projects of another type", plain, map[string]any{"projects": map[string]any{"p1": true}}, `claim "projects"`},
		{"nested", nested, map[string]any{"realm_access": map[string]any{"roles": []string{"support"}}, "https://example.com/tenants": "*"}, ""},
		{"default of a role that is not set", nested, map[string]any{"realm_access": map[string]any{"roles": []string{"owner"}}, "https://example.com/tenants": "*"}, ""},
		{"default of a role that is set", nested, map[string]any{"realm_access": map[string]any{"roles": []string{"auditor"}}, "https://example.com/tenants": "*"}, `claim "realm_access.roles"`},
		{"not nested", nested, map[string]any{"realm_access": "support"}, `claim "realm_access.roles"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.says == "" {
				if got := tt.srv.list("/v1/-/logs", token(t, tt.claims)); len(got.Logs) != 3 {
					t.Errorf("%d records, want 3", len(got.Logs))
				}
				return
			}
			if p := tt.srv.refuse(403, "forbidden", "GET", "/v1/-/logs", token(t, tt.claims)); !strings.Contains(p.Detail, tt.says) {
				t.Errorf("detail is %q, want it to say %q", p.Detail, tt.says)
			}
		})
	}
}

func TestTokensComeInOneOfTwoHeaders(t *testing.T) {
	srv := serve(t, opened(t), nil)
	good, other := token(t, nil), token(t, map[string]any{"sub": "u2"})
	for name, headers := range map[string][]string{
		"X-Auth-Token":        {"X-Auth-Token", good},
		"Authorization":       {"Authorization", "Bearer " + good},
		"lower case":          {"Authorization", "bearer  " + good},
		"both, the same":      {"X-Auth-Token", good, "Authorization", "Bearer " + good},
		"beside another way":  {"X-Auth-Token", good, "Authorization", "Basic YTpi"},
		"an empty one beside": {"X-Auth-Token", "", "Authorization", "Bearer " + good},
	} {
		if res, body := srv.do("GET", "/v1/whoami", "", headers...); res.StatusCode != 200 {
			t.Errorf("%s: %s\n%s", name, res.Status, body)
		}
	}
	for _, headers := range [][]string{
		{"X-Auth-Token", good, "Authorization", "Bearer " + other},
		{"X-Auth-Token", good, "X-Auth-Token", other},
		{"Authorization", "Bearer " + good, "Authorization", "Bearer " + other},
	} {
		srv.refuse(400, "ambiguous-token", "GET", "/v1/whoami", "", headers...)
	}
	for _, headers := range [][]string{{}, {"X-Auth-Token", ""}, {"Authorization", "Basic YTpi"}, {"Authorization", "Bearer "}, {"Cookie", "token=" + good}} {
		srv.refuse(401, "token-missing", "GET", "/v1/whoami", "", headers...)
	}
	srv.refuse(401, "token-missing", "GET", "/v1/whoami?access_token="+good, "")
	for _, bad := range []string{"gAAAAABopaque", good[:len(good)-2], token(t, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), token(t, map[string]any{"aud": "nova"})} {
		p := srv.refuse(401, "token-invalid", "GET", "/v1/-/logs", bad)
		if p.Detail == "" || strings.Contains(p.Detail, bad) {
			t.Errorf("detail is %q", p.Detail)
		}
		res, _ := srv.do("GET", "/v1/-/logs", bad)
		if got := res.Header.Get("WWW-Authenticate"); got != `Bearer error="invalid_token"` {
			t.Errorf("WWW-Authenticate is %q", got)
		}
	}
}

func TestWhoamiTellsWhatTheTokenGives(t *testing.T) {
	srv := serve(t, opened(t), func(c *auditapi.Config) { c.Restrict = []string{"iam", "barbican"} })
	exp := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		claims map[string]any
		want   string
	}{
		{
			map[string]any{"roles": []string{"owner", "auditor"}},
			`{"id":"u1","name":"Ann","email":"ann@example.com","roles":["auditor","admin"],"projects":"*","sources":"*","restricted":true,"expires_at":"2100-01-01T00:00:00Z"}`,
		},
		{
			map[string]any{"name": nil, "email": nil, "roles": nil, "projects": []string{"p1", "p2"}, "sources": []string{"nova"}},
			`{"id":"u1","roles":[],"projects":["p1","p2"],"sources":["nova"],"expires_at":"2100-01-01T00:00:00Z"}`,
		},
		{
			map[string]any{"name": nil, "email": nil, "sources": []string{"*", "iam"}},
			`{"id":"u1","roles":["auditor"],"projects":"*","sources":"*","restricted":true,"expires_at":"2100-01-01T00:00:00Z"}`,
		},
		{
			map[string]any{"name": nil, "email": nil, "sources": []string{"*", "iam", "barbican"}},
			`{"id":"u1","roles":["auditor"],"projects":"*","sources":"*","expires_at":"2100-01-01T00:00:00Z"}`,
		},
		{
			map[string]any{"name": nil, "email": nil, "sub": "service", "roles": "ingest", "projects": nil, "sources": []string{}},
			`{"id":"service","roles":["ingest"],"projects":[],"sources":[],"expires_at":"2100-01-01T00:00:00Z"}`,
		},
	} {
		tt.claims["exp"] = exp.Unix()
		if _, body := srv.do("GET", "/v1/whoami", token(t, tt.claims)); strings.TrimSpace(string(body)) != tt.want {
			t.Errorf("whoami is %s\nwant %s", body, tt.want)
		}
	}
	if _, body := srv.do("GET", "/v1/whoami?pretty", token(t, nil)); !json.Valid(body) || !strings.Contains(string(body), "\n  \"id\": \"u1\"") {
		t.Errorf("pretty whoami is %s", body)
	}
	srv.refuse(400, "invalid-parameter", "GET", "/v1/whoami?verbose=1", token(t, nil))
}

func TestWrongConfigurationsAreRefusedWithWords(t *testing.T) {
	for want, change := range map[string]func(*auditapi.Config){
		"store is missing":         func(c *auditapi.Config) { c.Store = nil },
		"verifier is missing":      func(c *auditapi.Config) { c.Verifier = nil },
		"marker key has 31 bytes":  func(c *auditapi.Config) { c.MarkerKey = secret[:31] },
		"marker_ttl is -1s":        func(c *auditapi.Config) { c.MarkerTTL = -time.Second },
		`role "root" is not known`: func(c *auditapi.Config) { c.Roles = map[auditapi.Role][]string{"root": {"x"}} },
	} {
		config := goodConfig(&memory{})
		change(&config)
		if _, err := auditapi.New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want it to say %q", err, want)
		}
	}
}

// away is a verifier whose keys cannot be had.
type away struct{}

func (away) Verify(context.Context, string) (record.Actor, map[string]any, error) {
	return record.Actor{}, nil, fmt.Errorf("no keys: %w", identity.ErrKeysUnavailable)
}

func TestTokensThatCannotBeJudgedAreNotRefused(t *testing.T) {
	srv := serve(t, opened(t), func(c *auditapi.Config) { c.Verifier = away{} })
	srv.refuse(503, "keys-unavailable", "GET", "/v1/-/logs", token(t, nil))
}
