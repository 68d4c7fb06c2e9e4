package identity_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/auditgate/auditgate/capture/identity"
)

// vectors is a file of Project Wycheproof.
type vectors struct {
	NumberOfTests int
	TestGroups    []struct {
		Comment         string
		Public, Private json.RawMessage
		Tests           []vector
	}
}

type vector struct {
	TcID     int
	Comment  string
	JWS, JWE json.RawMessage // a text, or an object: another form, which is not accepted here
	Result   string
}

func readVectors(t *testing.T, name string) (v vectors) {
	t.Helper()
	f, err := os.Open("testdata/wycheproof/json_web_" + name + "_test.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := json.Unmarshal(must(io.ReadAll(must(gzip.NewReader(f)))), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// verifierOf returns who checks the tokens of a group, with its public key or set of
// keys, or its secret; an error where the gateway would not start with them.
func verifierOf(public, private json.RawMessage) (*identity.Verifier, error) {
	c := identity.VerifierConfig{AnyAudience: true}
	var secret struct{ Kty, Alg, K string }
	switch {
	case public == nil && json.Unmarshal(private, &secret) == nil && secret.Kty == "oct":
		// A secret is configured as it is and goes with HS256, whatever a JWK would say of it.
		if secret.Alg != "HS256" {
			return nil, fmt.Errorf("a secret for %s", secret.Alg)
		}
		c.HMACSecret = must(base64.RawURLEncoding.DecodeString(secret.K))
	case public == nil: // a set of secrets
		c.JWKS = private
	case strings.Contains(string(public), `"keys"`):
		c.JWKS = public
	default:
		c.JWKS = []byte(fmt.Sprintf(`{"keys":[%s]}`, public))
	}
	return identity.NewVerifier(c)
}

// byDesign says why a token is refused here that the vectors call valid; "" where it is
// not.
func byDesign(file, group string, v vector) string {
	var token string
	_ = json.Unmarshal(v.JWS, &token)
	var header struct{ Alg string }
	text, _, _ := strings.Cut(token, ".")
	if data, err := base64.RawURLEncoding.DecodeString(text); err == nil {
		_ = json.Unmarshal(data, &header)
	}
	switch {
	case v.JWE != nil:
		return "an encrypted token is no signed one"
	case file == "signature" && (v.TcID == 372 || v.TcID == 373):
		return "a ? within base64url, which other readers step over: RFC 7515 has no such reading"
	case file == "key" && slices.Contains([]string{"jws_keyset", "HS256", "HS384", "HS512"}, group), file == "crypto" && group == "jws_keyset":
		return "a set of keys holds public keys alone: a secret in it is one that got out"
	case slices.Contains([]string{"RS384", "RS512", "PS384", "PS512", "ES512"}, header.Alg):
		return "algorithm: RS256, PS256, ES256, EdDSA and HS256 are all that there are (RFC 8725, section 3.1)"
	}
	return ""
}

const valid357 = "eyJraWQiOiJoczI1Ni1rZXkiLCJhbGciOiJIUzI1NiJ9.VGVzdA.c1LROH7eNQwUT8KMVEO52VC3WZ9e_AnDWbZ7aMmowV8"

// What Wycheproof calls invalid is refused, all of it; what it calls valid is accepted,
// but for what is refused by design, and counted.
func TestWycheproofIsJudgedRight(t *testing.T) {
	for _, file := range []struct {
		name                       string
		accepted, refused, designs int
	}{
		{"signature", 26, 353, 22},
		{"key", 1, 21, 4},
		{"crypto", 3, 77, 3},
	} {
		all, accepted, refused, reasons := readVectors(t, file.name), 0, 0, make(map[string]int)
		for _, group := range all.TestGroups {
			v, err := verifierOf(group.Public, group.Private)
			for _, test := range group.Tests {
				var token string
				good := err == nil && test.JWS != nil && json.Unmarshal(test.JWS, &token) == nil
				if good {
					_, err := v.CheckSignature(t.Context(), token)
					good = err == nil
				}
				want := test.Result == "valid"
				if want {
					if reason := byDesign(file.name, group.Comment, test); reason != "" {
						want = false
						reasons[reason]++
					}
				}
				if file.name == "signature" && (test.TcID == 367 || test.TcID == 370) {
					// Called invalid for its padding, which is not there: it is number 357, which is valid.
					if token != valid357 {
						t.Errorf("vector %d has changed: %s", test.TcID, token)
					}
					want = true
				}
				if good {
					accepted++
				} else if test.Result == "invalid" {
					refused++
				}
				if good != want {
					t.Errorf("%s %s %d, %s: accepted %t, want %t", file.name, group.Comment, test.TcID, test.Comment, good, want)
				}
			}
		}
		designs := 0
		for reason, n := range reasons {
			designs += n
			t.Logf("%s: %d that are valid are refused: %s", file.name, n, reason)
		}
		if accepted != file.accepted || refused != file.refused || designs != file.designs || accepted+refused+designs != all.NumberOfTests {
			t.Errorf("%s: %d accepted, %d refused, %d refused by design, of %d", file.name, accepted, refused, designs, all.NumberOfTests)
		}
	}
}
