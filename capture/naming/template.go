package naming

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/auditgate/auditgate/record"
)

// maxText is the longest text that a template makes, in bytes; the rest is cut.
const maxText = 1024

// template is a text with placeholders.
type template struct{ parts []part }

// part is a piece of text, or a placeholder, which says itself how it is read.
type part struct {
	plain string
	read  func(*call) (string, bool) // nil for plain text
}

// parse reads a template. A closing brace within a placeholder is written \}, an
// opening one that begins none \{.
func (b *builder) parse(text string) (t template, err error) {
	for rest := text; rest != ""; {
		plain, after := cutPlain(rest)
		if plain != "" {
			t.parts = append(t.parts, part{plain: plain})
		}
		if rest = after; rest == "" {
			break
		}
		name, after, ok := cutPlaceholder(rest)
		if !ok {
			return t, fmt.Errorf("%q: a { is not closed", text)
		}
		read, err := b.placeholder(name)
		if err != nil {
			return t, fmt.Errorf("%q: %w", text, err)
		}
		t.parts = append(t.parts, part{read: read})
		rest = after
	}
	return t, nil
}

// cutPlain cuts off what stands before the first placeholder.
func cutPlain(text string) (plain, rest string) {
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '{':
			return plain + text[:i], text[i:]
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '{':
			plain, text, i = plain+text[:i]+"{", text[i+2:], -1
		}
	}
	return plain + text, ""
}

// cutPlaceholder cuts the placeholder off that text begins with.
func cutPlaceholder(text string) (name, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && (text[i+1] == '}' || text[i+1] == '{'):
			i++
			b.WriteByte(text[i])
		case text[i] == '}':
			return b.String(), text[i+1:], true
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", false
}

// fill makes the text. It reports whether each placeholder had a value: what is
// missing is nothing in between.
func (t *template) fill(c *call) (text string, whole bool) {
	if len(t.parts) == 0 {
		return "", true
	}
	whole = true
	if len(t.parts) == 1 && t.parts[0].read != nil {
		text, whole = t.parts[0].read(c)
		return cut(text), whole
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.read == nil {
			b.WriteString(p.plain)
			continue
		}
		value, ok := p.read(c)
		whole = whole && ok
		b.WriteString(value)
	}
	return cut(b.String()), whole
}

// cut bounds a text, at the beginning of a character.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "")
}

// placeholder returns how a placeholder is read.
func (b *builder) placeholder(name string) (func(*call) (string, bool), error) {
	own, ok := strings.CutPrefix(name, "audit.")
	if !ok {
		return b.foreign(name)
	}
	kind, of, _ := strings.Cut(own, ".")
	switch kind {
	case "req", "res":
		part, name, found := strings.Cut(of, ".")
		if !found || name == "" && part != "json" {
			break
		}
		request := kind == "req"
		switch {
		case part == "json":
			return b.pointer(request, name)
		case part == "header":
			return func(c *call) (string, bool) {
				headers := c.record.ResponseHeaders
				if request {
					headers = c.record.RequestHeaders
				}
				value := headers.Get(name)
				return value, value != ""
			}, nil
		case part == "form" && request:
			return func(c *call) (string, bool) { return c.formValue(name) }, nil
		}
	case "tail":
		read, err := b.placeholder("audit." + of)
		if err != nil {
			return nil, err
		}
		return func(c *call) (string, bool) {
			text, ok := read(c)
			text = strings.TrimRight(text, "/")
			return text[strings.LastIndexByte(text, '/')+1:], ok
		}, nil
	case "path":
		if n, err := strconv.Atoi(of); err == nil && n > 0 {
			return func(c *call) (string, bool) {
				return c.agreed(func(r reading) (string, bool) { return r.nth(n) })
			}, nil
		} else if of != "" && err != nil {
			if !b.names[of] {
				return nil, fmt.Errorf("{%s}: no `match` of the rule has a segment :%s", name, of)
			}
			return func(c *call) (string, bool) {
				return c.agreed(func(r reading) (string, bool) { return r.named(of) })
			}, nil
		}
	default:
		if field := fields[own]; field != nil {
			return func(c *call) (string, bool) { value := field(c.record); return value, value != "" }, nil
		}
	}
	return nil, fmt.Errorf("{%s} is unknown: want {audit.req.json.<pointer>}, {audit.res.json.<pointer>}, {audit.req.form.<name>}, "+
		"{audit.req.header.<name>}, {audit.res.header.<name>}, {audit.path.<n>}, {audit.path.<name>}, {audit.tail.<one of these>}, or a field of the record as in {audit.user_id}", name)
}

// foreign is a placeholder of the server's, whose value comes with the call.
func (b *builder) foreign(name string) (func(*call) (string, bool), error) {
	if name == "" {
		return nil, fmt.Errorf("a placeholder {} has no name")
	}
	if strings.HasPrefix(name, "http.request.body") {
		return nil, fmt.Errorf("{%s} would hold the body back: want {audit.req.json.<pointer>} or {audit.req.form.<name>}", name)
	}
	at := -1
	for i, known := range b.foreigns {
		if known == name {
			at = i
		}
	}
	if at < 0 {
		at = len(b.foreigns)
		b.foreigns = append(b.foreigns, name)
	}
	return func(c *call) (string, bool) {
		if at >= len(c.values) {
			return "", false
		}
		return c.values[at], c.values[at] != ""
	}, nil
}

// fields are those of the record that placeholders may name.
var fields = map[string]func(*record.Record) string{
	"event_id":        func(r *record.Record) string { return r.EventID.String() },
	"source":          func(r *record.Record) string { return r.Source },
	"project":         func(r *record.Record) string { return r.Project },
	"claimed_project": func(r *record.Record) string { return r.ClaimedProject },
	"action":          func(r *record.Record) string { return r.Action },
	"description":     func(r *record.Record) string { return r.Description },
	"success":         func(r *record.Record) string { return string(r.Success) },
	"outcome":         func(r *record.Record) string { return string(r.Outcome) },
	"method":          func(r *record.Record) string { return r.Method },
	"uri":             func(r *record.Record) string { return r.URI },
	"query":           func(r *record.Record) string { return r.Query },
	"upstream_uri":    func(r *record.Record) string { return r.UpstreamURI },
	"host":            func(r *record.Record) string { return r.Host },
	"protocol":        func(r *record.Record) string { return r.Protocol },
	"status": func(r *record.Record) string {
		if r.Status == 0 {
			return ""
		}
		return strconv.Itoa(r.Status)
	},
	"user_id":     func(r *record.Record) string { return r.UserID },
	"user_name":   func(r *record.Record) string { return r.UserName },
	"user_email":  func(r *record.Record) string { return r.UserEmail },
	"user_roles":  func(r *record.Record) string { return strings.Join(r.UserRoles, " ") },
	"auth_method": func(r *record.Record) string { return r.AuthMethod },
	"token_id":    func(r *record.Record) string { return r.TokenID },
	"user_ip":     func(r *record.Record) string { return r.UserIP },
	"peer_ip":     func(r *record.Record) string { return r.PeerIP },
	"user_agent":  func(r *record.Record) string { return r.UserAgent },
	"request_id":  func(r *record.Record) string { return r.RequestID },
	"trace_id":    func(r *record.Record) string { return r.TraceID },
	"trigger":     func(r *record.Record) string { return r.Trigger },
	"job_id":      func(r *record.Record) string { return r.JobID },
	"object.type": func(r *record.Record) string { return objectOf(r).Type },
	"object.id":   func(r *record.Record) string { return objectOf(r).ID },
	"object.name": func(r *record.Record) string { return objectOf(r).Name },
}

func objectOf(r *record.Record) record.Object {
	if r.Object == nil {
		return record.Object{}
	}
	return *r.Object
}
