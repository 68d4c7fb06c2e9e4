package auditapi_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/auditgate/auditgate/auditapi"
	"github.com/auditgate/auditgate/store"
)

func TestProblemsAreIndentedWhereThatIsAsked(t *testing.T) {
	srv := serve(t, opened(t), func(c *auditapi.Config) {
		c.Store = func() (store.Store, error) { return nil, store.ErrClosed }
	})
	good := token(t, nil)
	for _, tt := range []struct{ method, path, token string }{
		{"GET", "/v1/-/logs?pretty&limit=x", good},
		{"GET", "/v1/-/logs?pretty=yes", "no token"},
		{"GET", "/v1/whoami?pretty&x=1", good},
		{"POST", "/v1/-/logs?pretty", good},
		{"GET", "/v2?pretty", good},
		{"GET", "/v1//logs?pretty", good},
		{"GET", "/healthz?pretty", ""},
	} {
		res, body := srv.do(tt.method, tt.path, tt.token)
		var indented bytes.Buffer
		if err := json.Indent(&indented, body, "", "  "); err != nil || !bytes.Equal(body, indented.Bytes()) || bytes.Count(body, []byte("\n")) < 4 {
			t.Errorf("%s %s: %v\n%s", tt.method, tt.path, err, body)
		}
		if res.Header.Get("Content-Type") != "application/problem+json" || res.ContentLength != int64(len(body)) {
			t.Errorf("%s %s: %v, %d bytes", tt.method, tt.path, res.Header, len(body))
		}
	}
	for _, path := range []string{"/v1/-/logs?limit=x", "/v1/-/logs?pretty=no&limit=x", "/v1/-/logs?pretty=maybe"} {
		if _, body := srv.do("GET", path, good); bytes.Count(body, []byte("\n")) != 1 {
			t.Errorf("GET %s: %s", path, body)
		}
	}
}
