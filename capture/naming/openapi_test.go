package naming_test

import (
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/record"
)

const pets = `
openapi: 3.1.0
info: {title: Pets, version: "1"}
servers:
  - url: https://{region}.example/{base}
    variables: {region: {default: eu}, base: {default: api/v1}}
  - url: https://other.example/api/v1/
  - url: /
paths:
  /pets/{petId}:
    get: {operationId: getPet, summary: "Get one {pet}", responses: {"200": {description: ok}}}
    delete: {responses: {"200": {description: has no operationId}}}
  /pets/mine:
    get: {operationId: get my pets, responses: {"200": {description: ok}}}
  /pets/{petId}.json:
    get: {operationId: petAsJSON, responses: {"200": {description: ok}}}
  /owners/{id}/pets/{pet_id}/toys:
    post: {operationId: addToy, responses: {"200": {description: ok}}}
  /owners/{id}:
    servers: [{url: /old}]
    get: {operationId: getOwner, responses: {"200": {description: ok}}}
`

func TestOpenAPINamesItsOperations(t *testing.T) {
	rules, err := naming.OpenAPI([]byte(pets))
	if err != nil {
		t.Fatal(err)
	}
	n := mustNew(t, rules...)
	for _, test := range []struct {
		method, uri, action, description string
		object                           *record.Object
	}{
		{"GET", "/api/v1/pets/7", "getPet", "Get one {pet}", &record.Object{Type: "pet", ID: "7"}},
		{"GET", "/pets/7", "getPet", "Get one {pet}", &record.Object{Type: "pet", ID: "7"}},
		{"GET", "/api/v1/pets/mine", "get_my_pets", "", nil},
		{"GET", "/api/v1/pets/7.json", "petAsJSON", "", &record.Object{Type: "pet", ID: "7"}},
		{"POST", "/api/v1/owners/1/pets/2/toys", "addToy", "", &record.Object{Type: "pet", ID: "2"}},
		{"GET", "/old/owners/1", "getOwner", "", &record.Object{Type: "owners", ID: "1"}},
		{"GET", "/owners/1", naming.Unknown, "", nil},
		{"DELETE", "/pets/7", naming.Unknown, "", nil},
		{"GET", "/v2/pets/7", naming.Unknown, "", nil},
	} {
		r := &record.Record{Method: test.method, URI: test.uri}
		n.Name(r, naming.Call{})
		got := &record.Record{Action: r.Action, Description: r.Description, Object: r.Object}
		if diff := cmp.Diff(&record.Record{Action: test.action, Description: test.description, Object: test.object}, got); diff != "" {
			t.Errorf("%s %s: %s", test.method, test.uri, diff)
		}
	}
}

func TestBadOpenAPISaysWhatIsWrong(t *testing.T) {
	for want, document := range map[string]string{
		"reading the OpenAPI document": "{",
		"want 3.0 or 3.1":              `{"swagger": "2.0", "info": {"title": "x", "version": "1"}, "paths": {}}`,
		"names no operations":          `{"openapi": "3.0.0", "info": {"title": "x", "version": "1"}, "paths": {}}`,
		"external":                     `{"openapi": "3.0.0", "info": {"title": "x", "version": "1"}, "paths": {"/x": {"$ref": "file:///etc/passwd"}}}`,
	} {
		if _, err := naming.OpenAPI([]byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", document, err, want)
		}
	}
}

// TestLargeOpenAPINamesItsCalls makes calls of the paths of the document that the
// environment variable AUDITGATE_OPENAPI names, as of a large public API: that of
// GitHub is generated/api.github.com.json in the npm package @octokit/openapi.
func TestLargeOpenAPINamesItsCalls(t *testing.T) {
	n, calls := largeOpenAPI(t)
	rng := rand.New(rand.NewPCG(1, 2))
	named, right := 0, 0
	const all = 1000
	for range all {
		c := calls[rng.IntN(len(calls))]
		r := &record.Record{Method: c.method, URI: c.uri(rng)}
		n.Name(r, naming.Call{})
		if r.Action != naming.Unknown {
			named++
		}
		if r.Action == c.name {
			right++
		}
	}
	t.Logf("of %d calls of %d operations %d are named, %d as the operation that they were made of", all, len(calls), named, right)
	if right < all*95/100 {
		t.Error("want 95 of 100")
	}
}

func BenchmarkNameByLargeOpenAPI(b *testing.B) {
	n, calls := largeOpenAPI(b)
	rng := rand.New(rand.NewPCG(1, 2))
	var records []*record.Record
	for range 1000 {
		c := calls[rng.IntN(len(calls))]
		records = append(records, &record.Record{Method: c.method, URI: c.uri(rng)})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n.Name(records[i%len(records)], naming.Call{})
	}
}

// documented is an operation of a document.
type documented struct{ method, path, name string }

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// uri is a path of the operation, whose parameters are made up.
func (d documented) uri(rng *rand.Rand) string {
	return parameter.ReplaceAllStringFunc(d.path, func(string) string {
		return []string{strconv.Itoa(rng.IntN(1e6)), "octo-" + strconv.Itoa(rng.IntN(1e6)), "a%2Fb"}[rng.IntN(3)]
	})
}

func largeOpenAPI(tb testing.TB) (*naming.Namer, []documented) {
	name := os.Getenv("AUDITGATE_OPENAPI")
	if name == "" {
		tb.Skip("AUDITGATE_OPENAPI names no document")
	}
	document, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	rules, err := naming.OpenAPI(document)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := naming.New(rules)
	if err != nil {
		tb.Fatal(err)
	}
	var calls []documented
	for _, r := range rules {
		for _, m := range r.Matches {
			calls = append(calls, documented{m.Method, m.Path, r.Name})
		}
	}
	return n, calls
}
