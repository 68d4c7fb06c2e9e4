package auditapi

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditgate/auditgate/record"
	"github.com/auditgate/auditgate/store"
)

// parameters are in the order in which problems name them.
var parameters = []parameter{
	{name: "from", header: true, read: func(q *question, value string) (string, error) {
		return readTime(&q.query.From, value)
	}},
	{name: "to", header: true, read: func(q *question, value string) (string, error) {
		return readTime(&q.query.To, value)
	}},
	{name: "source", header: true, many: true, read: func(q *question, value string) (string, error) {
		if len(value) > record.MaxSourceLen {
			return "", fmt.Errorf("is longer than a source can be, %d bytes", record.MaxSourceLen)
		}
		q.query.Sources = append(q.query.Sources, value)
		return value, nil
	}},
	{name: "user", many: true, read: func(q *question, value string) (string, error) {
		q.query.Users = append(q.query.Users, value)
		return value, nil
	}},
	{name: "method", many: true, read: func(q *question, value string) (string, error) {
		value = strings.ToUpper(value)
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }) {
			return "", errors.New("is not an HTTP method: want one such as GET or POST")
		}
		q.query.Methods = append(q.query.Methods, value)
		return value, nil
	}},
	{name: "status", many: true, read: readStatus},
	{name: "success", read: func(q *question, value string) (string, error) {
		switch s := record.Success(value); s {
		case record.SuccessYes, record.SuccessNo, record.SuccessUnknown:
			q.query.Success = s
			return value, nil
		}
		return "", errors.New("is not known: want yes, no or unknown")
	}},
	{name: "uri", read: func(q *question, value string) (string, error) {
		if value[0] != '/' && value[0] != '*' {
			return "", errors.New("is not the beginning of a path: want one that begins with / or *")
		}
		if strings.Count(value, "*") > maxWildcards {
			return "", fmt.Errorf("has more than %d times *", maxWildcards)
		}
		q.query.URI = record.ParsePattern(value)
		return value, nil
	}},
	{name: "action", many: true, read: func(q *question, value string) (string, error) {
		q.query.Actions = append(q.query.Actions, value)
		return value, nil
	}},
	exact("object", func(q *record.Query) *string { return &q.Object }),
	{name: "user_ip", read: readIP},
	exact("request_id", func(q *record.Query) *string { return &q.RequestID }),
	exact("job_id", func(q *record.Query) *string { return &q.JobID }),
	exact("trace_id", func(q *record.Query) *string { return &q.TraceID }),
	exact("token_id", func(q *record.Query) *string { return &q.TokenID }),
	{name: "q", read: readWords},
	{name: "view", of: listings, read: func(q *question, value string) (string, error) {
		switch value {
		case "full":
			return "", nil
		case "summary":
			q.short = true
			return value, nil
		}
		return "", errors.New("is not known: want full or summary")
	}},
	{name: "limit", of: listings, header: true, read: func(q *question, value string) (string, error) {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) || n == 0 {
			return "", fmt.Errorf("is not a number of records: want 1 to %d", MaxLimit)
		}
		q.limit = int(min(n, MaxLimit))
		return "", nil
	}},
	{name: "marker", of: listings, header: true, read: func(q *question, value string) (string, error) {
		q.marker = value
		return "", nil
	}},
	{name: "interval", of: summaries, read: readInterval},
	{name: "facets", of: summaries, many: true, read: readFacets},
	{name: "top", of: summaries, read: func(q *question, value string) (string, error) {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) || n == 0 {
			return "", fmt.Errorf("is not a number of values: want 1 to %d", store.MaxTop)
		}
		q.by.Top = int(min(n, store.MaxTop))
		return strconv.Itoa(q.by.Top), nil
	}},
}

// exact is a parameter that asks for a value as it is.
func exact(name string, field func(*record.Query) *string) parameter {
	return parameter{name: name, read: func(q *question, value string) (string, error) {
		*field(&q.query) = value
		return value, nil
	}}
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
func readStatus(q *question, value string) (string, error) {
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
	q.query.Statuses = append(q.query.Statuses, r)
	return value, nil
}

// readIP reads an address, or a network as 10.0.0.0/8. IPv4 in the clothes of
// IPv6 is IPv4, as it is in records.
func readIP(q *question, value string) (string, error) {
	prefix, err := netip.ParsePrefix(value)
	if err != nil {
		var addr netip.Addr
		addr, err = netip.ParseAddr(value)
		prefix = netip.PrefixFrom(addr, addr.BitLen()) // of any zone
	}
	if err != nil {
		return "", errors.New("is not an IP address: want one such as 192.0.2.7 or 2001:db8::1, or a network such as 192.0.2.0/24 or 2001:db8::/32")
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	q.query.UserIP = prefix.Masked()
	if prefix.IsSingleIP() {
		return prefix.Addr().String(), nil
	}
	return prefix.Masked().String(), nil
}

// readWords reads the words that must all stand in a record. A backslash is no
// escape here, as it is where words are sought.
func readWords(q *question, value string) (string, error) {
	words := record.Words(strings.ReplaceAll(value, `\`, " "))
	if len(words) == 0 {
		return "", errors.New("has no word: want letters or digits")
	}
	if len(words) > maxWords {
		return "", fmt.Errorf("has %d words: want %d at most", len(words), maxWords)
	}
	q.query.Words = words
	return value, nil
}

const day = 24 * time.Hour

// intervals are the words for some.
var intervals = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": day}

// readInterval reads a duration, which may begin with days, or a word for one.
func readInterval(q *question, value string) (string, error) {
	width, ok := intervals[value]
	if !ok {
		var err error
		rest := value
		if days, behind, ok := strings.Cut(value, "d"); ok {
			n, bad := strconv.ParseUint(days, 10, 16)
			width, rest, err = time.Duration(n)*day, behind, bad
		}
		if rest != "" && err == nil {
			var d time.Duration
			d, err = time.ParseDuration(rest)
			width += d
		}
		if err != nil || width < MinInterval || width > MaxInterval || width%time.Second != 0 {
			return "", fmt.Errorf("is not an interval: want whole seconds from %s to %s, such as 90s, 5m, 1h or 7d, or minute, hour or day", duration(MinInterval), duration(MaxInterval))
		}
	}
	q.by.Interval = width
	return duration(width), nil
}

// duration writes a duration as it is usually typed.
func duration(d time.Duration) string {
	if d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		text = short + "m"
	}
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		text = short + "h"
	}
	return text
}

// readFacets reads names of facets with commas between them.
func readFacets(q *question, value string) (string, error) {
	for name := range strings.SplitSeq(value, ",") {
		facet := store.Facet(name)
		if name != "" && !slices.Contains(store.Facets, facet) {
			return "", fmt.Errorf("names a facet that is not known: want some of %s", strings.Trim(fmt.Sprint(store.Facets), "[]"))
		}
		if name != "" && !slices.Contains(q.by.Facets, facet) {
			q.by.Facets = append(q.by.Facets, facet)
		}
	}
	return value, nil
}
