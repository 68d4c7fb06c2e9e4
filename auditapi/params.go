package auditapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditgate/auditgate/record"
)

// The bounds of a query.
const (
	DefaultLimit = 100  // records of a page, where none is asked for
	MaxLimit     = 1000 // records of a page; whoever asks for more gets these
	maxValueLen  = 1024 // bytes of one value
	maxValues    = 32   // values of one parameter
	maxWildcards = 16   // in a URI
	maxQueryLen  = 4096 // bytes of the canonical query, which markers carry
	maxErrors    = 20   // parameters that a problem names
)

// listing is what the parameters of a listing ask for.
type listing struct {
	query   record.Query // without scope and place
	summary bool
	limit   int    // 0: not given
	marker  string // "": the first page
	pretty  bool

	// canonical is the query written in one way: the same for all requests
	// that ask the same, whatever their limit, marker and pretty. filtered tells
	// whether the request had any of its parameters.
	canonical string
	filtered  bool
}

// parameter is one parameter of listings.
type parameter struct {
	name   string
	header bool // read from the request header of that name where the query has none
	many   bool // may be given several times: any of the values
	// read takes one value and returns how the canonical query has it; "" is
	// not in there. Its error goes on a sentence that begins with the value.
	read func(l *listing, value string) (canonical string, err error)
}

// parameters are in the order in which problems name them.
var parameters = []parameter{
	{name: "from", header: true, read: func(l *listing, value string) (string, error) {
		return readTime(&l.query.From, value)
	}},
	{name: "to", header: true, read: func(l *listing, value string) (string, error) {
		return readTime(&l.query.To, value)
	}},
	{name: "source", header: true, many: true, read: func(l *listing, value string) (string, error) {
		if len(value) > record.MaxSourceLen {
			return "", fmt.Errorf("is longer than a source can be, %d bytes", record.MaxSourceLen)
		}
		l.query.Sources = append(l.query.Sources, value)
		return value, nil
	}},
	{name: "user", many: true, read: func(l *listing, value string) (string, error) {
		l.query.Users = append(l.query.Users, value)
		return value, nil
	}},
	{name: "method", many: true, read: func(l *listing, value string) (string, error) {
		value = strings.ToUpper(value)
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
			return "", errors.New("is not an HTTP method: want one such as GET or POST")
		}
		l.query.Methods = append(l.query.Methods, value)
		return value, nil
	}},
	{name: "status", many: true, read: readStatus},
	{name: "success", read: func(l *listing, value string) (string, error) {
		switch s := record.Success(value); s {
		case record.SuccessYes, record.SuccessNo, record.SuccessUnknown:
			l.query.Success = s
			return value, nil
		}
		return "", errors.New("is not known: want yes, no or unknown")
	}},
	{name: "uri", read: func(l *listing, value string) (string, error) {
		if value[0] != '/' && value[0] != '*' {
			return "", errors.New("is not the beginning of a path: want one that begins with / or *")
		}
		if strings.Count(value, "*") > maxWildcards {
			return "", fmt.Errorf("has more than %d times *", maxWildcards)
		}
		l.query.URI = record.ParsePattern(value)
		return value, nil
	}},
	{name: "request_id", read: func(l *listing, value string) (string, error) {
		l.query.RequestID = value
		return value, nil
	}},
	{name: "view", read: func(l *listing, value string) (string, error) {
		switch value {
		case "full":
			return "", nil
		case "summary":
			l.summary = true
			return value, nil
		}
		return "", errors.New("is not known: want full or summary")
	}},
	{name: "limit", header: true, read: func(l *listing, value string) (string, error) {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) || n == 0 {
			return "", fmt.Errorf("is not a number of records: want 1 to %d", MaxLimit)
		}
		l.limit = int(min(n, MaxLimit))
		return "", nil
	}},
	{name: "marker", header: true, read: func(l *listing, value string) (string, error) {
		l.marker = value
		return "", nil
	}},
}

// readListing reads the parameters of a listing. An empty value is as if left
// out. The error is a problem that names every parameter that is wrong.
func readListing(values url.Values, header http.Header) (*listing, error) {
	l := &listing{}
	wrong := unknownNames(values)
	canonical := url.Values{}
	for _, p := range parameters {
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
			text, err := l.read(&p, value)
			if err != nil && p.name == "from" && !inQuery {
				continue // HTTP has a header From of its own, an e-mail address
			}
			if err != nil {
				detail = fmt.Sprintf("%q %s", cut(value, 64), err)
			}
			if text != "" {
				canonical.Add(p.name, text)
			}
			l.filtered = l.filtered || p.name != "limit" && p.name != "marker"
		}
		if detail != "" {
			wrong = append(wrong, parameterError{p.name, detail})
		}
	}
	for name, list := range canonical {
		slices.Sort(list)
		canonical[name] = slices.Compact(list)
	}
	l.canonical = canonical.Encode()
	if from, to := l.query.From, l.query.To; !from.IsZero() && !to.IsZero() && !from.Before(to) {
		wrong = append(wrong, parameterError{"from", "is not before to"})
	}
	var err error
	if l.pretty, err = readPretty(values); err != nil {
		wrong = append(wrong, parameterError{"pretty", err.Error()})
	}
	if len(wrong) == 0 && len(l.canonical) > maxQueryLen {
		return nil, invalidParameter.because("the query has %d bytes, want %d at most", len(l.canonical), maxQueryLen)
	}
	l.query.Bodies = !l.summary
	return l, parameterProblem(wrong)
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

func (l *listing) read(p *parameter, value string) (string, error) {
	if len(value) > maxValueLen && p.name != "marker" { // which has a bound of its own
		return "", fmt.Errorf("is longer than %d bytes", maxValueLen)
	}
	return p.read(l, value)
}

// readTime reads an RFC 3339 time. Clients that do not escape the + of a zone
// send a space.
func readTime(dst *time.Time, value string) (string, error) {
	t, err := time.Parse(time.RFC3339, strings.ToUpper(strings.Replace(value, " ", "+", 1)))
	if err != nil {
		return "", errors.New("is not an RFC 3339 time: want one such as 2026-11-21T10:00:00Z")
	}
	*dst = t.UTC()
	return dst.Format(time.RFC3339Nano), nil
}

// readStatus reads a status code, or a class of them as 4xx.
func readStatus(l *listing, value string) (string, error) {
	value = strings.ToLower(value)
	r := record.StatusRange{}
	if class, ok := strings.CutSuffix(value, "xx"); ok && len(class) == 1 {
		r.Min = int(class[0]-'0') * 100
		r.Max = r.Min + 99
	} else if n, err := strconv.ParseUint(value, 10, 16); err == nil {
		r.Min, r.Max = int(n), int(n)
	}
	if len(value) != 3 || r.Min < 100 || r.Max > 599 {
		return "", errors.New("is not a status: want one such as 404, or a class such as 4xx")
	}
	l.query.Statuses = append(l.query.Statuses, r)
	return value, nil
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

// unknownNames names the parameters that listings do not have.
func unknownNames(values url.Values) (wrong []parameterError) {
	for name := range values {
		if name != "pretty" && !slices.ContainsFunc(parameters, func(p parameter) bool { return p.name == name }) {
			wrong = append(wrong, parameterError{cut(name, 64), "is not a parameter of listings"})
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
