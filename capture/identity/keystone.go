package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/auditgate/auditgate/record"
)

const (
	// KeystoneCache is how long an answer of Keystone is remembered, yes or no, so how
	// long a token is accepted at most after it was revoked.
	KeystoneCache = time.Minute
	// MaxKeystoneTokenLen is how long a token of Keystone may be, in bytes: it goes into
	// two headers of one request.
	MaxKeystoneTokenLen = 4 << 10
)

// Keystone asks the identity service of an OpenStack cloud about its tokens. Each
// token asks about itself, so the gateway needs no account there. It may be used from
// many goroutines.
type Keystone struct {
	url   string
	asker *asker[grant]
}

// grant is what Keystone says of a token.
type grant struct {
	Identity
	expires time.Time
	refused error // why it is no good; else nil
}

// NewKeystone returns who asks the Keystone at url, with or without /v3 at its end.
// now and log may be nil; log is told when asking begins to fail, and when it works
// again, from many goroutines at once.
func NewKeystone(url string, now func() time.Time, log func(msg string, err error)) *Keystone {
	url = strings.TrimRight(url, "/")
	if !strings.HasSuffix(url, "/v3") {
		url += "/v3"
	}
	k := &Keystone{
		url: url + "/auth/tokens?nocatalog",
		asker: newAsker[grant](now, log,
			"keystone cannot be asked about tokens now, and those that are not remembered are answered with 503", "keystone can be asked about tokens again"),
	}
	k.asker.question = k.question
	return k
}

// Issued reports whether a token may be one of Keystone's: one that is opaque, or a JWT
// that says so itself. Tokens of others are no business of Keystone's.
func (*Keystone) Issued(token string) bool {
	_, rest, ok := strings.Cut(token, ".")
	if !ok {
		return true
	}
	payload, _, _ := strings.Cut(rest, ".")
	data, err := base64.RawURLEncoding.DecodeString(payload)
	var claims map[string]json.RawMessage
	return err == nil && json.Unmarshal(data, &claims) == nil && claims["openstack_methods"] != nil
}

var (
	errKeystoneToken = errors.New("token is none of Keystone's, has expired, or was revoked")

	// ErrKeystoneUnavailable is why a token could not be judged.
	ErrKeystoneUnavailable error = unavailable("keystone cannot be asked about this token now: try again later")
)

// Verify returns who holds a token, with their roles, the project that it is scoped to,
// "" where it is to none, and when it ends. The error says what is wrong with a token
// that is refused; where Keystone cannot be asked it is [ErrKeystoneUnavailable].
func (k *Keystone) Verify(ctx context.Context, token string) (actor record.Actor, project string, expires time.Time, err error) {
	if !isToken68(token) || len(token) > MaxKeystoneTokenLen {
		return actor, "", expires, errKeystoneToken
	}
	sum := sha256.Sum256([]byte(token)) // so that no token lies in memory for longer than its request
	g, err := k.asker.ask(ctx, string(sum[:]), token)
	switch {
	case err != nil:
		return actor, "", expires, ErrKeystoneUnavailable
	case g.refused != nil:
		return actor, "", expires, g.refused
	case !g.expires.After(k.asker.now()):
		return actor, "", expires, errKeystoneToken
	}
	return g.Actor, g.Project, g.expires, nil
}

// isToken68 reports whether a token has only what may stand in a header as one (RFC
// 9110, section 11.2).
func isToken68(token string) bool {
	for i := range len(token) {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/=", c) >= 0:
		default:
			return false
		}
	}
	return token != ""
}

// question asks Keystone about a token, by the token's own right.
func (k *Keystone) question(ctx context.Context, token string) (g grant, until time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return g, until, errors.New("the address is no good")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-Auth-Token", token)
	req.Header.Set("X-Subject-Token", token)
	res, err := exchange(k.asker.client, req)
	if err != nil {
		return g, until, err
	}
	until = k.asker.now().Add(KeystoneCache)
	switch res.status {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusNotFound:
		return grant{refused: errKeystoneToken}, until, nil
	default:
		return g, until, fmt.Errorf("keystone answered %d, want 200; redirects are not followed, and its policy has to let a token ask about itself (identity:validate_token)", res.status)
	}
	if res.header.Get("X-Subject-Token") != token {
		return g, until, errors.New("the answer is about another one")
	}
	g, err = readGrant(res.body)
	if err == nil && g.expires.Before(until) {
		until = g.expires
	}
	return g, until, err
}

// readGrant reads what Keystone says of a token that is good.
func readGrant(data []byte) (g grant, err error) {
	type named struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	var answer struct {
		Token *struct {
			User                  named     `json:"user"`
			Project               *named    `json:"project"`
			Roles                 []named   `json:"roles"`
			ExpiresAt             time.Time `json:"expires_at"`
			ApplicationCredential struct {
				AccessRules []json.RawMessage `json:"access_rules"`
			} `json:"application_credential"`
		} `json:"token"`
	}
	if err := decodeAnswer(data, &answer); err != nil {
		return g, err
	}
	t := answer.Token
	switch {
	case t == nil || clean(t.User.ID) == "" || t.ExpiresAt.IsZero():
		return g, errors.New("the answer does not say whose it is and when it ends")
	case t.Project != nil && clean(t.Project.ID) == "":
		return g, errors.New("the answer does not say which project it is for")
	case len(t.ApplicationCredential.AccessRules) > 0:
		// Keystone answers so only to who says that it keeps such rules.
		g.refused = errors.New("token is of an application credential that may call other services alone (access rules)")
	}
	g.Actor = record.Actor{UserID: t.User.ID, UserName: clean(t.User.Name), AuthMethod: "keystone", AuthVerified: true}
	for _, role := range t.Roles {
		if name := clean(role.Name); name != "" && len(g.UserRoles) < MaxRoles {
			g.UserRoles = append(g.UserRoles, name)
		}
	}
	if t.Project != nil {
		g.Project = t.Project.ID
	}
	g.expires = t.ExpiresAt.UTC()
	return g, nil
}
