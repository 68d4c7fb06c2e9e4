package auditapi_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/record"
)

func TestMarkersGoOnWithTheirOwnQueryAlone(t *testing.T) {
	records := calls(20, func(i int, r *record.Record) {
		r.Source = []string{"nova", "cinder"}[i%2]
		r.Project = []string{"p1", "p2"}[i/10]
	})
	srv := serve(t, opened(t, records...), nil)
	all := token(t, nil)
	const query = "/v1/-/logs?source=nova&from=2026-11-21T10:00:00Z"
	marker := srv.list(query+"&limit=2", all).Marker

	want := strings.Join(ids(srv.list(query, all).Logs)[2:4], " ")
	for _, same := range []string{
		"/v1/-/logs?marker=" + marker,
		"/v1/-/logs?pretty=yes&from=&marker=" + marker,
		query + "&limit=2&marker=" + marker, // VK-10
		"/v1/-/logs?limit=2&from=2026-11-21T13:00:00%2B03:00&source=nova&source=nova&marker=" + marker,
	} {
		if got := strings.Join(ids(srv.list(same, all).Logs), " "); got != want {
			t.Errorf("%s: records %s, want %s", same, got, want)
		}
	}
	if got := srv.list("/v1/-/logs", all, "Marker", marker, "Limit", "2", "Source", "nova", "From", "2026-11-21T10:00:00Z"); strings.Join(ids(got.Logs), " ") != want {
		t.Error("marker and query as headers: other records")
	}
	if got := srv.list("/v1/-/logs?limit=5&marker="+marker, all); len(got.Logs) != 5 {
		t.Errorf("with another limit: %d records, want 5", len(got.Logs))
	}

	for name, tt := range map[string]struct {
		path, token, says string
	}{
		"another source":     {"/v1/-/logs?source=cinder&from=2026-11-21T10:00:00Z&marker=" + marker, all, "another query"},
		"one more parameter": {query + "&method=GET&marker=" + marker, all, "another query"},
		"one less":           {"/v1/-/logs?source=nova&marker=" + marker, all, "another query"},
		"another view":       {query + "&view=summary&marker=" + marker, all, "another query"},
		"the default view":   {"/v1/-/logs?view=full&marker=" + marker, all, "another query"},
		"another project":    {"/v1/p1/logs?marker=" + marker, all, `the project "-"`},
		"another caller":     {"/v1/-/logs?marker=" + marker, token(t, map[string]any{"sub": "u2"}), "another caller"},
		"another issuer":     {"/v1/-/logs?marker=" + marker, token(t, map[string]any{"iss": "https://other.example.com"}), "another caller"},
		"nonsense":           {"/v1/-/logs?marker=nonsense", all, "not a marker"},
		"huge":               {"/v1/-/logs?marker=" + strings.Repeat("A", 9000), all, "not a marker"},
	} {
		if p := srv.refuse(400, "marker-invalid", "GET", tt.path, tt.token); !strings.Contains(p.Detail, tt.says) {
			t.Errorf("%s: detail is %q, want it to say %q", name, p.Detail, tt.says)
		}
	}
	plain := srv.list("/v1/-/logs?limit=1", all).Marker
	if p := srv.refuse(400, "marker-invalid", "GET", "/v1/-/logs?source=nova&marker="+plain, all); !strings.Contains(p.Detail, "a query without filters") {
		t.Errorf("the marker of a query without filters: detail is %q", p.Detail)
	}
	// A fresh token of the same caller is as good.
	srv.list("/v1/-/logs?marker="+marker, token(t, map[string]any{"exp": time.Now().Add(time.Minute).Unix()}))
}

// The rights are those of the token that comes, and not of the one before.
func TestMarkersGiveNoRights(t *testing.T) {
	srv := serve(t, opened(t, calls(5, nil)...), nil)
	marker := srv.list("/v1/-/logs?limit=1", token(t, nil)).Marker
	if got := srv.list("/v1/-/logs?marker="+marker, token(t, map[string]any{"projects": []string{"p2"}})); len(got.Logs) != 0 {
		t.Errorf("%d records, want none", len(got.Logs))
	}
	srv.refuse(403, "forbidden", "GET", "/v1/-/logs?marker="+marker, token(t, map[string]any{"roles": nil}))
}

func TestMarkersExpire(t *testing.T) {
	now := time.Now()
	srv := serve(t, opened(t, calls(3, nil)...), func(c *auditapi.Config) {
		c.Now = func() time.Time { return now }
		c.MarkerTTL = time.Minute
	})
	marker := srv.list("/v1/-/logs?limit=1", token(t, nil)).Marker
	now = now.Add(59 * time.Second)
	srv.list("/v1/-/logs?marker="+marker, token(t, nil))
	now = now.Add(time.Second)
	if p := srv.refuse(410, "marker-expired", "GET", "/v1/-/logs?marker="+marker, token(t, nil)); !strings.Contains(p.Detail, "good until") {
		t.Errorf("detail is %q", p.Detail)
	}
	// What is wrong for good is said first.
	srv.refuse(400, "marker-invalid", "GET", "/v1/-/logs?source=nova&marker="+marker, token(t, nil))
}

func TestEveryChangedBitOfAMarkerIsRefused(t *testing.T) {
	srv := serve(t, opened(t, calls(3, nil)...), nil)
	marker := srv.list("/v1/-/logs?limit=1&source=nova", token(t, nil)).Marker
	data := must(base64.RawURLEncoding.DecodeString(marker))
	for bit := range 8 * len(data) {
		changed := bytes.Clone(data)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, err := auditapi.OpenMarker(secret, base64.RawURLEncoding.EncodeToString(changed)); err == nil {
			t.Errorf("bit %d was changed and the marker opened", bit)
		}
	}
	for n := range len(marker) {
		if _, err := auditapi.OpenMarker(secret, marker[:n]); err == nil {
			t.Errorf("the first %d characters opened", n)
		}
	}
	for _, changed := range []string{marker + "=", marker + "\n", "\r" + marker, marker + "A", marker[:9] + "\n" + marker[9:]} {
		if _, err := auditapi.OpenMarker(secret, changed); err == nil {
			t.Errorf("%q opened", changed)
		}
	}
	if _, err := auditapi.OpenMarker([]byte("another key of thirty-two bytes.."), marker); err == nil {
		t.Error("the marker opened with another key")
	}
	// And over HTTP, a few of them.
	for bit := 0; bit < 8*len(data); bit += 97 {
		changed := bytes.Clone(data)
		changed[bit/8] ^= 1 << (bit % 8)
		srv.refuse(400, "marker-invalid", "GET", "/v1/-/logs?marker="+base64.RawURLEncoding.EncodeToString(changed), token(t, nil))
	}
}

// A marker can hold the id of a record that its holder may not see.
func TestMarkersShowNothing(t *testing.T) {
	m := &memory{budget: 3}
	m.put(calls(10, func(i int, r *record.Record) {
		r.Project = "p2"
		if i == 0 {
			r.Project = "p1"
		}
	})...)
	srv := serve(t, m, nil)
	marker := srv.list("/v1/p1/logs", token(t, map[string]any{"projects": []string{"p1"}})).Marker
	data := must(base64.RawURLEncoding.DecodeString(marker))
	for _, r := range m.snapshot() {
		if bytes.Contains(data, r.EventID[:6]) {
			t.Errorf("the marker shows the time of record %s", r.EventID)
		}
	}
}

func FuzzMarker(f *testing.F) {
	f.Add("AQ")
	f.Add(strings.Repeat("A", 200))
	f.Fuzz(func(t *testing.T, text string) {
		if again, err := auditapi.OpenMarker(secret, text); err == nil {
			t.Errorf("%q opened, as %q", text, again)
		}
	})
}
