package auditapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// The bounds of a query.
const (
	DefaultLimit = 100  // records of a page, where none is asked for
	MaxLimit     = 1000 // records of a page; whoever asks for more gets these
	maxValueLen  = 1024 // bytes of one value
	maxValues    = 32   // values of one parameter
	maxWildcards = 16   // in a URI
	maxWords     = 16   // that must all stand in a record
	maxQueryLen  = 4096 // bytes of the canonical query, which markers carry
	maxErrors    = 20   // parameters that a problem names
)

// question is what the parameters of a request ask for.
type question struct {
	query  record.Query // without scope and place
	pretty bool

	// Of listings.
	short  bool   // without headers and bodies
	limit  int    // 0: not given
	marker string // "": the first page

	// by says what summaries count.
	by store.Grouping

	// canonical is the query written in one way: the same for all requests
	// that ask the same, whatever their limit, marker and pretty. filtered tells
	// whether the request had any of its parameters.
	canonical string
	filtered  bool
}

// asking is what a question is asked for.
type asking string

// The values of asking, as problems name them.
const (
	listings  asking = "listings"
	summaries asking = "summaries"
)

// parameter is one parameter of questions.
type parameter struct {
	name   string
	of     asking // that have it; "": all
	header bool   // read from the request header of that name where the query has none
	many   bool   // may be given several times: any of the values
	// read takes one value and returns how the canonical query has it; "" is
	// not in there. Its error goes on a sentence that begins with the value.
	read func(q *question, value string) (canonical string, err error)
}

// isOf reports whether questions of that kind have the parameter.
func (p *parameter) isOf(kind asking) bool { return p.of == "" || p.of == kind }

// readQuestion reads the parameters of a request. An empty value is as if left
// out. The error is a problem that names every parameter that is wrong.
func readQuestion(kind asking, values url.Values, header http.Header) (*question, error) {
	q := &question{}
	wrong := unknownNames(kind, values)
	canonical := url.Values{}
	for _, p := range parameters {
		if !p.isOf(kind) {
			continue
		}
		given, inQuery := p.values(values, header)
		detail := ""
		if len(given) > 1 && !p.many {
			detail = "is given more than once"
		}
		if len(given) > maxValues {
			detail = fmt.Sprintf("is given more than %d times", maxValues)
		}
		for _, value := range given {
			if detail != "" {
				break
			}
			text, err := q.read(&p, value)
			if err != nil && p.name == "from" && !inQuery {
				continue // HTTP has a header From of its own, an e-mail address
			}
			if err != nil {
				detail = fmt.Sprintf("%q %s", cut(value, 64), err)
			}
			if text != "" {
				canonical.Add(p.name, text)
			}
			q.filtered = q.filtered || p.name != "limit" && p.name != "marker"
		}
		if detail != "" {
			wrong = append(wrong, parameterError{p.name, detail})
		}
	}
	for name, list := range canonical {
		slices.Sort(list)
		canonical[name] = slices.Compact(list)
	}
	q.canonical = canonical.Encode()
	if from, to := q.query.From, q.query.To; !from.IsZero() && !to.IsZero() && !from.Before(to) {
		wrong = append(wrong, parameterError{"from", "is not before to"})
	}
	var err error
	if q.pretty, err = readPretty(values); err != nil {
		wrong = append(wrong, parameterError{"pretty", err.Error()})
	}
	if len(wrong) == 0 && len(q.canonical) > maxQueryLen {
		return nil, invalidParameter.because("the query has %d bytes, want %d at most", len(q.canonical), maxQueryLen)
	}
	q.query.Bodies = kind == listings && !q.short
	return q, parameterProblem(wrong)
}

// values returns what is given of p, without empty and equal ones, and whether
// it stands in the query.
func (p *parameter) values(query url.Values, header http.Header) (given []string, inQuery bool) {
	for _, value := range query[p.name] {
		if value != "" && !(p.many && slices.Contains(given, value)) {
			given = append(given, value)
		}
	}
	if len(given) > 0 || !p.header {
		return given, true
	}
	for _, value := range header.Values(p.name) {
		if value != "" && !(p.many && slices.Contains(given, value)) {
			given = append(given, value)
		}
	}
	return given, false
}

func (q *question) read(p *parameter, value string) (string, error) {
	if len(value) > maxValueLen && p.name != "marker" { // which has a bound of its own
		return "", fmt.Errorf("is longer than %d bytes", maxValueLen)
	}
	return p.read(q, value)
}

// readPretty reads the one parameter that every answer in JSON has. Its name
// alone is enough.
func readPretty(values url.Values) (bool, error) {
	list, ok := values["pretty"]
	if !ok {
		return false, nil
	}
	if len(list) > 1 {
		return false, errors.New("is given more than once")
	}
	switch list[0] {
	case "", "yes", "true", "1":
		return true, nil
	case "no", "false", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is not known: want yes or no", cut(list[0], 64))
}

// unknownNames names the parameters that questions of that kind do not have.
func unknownNames(kind asking, values url.Values) (wrong []parameterError) {
	for name := range values {
		if name != "pretty" && !slices.ContainsFunc(parameters, func(p parameter) bool { return p.name == name && p.isOf(kind) }) {
			wrong = append(wrong, parameterError{cut(name, 64), "is not a parameter of " + string(kind)})
		}
	}
	slices.SortFunc(wrong, func(a, b parameterError) int { return strings.Compare(a.Parameter, b.Parameter) })
	return wrong
}

// parameterProblem is nil where nothing is wrong.
func parameterProblem(wrong []parameterError) error {
	if len(wrong) == 0 {
		return nil
	}
	p := invalidParameter.because("%s: %s", wrong[0].Parameter, wrong[0].Detail)
	p.errors = wrong[:min(len(wrong), maxErrors)]
	return p
}
