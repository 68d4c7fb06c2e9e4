package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/auditgate/auditgate/record"
)

const (
	maxDepth = 16           // of the JSON in a token
	maxTime  = 253402300799 // the last second of the year 9999
)

// checkObject refuses what is no JSON object, or one that two readers could
// understand in two ways: text that is no UTF-8, names that stand twice. Its errors go
// on a sentence that has its subject.
func checkObject(data []byte) error {
	if !utf8.Valid(data) || !json.Valid(data) || !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errors.New("is not a JSON object")
	}
	w := scanner{data: data}
	return w.checkNames(0)
}

// checkNames reads one value of valid JSON.
func (s *scanner) checkNames(depth int) error {
	open := s.peek()
	if open != '{' && open != '[' {
		if !s.value() {
			return errors.New("is not a JSON object")
		}
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	s.pos++
	names := make(map[string]bool)
	for !s.skip(open + 2) { // } and ]
		if open == '{' {
			quoted, _ := s.quoted()
			name := string(quoted)
			if strings.Contains(name, `\`) && json.Unmarshal(quoted, &name) == nil {
				name = `"` + name + `"`
			}
			if names[name] {
				return errors.New("has the same name twice")
			}
			names[name] = true
			s.skip(':')
		}
		if err := s.checkNames(depth + 1); err != nil {
			return err
		}
		s.skip(',')
	}
	return nil
}

// checkTimes refuses times that are not whole seconds (RFC 7519 allows
// fractions; nobody needs them, and large floats overflow in readers).
func checkTimes(claims jwt.MapClaims) error {
	for _, name := range []string{"exp", "nbf", "iat"} {
		value, ok := claims[name]
		if !ok {
			continue
		}
		number, _ := value.(json.Number)
		if n, err := strconv.ParseInt(number.String(), 10, 64); err != nil || n < 0 || n > maxTime {
			return fmt.Errorf("%s of the token is not a time: want whole seconds since 1970", name)
		}
	}
	return nil
}

// timeOf returns a time that checkTimes let pass, for messages.
func timeOf(value any) string { return unixOf(value).UTC().Format(time.RFC3339) }

func unixOf(value any) time.Time {
	number, _ := value.(json.Number)
	n, _ := number.Int64()
	return time.Unix(n, 0)
}

// expiry is when claims that were checked end.
func expiry(claims map[string]any) time.Time { return unixOf(claims["exp"]) }

// has reports whether a claim equals value or is a list that contains it.
func has(claim any, value string) bool {
	switch claim := claim.(type) {
	case string:
		return claim == value
	case bool:
		return strconv.FormatBool(claim) == value
	case json.Number:
		return claim.String() == value
	case []any:
		for _, item := range claim {
			if _, nested := item.([]any); !nested && has(item, value) {
				return true
			}
		}
	}
	return false
}

// actorOf is what FromBearer reads, of claims that were checked.
func actorOf(claims jwt.MapClaims) record.Actor {
	text := func(claim any) string {
		s, _ := claim.(string)
		return clean(s)
	}
	a := record.Actor{
		UserID:       text(claims["sub"]),
		UserName:     text(claims["name"]),
		UserEmail:    text(claims["email"]),
		AuthMethod:   "jwt",
		AuthVerified: true,
	}
	if a.UserName == "" {
		a.UserName = text(claims["preferred_username"])
	}
	roles, _ := claims["roles"].([]any)
	for _, role := range roles {
		if s := text(role); s != "" && len(a.UserRoles) < MaxRoles {
			a.UserRoles = append(a.UserRoles, s)
		}
	}
	return a
}

// projectOf is the project that checked claims name: project_id or project, a text.
func projectOf(claims map[string]any) string {
	for _, name := range []string{"project_id", "project"} {
		if s, ok := claims[name].(string); ok && clean(s) != "" {
			return s
		}
	}
	return ""
}

// quote shows a claim in a message, cut where it is long.
func quote(claim any) string {
	text, err := json.Marshal(claim)
	if err != nil || claim == nil {
		return `""`
	}
	if len(text) > 100 {
		return strings.ToValidUTF8(string(text[:100]), "") + "…"
	}
	return string(text)
}

func quoteAll(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = strconv.Quote(s)
	}
	return strings.Join(quoted, " or ")
}
