package redact_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// shared serves all tests: a Redactor never changes.
var shared = sync.OnceValues(func() (*redact.Redactor, error) {
	return redact.New(redact.Options{Key: key('k')})
})

func key(c byte) []byte { return []byte(strings.Repeat(string(c), redact.KeySize)) }

func newRedactor(t testing.TB) *redact.Redactor {
	t.Helper()
	r, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRefusesBadOptions(t *testing.T) {
	for _, test := range []struct {
		options redact.Options
		want    string
	}{
		{redact.Options{}, "redaction key has 0 bytes, want at least 32"},
		{redact.Options{Key: make([]byte, 31)}, "redaction key has 31 bytes, want at least 32"},
		{redact.Options{Key: key('k'), Fields: []string{"a", "_-"}}, `secret field "_-"`},
		{redact.Options{Key: key('k'), Headers: []string{""}}, `secret header ""`},
		{redact.Options{Key: key('k'), Fields: []string{strings.Repeat("a", redact.MaxName+1)}}, "want a name of 1 to 64 bytes"},
	} {
		if _, err := redact.New(test.options); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestOptionsAddToTheDefaults(t *testing.T) {
	r, err := redact.New(redact.Options{Key: key('k'), Headers: []string{"X-Tenant"}, Fields: []string{"n", "Kenn-Wort", "пароль", strings.Repeat("long", 16)}})
	if err != nil {
		t.Fatal(err)
	}
	in := `{"n":1,"nn":1,"kennWort":1,"Пароль":1,"\u043fароль":1,"` + strings.Repeat("long", 16) + `":1,"password":1,"x-tenant":1}`
	one := r.Value([]byte("1"))
	want := `{"n":"V","nn":1,"kennWort":"V","Пароль":"V","\u043fароль":"V","` + strings.Repeat("long", 16) + `":"V","password":"V","x-tenant":1}`
	res := r.Body(redact.Body{ContentType: "application/json", Content: []byte(in)})
	if diff := cmp.Diff(strings.ReplaceAll(want, "V", one), string(res.Content)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	h := record.Headers{{Name: "X-Tenant", Value: "a"}, {Name: "N", Value: "b"}, {Name: "X-Auth-Token", Value: "c"}}
	places := r.Headers(h, "request_headers", nil)
	if diff := cmp.Diff([]string{"request_headers:X-Tenant", "request_headers:N", "request_headers:X-Auth-Token"}, places); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheSameSecretLooksTheSameEverywhere(t *testing.T) {
	r := newRedactor(t)
	want := r.Value([]byte("tok/en+1"))
	h := record.Headers{{Name: "Authorization", Value: "Bearer tok/en+1"}, {Name: "X-Auth-Token", Value: "tok/en+1"}}
	r.Headers(h, "request_headers", nil)
	query, _ := r.Query("token=tok%2Fen%2B1", nil)
	body := r.Body(redact.Body{ContentType: "application/json", Content: []byte(`{"token":"tok\/en\u002b1"}`)})
	got := []string{h[0].Value, h[1].Value, query, string(body.Content)}
	if diff := cmp.Diff([]string{want, want, "token=" + want, `{"token":"` + want + `"}`}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKeysGiveDifferentValues(t *testing.T) {
	a := newRedactor(t)
	b, err := redact.New(redact.Options{Key: key('l')})
	if err != nil {
		t.Fatal(err)
	}
	va, vb := a.Value([]byte("x")), b.Value([]byte("x"))
	if va == vb || len(va) != len("hmac:")+32 || !strings.HasPrefix(va, "hmac:") {
		t.Errorf("%s and %s", va, vb)
	}
	da, db := a.Digest([32]byte{1}), b.Digest([32]byte{1})
	if da == db || len(da) != 64 || da == a.Digest([32]byte{2}) || strings.Contains(da, va[5:]) {
		t.Errorf("digests %s and %s", da, db)
	}
}

func TestOneRedactorServesManyGoroutines(t *testing.T) {
	r := newRedactor(t)
	want := `{"token":"` + r.Value([]byte("x")) + `"}`
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if res := r.Body(redact.Body{ContentType: "application/json", Content: []byte(`{"token":"x"}`)}); string(res.Content) != want {
					t.Errorf("got %s", res.Content)
					return
				}
			}
		})
	}
	wg.Wait()
}
