package auditgate_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dustin/go-humanize"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/identity"
	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// docs/records.md has every field that a record can have, once, with its type.
func TestEachFieldOfARecordIsDescribed(t *testing.T) {
	var r record.Record
	fill(reflect.ValueOf(&r).Elem())
	data, err := json.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	types(want, "", all)

	got := make(map[string]string)
	var order []string
	for _, row := range tables(t)["field"] {
		if _, twice := got[row[0]]; twice {
			t.Errorf("%s is described twice", row[0])
		}
		got[row[0]] = row[1]
		order = append(order, row[0])
	}
	for field, kind := range want {
		if got[field] != kind {
			t.Errorf("field %s is a %s, and described as %q", field, kind, got[field])
		}
	}
	for _, field := range order {
		if want[field] == "" {
			t.Errorf("there is no field %s", field)
		}
	}
}

// The bounds that stand there are those of the program.
func TestBoundsOfFieldsAreAsDescribed(t *testing.T) {
	bytes := func(n int) string {
		if n <= 1<<10 {
			return humanize.Comma(int64(n)) + " bytes"
		}
		return strings.Replace(humanize.IBytes(uint64(n)), ".0 ", " ", 1)
	}
	rows := make(map[string]string)
	for _, row := range tables(t)["field"] {
		rows[row[0]] = strings.Join(row[2:], " ")
	}
	for field, bounds := range map[string][]string{
		"source": {bytes(record.MaxSourceLen)}, "project": {bytes(capture.MaxName)}, "claimed_project": {bytes(capture.MaxName)},
		"action": {bytes(naming.MaxName)}, "action_aliases": {bytes(naming.MaxName)},
		"method": {bytes(capture.MaxName)}, "host": {bytes(capture.MaxName)}, "request_id": {bytes(capture.MaxName)},
		"uri": {bytes(capture.MaxURI)}, "query": {bytes(capture.MaxURI)}, "upstream_uri": {bytes(capture.MaxURI)},
		"user_id": {bytes(identity.MaxClaimLen)}, "user_roles": {strconv.Itoa(identity.MaxRoles), bytes(identity.MaxClaimLen)},
		"user_agent":      {bytes(capture.MaxHeaderValue)},
		"request_headers": {strconv.Itoa(capture.MaxHeaderFields) + " lines", bytes(capture.MaxHeaderValue), bytes(capture.MaxHeaderBytes)},
		"request_body":    {bytes(capture.MaxKept)}, "request_body_info.partial": {bytes(record.DigestLimit)},
		"redacted": {strconv.Itoa(redact.MaxPlaces) + " places"},
	} {
		for _, bound := range bounds {
			if !strings.Contains(rows[field], bound) {
				t.Errorf("the bound of %s is %s, and described is: %s", field, bound, rows[field])
			}
		}
	}
}

// So it has every value of the fields that have few.
func TestEachValueOfAFieldIsDescribed(t *testing.T) {
	code := values(t)
	described := tables(t)
	for heading, want := range map[string][]string{
		"`success`": code["record.Success"], "`outcome`": code["record.Outcome"], "`state` of a body": code["record.BodyState"],
		"`reason` of a body":        append(code["record.Reason"], "damage"), // which the store alone finds
		"`reason` of a gap":         append(code["capture.Lost"], code["store.Reason"]...),
		"`status_source`":           code["capture.source"],
		"`auth_method`":             code["AuthMethod"],
		"The gateway's own records": code["action"], "Classes": code["record.Class"],
	} {
		var got []string
		for _, row := range described[heading] {
			got = append(got, row[0])
		}
		slices.Sort(got)
		slices.Sort(want)
		if want = slices.Compact(want); len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: described are %q, and there are %q", heading, got, want)
		}
	}
}

// fill sets all that a value has to something.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64, reflect.Uint8:
		v.SetUint(1)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
		if v.Type().String() == "time.Time" {
			v.Set(reflect.ValueOf(record.NewID().Time()))
		}
	default:
		panic("a field of a new kind: " + v.Type().String())
	}
}

// types notes the type of each field. Headers are one, whatever their names.
func types(to map[string]string, path string, value any) {
	switch v := value.(type) {
	case map[string]any:
		if strings.HasSuffix(path, "headers") || strings.HasSuffix(path, "trailers") {
			to[path] = "object"
			return
		}
		for name, member := range v {
			types(to, strings.TrimPrefix(path+"."+name, "."), member)
		}
	case []any:
		to[path] = "list of strings"
	case string:
		to[path] = "string"
	case float64:
		to[path] = "number"
	case bool:
		to[path] = "boolean"
	}
}

// tables returns the rows of the tables in docs/records.md whose first cell is code, by
// the heading of the section; that of fields as "field".
func tables(t *testing.T) map[string][][]string {
	t.Helper()
	page, err := os.ReadFile("docs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][][]string)
	name := ""
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "| field |"):
			name = "field"
		case strings.HasPrefix(line, "#"):
			name = strings.TrimLeft(line, "# ")
		case strings.HasPrefix(line, "| `"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			cells[0] = strings.Trim(cells[0], "`")
			all[name] = append(all[name], cells)
		}
	}
	return all
}

var (
	// ofKind are constants by their names, where they have no type of their own.
	ofKind = regexp.MustCompile(`^(Reason|Lost)[A-Z]`)
	// actions are the functions whose first argument is what the gateway did.
	actions = []string{"serve", "control"}
)

// values returns the values that stand in the program, by the constant's type or kind,
// or what is set to them.
func values(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	add := func(kind string, value ast.Expr) {
		lit, ok := value.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		if text, err := strconv.Unquote(lit.Value); err == nil && text != "" {
			all[kind] = append(all[kind], text)
		}
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "storetest" || d.Name() == "testdata" || d.Name() != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		of := file.Name.Name + "."
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if len(n.Values) != 1 {
					break
				}
				if kind, ok := n.Type.(*ast.Ident); ok {
					add(of+kind.Name, n.Values[0])
				} else if kind := ofKind.FindStringSubmatch(n.Names[0].Name); kind != nil {
					add(of+kind[1], n.Values[0])
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok {
					add(key.Name, n.Value)
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if to, ok := left.(*ast.SelectorExpr); ok && len(n.Rhs) == len(n.Lhs) {
						add(map[string]string{"AuthMethod": "AuthMethod", "source": of + "source", "action": "action"}[to.Sel.Name], n.Rhs[i])
					}
				}
			case *ast.CallExpr:
				name := ""
				switch f := n.Fun.(type) {
				case *ast.Ident:
					name = f.Name
				case *ast.SelectorExpr:
					name = f.Sel.Name
				}
				if slices.Contains(actions, name) && len(n.Args) > 0 {
					add("action", n.Args[0])
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all["action"] = append(all["action"], all["Action"]...)
	return all
}
