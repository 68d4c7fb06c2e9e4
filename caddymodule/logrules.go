package caddymodule

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// logRules say what is secret in Caddy's log.
var logRules logRuleSet

// logRuleSet is what is secret by default and what any capture of this process
// has called secret, also one of an earlier configuration: a log has no idea of
// which call a line is about, and rather hides too much.
type logRuleSet struct {
	mu      sync.Mutex // guards options, and the order of changes of current
	options redact.Options
	current atomic.Pointer[redact.Redactor]
}

// redactor returns the redactor of all rules so far.
func (s *logRuleSet) redactor() *redact.Redactor {
	if r := s.current.Load(); r != nil {
		return r
	}
	_ = s.add(redact.Options{}) // the defaults are good
	return s.current.Load()
}

// add adds what a capture calls secret. What a capture keeps all the same is
// hidden in the log. Of the patterns of paths the newest [redact.MaxRules] are used; of
// those that are forgotten for others the error tells.
func (s *logRuleSet) add(o redact.Options) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.options
	// A text or a value may hold a header like any field.
	next.Fields = merge(merge(next.Fields, o.Headers), o.Fields)
	next.Values = merge(merge(next.Values, []string{"jwt", "pem"}), o.Values)
	old := slices.DeleteFunc(slices.Clone(next.Paths), func(path string) bool { return slices.Contains(o.Paths, path) })
	next.Paths = append(old, o.Paths...)
	forgotten := max(0, len(next.Paths)-redact.MaxRules)
	next.Paths = next.Paths[forgotten:]
	next.Mode = redact.Mask
	next.Key = make([]byte, redact.KeySize) // nobody's: secrets are masked
	rand.Read(next.Key)
	redactor, err := redact.New(next)
	if err != nil {
		return err
	}
	s.options = next
	s.current.Store(redactor)
	if forgotten > 0 {
		return fmt.Errorf("captures have had %d secret paths since the start, want %d at most: the oldest are forgotten",
			redact.MaxRules+forgotten, redact.MaxRules)
	}
	return nil
}

// hidden stands for a secret: what redact.Mask puts there.
const hidden = "***"

// isSecretField reports whether all that stands under a name is secret.
func isSecretField(key string) bool {
	const harmless = "x"
	return logHeader(key, harmless) != harmless
}

// logHeader returns the value of a header without its secrets.
func logHeader(name, value string) string {
	header := record.Headers{{Name: name, Value: value}}
	logRules.redactor().Headers(header, "", nil)
	return header[0].Value
}

// logText returns a text without its secrets.
func logText(text string) string {
	if text == "" {
		return ""
	}
	redactor := logRules.redactor()
	text = withoutPanic(text)
	if !strings.ContainsAny(text, " \"\n") { // it may be all of a URL, or of a path
		text, _ = redactor.URL(text, "", nil)
	}
	result := redactor.Body(redact.Body{ContentType: "text/plain", Content: []byte(text)})
	if result.State == record.BodyWithheld {
		return hidden
	}
	return string(result.Content)
}

// withoutPanic takes the value of a panic out of what an HTTP server says of it:
//
//	http: panic serving 192.0.2.1:40000: <value>
//	goroutine 7 [running]: …
//
// It may be anything that the handler had in hand. The stack behind it holds
// names and addresses only.
func withoutPanic(text string) string {
	const serving = "panic serving "
	from := strings.Index(text, serving)
	if from < 0 {
		return text
	}
	from += len(serving)
	stack := ""
	if all := stackHead.FindAllStringIndex(text[from:], -1); len(all) > 0 {
		stack = text[from+all[len(all)-1][0]:] // the value may have one too
	}
	return text[:from] + "(its value is not logged) " + stack
}

// stackHead is how the stack of a goroutine begins.
var stackHead = regexp.MustCompile(`goroutine \d+ \[`)

// logJSON returns a value as JSON without its secrets.
func logJSON(value any) (json.RawMessage, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	result := logRules.redactor().Body(redact.Body{ContentType: "application/json", Content: text})
	if result.State == record.BodyWithheld {
		return json.RawMessage(`"` + hidden + `"`), nil
	}
	return result.Content, nil
}
