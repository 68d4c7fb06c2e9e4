package capture_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/record"
)

func TestTrailersAreRecordedFreeOfSecrets(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			g := newGateway(t, func(w http.ResponseWriter, r *http.Request) error {
				_, err := io.Copy(io.Discard, r.Body)
				w.Header().Set("Trailer", "X-Sum, x-api-key")
				w.Header().Set(http.TrailerPrefix+"X-Early", "set before the header")
				io.WriteString(w, "hello")
				w.Header().Set("X-Sum", "5")
				w.Header().Set("X-Api-Key", "s3cret")
				w.Header().Set(http.TrailerPrefix+"X-Late", "unannounced")
				w.Header().Set("X-Neither", "too late for the header")
				return err
			}, nil)
			if protocol == "HTTP/2.0" {
				g.StartTLS()
			} else {
				g.Start()
			}
			req, err := http.NewRequestWithContext(t.Context(), "POST", g.URL, io.MultiReader(strings.NewReader("hello")))
			if err != nil {
				t.Fatal(err)
			}
			req.Trailer = http.Header{"X-Checksum": {"abc"}, "X-Auth-Token": {"s3cret"}}
			res, err := g.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			r := g.settled(t)
			for name, want := range map[string]string{"X-Sum": "5", "X-Late": "unannounced", "X-Early": "set before the header", "X-Neither": ""} {
				if got := r.ResponseTrailers.Get(name); got != want || got != res.Trailer.Get(name) {
					t.Errorf("%s: %q, the client got %q, want %q", name, got, res.Trailer.Get(name), want)
				}
			}
			if len(r.ResponseTrailers) != 4 || r.ResponseTrailers.Get("X-Api-Key") == "" || r.ResponseHeaders.Get("X-Early") != "" {
				t.Errorf("recorded %v, header %v", r.ResponseTrailers, r.ResponseHeaders)
			}
			if got := r.RequestTrailers.Get("X-Checksum"); got != "abc" || len(r.RequestTrailers) != 2 {
				t.Errorf("recorded %v", r.RequestTrailers)
			}
			for _, f := range append(append(record.Headers{}, r.RequestTrailers...), r.ResponseTrailers...) {
				if strings.Contains(f.Value, "s3cret") {
					t.Errorf("a secret is in %s", f.Name)
				}
			}
			if got := strings.Join(r.Redacted, " "); got != "request_trailers:X-Auth-Token response_trailers:X-Api-Key" {
				t.Errorf("redacted: %s", got)
			}
		})
	}
}

// Nobody may read a trailer while a transport may still be filling it in.
func TestTrailersOfARequestThatIsNotReadAreNotLookedAt(t *testing.T) {
	read := make(chan struct{})
	g := newGateway(t, func(_ http.ResponseWriter, r *http.Request) error {
		go func() {
			defer close(read)
			io.Copy(io.Discard, r.Body)
		}()
		return nil
	}, nil)
	g.Start()
	req, _ := http.NewRequestWithContext(t.Context(), "POST", g.URL, io.MultiReader(strings.NewReader(strings.Repeat("a", 100_000))))
	req.Trailer = http.Header{"X-Checksum": {"abc"}}
	if res, err := g.Client().Do(req); err == nil {
		res.Body.Close()
	}
	<-read
	g.settled(t) // the race detector looks on
}
