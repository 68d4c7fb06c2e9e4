package naming

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// MaxOpenAPI is the largest OpenAPI document that is read, in bytes.
const MaxOpenAPI = 64 << 20

// OpenAPI returns rules for the operations of an OpenAPI 3 document, in JSON or
// YAML: an action is named by its operationId, in which spaces become underscores,
// and described by its summary; its object is the last parameter of its path, the
// type being that parameter's name without `_id` or `Id`, or the segment before it
// where it is only called id. Paths begin with the base path of each of the
// document's servers. Operations without an operationId are left out. Where two
// paths fit, the more concrete one wins. References to other files are refused.
func OpenAPI(document []byte) ([]Rule, error) {
	if len(document) > MaxOpenAPI {
		return nil, fmt.Errorf("the OpenAPI document has %d bytes, want %d at most", len(document), MaxOpenAPI)
	}
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") {
		return nil, fmt.Errorf("the document is of OpenAPI %q, want 3.0 or 3.1", cmp.Or(doc.OpenAPI, "2 or none"))
	}
	type operation struct {
		order string
		rule  Rule
	}
	var all []operation
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			name := strings.Join(strings.Fields(o.OperationID), "_")
			name = strings.TrimRight(strings.ToValidUTF8(name[:min(len(name), MaxName)], ""), ".")
			if name == "" {
				continue
			}
			servers := doc.Servers
			if len(item.Servers) > 0 {
				servers = item.Servers
			}
			if o.Servers != nil && len(*o.Servers) > 0 {
				servers = *o.Servers
			}
			bases, err := basePaths(servers)
			if err != nil {
				return nil, fmt.Errorf("the OpenAPI document's servers of %s: %w", path, err)
			}
			rule := Rule{Name: name, Objects: []Object{pathObject(path)}, Description: escape(cmp.Or(o.Summary, item.Summary))}
			for _, base := range bases {
				rule.Matches = append(rule.Matches, Match{Method: method, Path: base + path, template: true})
			}
			all = append(all, operation{concreteness(path) + " " + path + " " + method, rule})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the OpenAPI document names no operations: want some with an operationId")
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.order, b.order) })
	rules := make([]Rule, len(all))
	for i := range all {
		rules[i] = all[i].rule
	}
	return rules, nil
}

// basePaths are the paths at which servers have the API, each once.
func basePaths(servers openapi3.Servers) (bases []string, err error) {
	for _, s := range servers {
		base, err := s.BasePath()
		if err != nil {
			return nil, err
		}
		if base = strings.TrimSuffix(base, "/"); !slices.Contains(bases, base) {
			bases = append(bases, base)
		}
	}
	if len(bases) == 0 {
		bases = []string{""}
	}
	return bases, nil
}

// pathObject is what the last parameter of a path names.
func pathObject(path string) Object {
	parts := split(path)
	for i, part := range slices.Backward(parts) {
		_, rest, open := strings.Cut(part, "{")
		name, _, closed := strings.Cut(rest, "}")
		if !open || !closed || name == "" || strings.ContainsAny(name, `{\`) {
			continue
		}
		kind := strings.TrimSuffix(strings.TrimSuffix(name, "_id"), "Id")
		if (strings.EqualFold(kind, "id") || kind == "") && i > 0 && !strings.Contains(parts[i-1], "{") {
			kind = parts[i-1]
		}
		return Object{Type: escape(cmp.Or(kind, name)), ID: "{audit.path." + name + "}"}
	}
	return Object{}
}

// escape writes a text so that it is a template without placeholders.
func escape(text string) string { return strings.ReplaceAll(text, "{", `\{`) }

// concreteness orders paths: of two that fit a call, the one that says more of it
// comes first.
func concreteness(path string) string {
	var b strings.Builder
	for _, part := range split(path) {
		switch {
		case !strings.Contains(part, "{"):
			b.WriteByte('a')
		case !strings.HasPrefix(part, "{") || !strings.HasSuffix(part, "}"):
			b.WriteByte('b')
		default:
			b.WriteByte('c')
		}
	}
	return b.String()
}
