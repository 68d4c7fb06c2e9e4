package caddymodule

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"

	"github.com/auditgate/auditgate/capture"
	"github.com/auditgate/auditgate/capture/naming"
	"github.com/auditgate/auditgate/capture/redact"
	"github.com/auditgate/auditgate/record"
)

// explanation is what becomes of a call.
type explanation struct {
	Method string   `json:"method"`
	URI    string   `json:"uri"`
	Host   string   `json:"host"`
	Server string   `json:"server"`
	Listen []string `json:"listen"`
	// Recorded tells whether there is a record, at least with some status.
	Recorded bool `json:"recorded"`
	// NoSite tells that no site of the server is for the host of the call.
	NoSite bool `json:"no_site,omitempty"`
	// End is where the way of the call ends, as far as it is known.
	End     string          `json:"end,omitempty"`
	Capture *explainedRules `json:"capture,omitempty"`
	// Outer are the captures that the call meets before, whose rules do not hold.
	Outer []place `json:"outer,omitempty"`
}

// explainedRules are what a capture does with a call.
type explainedRules struct {
	place
	// Levels are tried in order: the first whose statuses have that of the
	// answer decides.
	Levels       []explainedLevel `json:"levels"`
	RequestBody  int              `json:"request_body"`
	ResponseBody int              `json:"response_body"`
	StreamBody   int              `json:"stream_body"`
	// Bodies is the rule for bodies that holds, `off` or `on`.
	Bodies    string   `json:"bodies,omitempty"`
	BodyLines []string `json:"body_lines,omitempty"`
	Project   string   `json:"project,omitempty"`
	// Identity are the ways of knowing who made the call, as they are tried.
	Identity []string `json:"identity"`
	// Teaches tells that the call is one of those that `learn` reads.
	Teaches bool `json:"teaches,omitempty"`
	// Preset is what the capture knows beforehand, and of which services.
	Preset string `json:"preset,omitempty"`
	// Action is what the call does, as far as method, path and matchers tell.
	Action string `json:"action,omitempty"`
	// Fail is what becomes of the call where it cannot be put on record.
	Fail      string             `json:"fail"`
	Policy    string             `json:"policy"`
	Redaction explainedRedaction `json:"redaction"`
}

// place is where a capture stands.
type place struct {
	Source string `json:"source"`
	// Config is the path in the JSON configuration; Lines are those of
	// Caddyfiles, several where captures have the same rules.
	Config string   `json:"config"`
	Lines  []string `json:"lines,omitempty"`
}

// explainedRedaction is what is secret in the call beside the defaults, and what
// is not after all.
type explainedRedaction struct {
	Mode     string   `json:"mode"`
	Values   []string `json:"values,omitempty"`
	Headers  []string `json:"headers,omitempty"`
	Fields   []string `json:"fields,omitempty"`
	Pointers []string `json:"pointers,omitempty"`
	Keep     []Keep   `json:"keep,omitempty"`
	Paths    []string `json:"paths,omitempty"`
}

type explainedLevel struct {
	Level    string   `json:"level"`
	Statuses []string `json:"statuses,omitempty"` // none: any other
	// Lines are where it stands; none for the default.
	Lines []string `json:"lines,omitempty"`
}

// explain follows the call through a configuration.
func (c call) explain(app *caddyhttp.App, origins map[string][]origin) (*explanation, error) {
	server, r, err := c.reach(app)
	if err != nil {
		return nil, err
	}
	t, err := follow(server, r)
	if err != nil {
		return nil, err
	}
	e := &explanation{
		Method: c.method, URI: r.RequestURI, Host: r.Host, Server: server.Name(), Listen: server.Listen, End: t.end,
	}
	closed := false // by one that the call meets before: its receipt stands
	for i, m := range t.captures {
		switch {
		case i == len(t.captures)-1:
			if e.Capture, err = c.rules(m, originalPath(t.request), origins); err != nil {
				return nil, err
			}
			if closed {
				e.Capture.Fail = failClosed
			}
		case !dropped(choicesOf(m.levels)):
			e.Outer = append(e.Outer, placeOf(m, origins))
			closed = closed || m.capture.closed()
		}
	}
	host := hosts{(&url.URL{Host: r.Host}).Hostname()}
	e.NoSite = !slices.ContainsFunc(server.Routes, func(route caddyhttp.Route) bool { return hostsOf(route).overlap(host) })
	e.Recorded = e.Capture != nil && slices.ContainsFunc(e.Capture.Levels, func(l explainedLevel) bool { return l.Level != "none" })
	return e, nil
}

func placeOf(m met, origins map[string][]origin) place {
	p := place{Source: m.capture.Source, Config: m.path}
	for _, at := range origins[m.capture.policy.id] {
		p.Lines = append(p.Lines, fmt.Sprintf("%s:%d", at.File, at.Line))
	}
	return p
}

// rules says what a capture does with the call.
func (c call) rules(m met, path string, origins map[string][]origin) (*explainedRules, error) {
	p := &m.capture.policy
	e := &explainedRules{
		place: placeOf(m, origins), Policy: p.id, Levels: c.levels(m, origins[p.id]),
		RequestBody: m.capture.requestBody(), ResponseBody: m.capture.responseBody(), StreamBody: m.capture.streamBody(),
		Identity: m.capture.Identity.order(),
		Project:  m.capture.Project, Fail: cmp.Or(m.capture.Fail, failOpen),
	}
	if n := m.capture.ProjectPath; n > 0 {
		project, several := projectIn(path, n)
		e.Project = cmp.Or(project, strings.Join(several, " or "))
	}
	lessons, err := m.capture.Identity.lessons()
	if err != nil {
		return nil, err
	}
	e.Teaches = lessons.Fit(c.method, path)
	if p := m.capture.Preset; p != nil {
		services, err := p.services(m.capture.Source)
		if err != nil {
			return nil, err
		}
		e.Preset = p.Name + ": " + strings.Join(services, " ")
	}
	if n := m.capture.namer; n != nil {
		r := &record.Record{Method: c.method, URI: path}
		n.Name(r, naming.Call{Matched: m.matched})
		e.Action = r.Action
	}
	if i := m.body; i >= 0 {
		e.Bodies = p.bodies[i].Body
		for _, o := range origins[p.id] {
			e.BodyLines = append(e.BodyLines, fmt.Sprintf("%s:%d", o.File, o.Bodies[i]))
		}
	} else if m.capture.withholds(c.method, path) {
		e.Bodies, e.BodyLines = "off", []string{"preset " + m.capture.Preset.Name}
	}
	redactor, err := m.capture.redaction().unkeyed()
	if err != nil {
		return nil, err
	}
	x := redactor.Explain(redact.Call{Method: c.method, Path: path})
	e.Redaction = explainedRedaction{
		Mode: x.Mode.String(), Values: x.Values, Headers: x.Headers, Fields: x.Fields, Pointers: x.Pointers, Paths: x.Paths,
	}
	for _, k := range x.Keep {
		e.Redaction.Keep = append(e.Redaction.Keep, Keep(k))
	}
	return e, nil
}

// levels returns those that may hold, the last of them whatever the status; only
// the one that does where the status is given.
func (c call) levels(m met, at []origin) (all []explainedLevel) {
	for _, v := range m.levels {
		if c.status != 0 && !v.On.Has(c.status) {
			continue
		}
		e := explainedLevel{Level: levelNames[v.Level], Statuses: v.On.Texts()}
		for i := range m.capture.policy.levels {
			if v.by&(1<<i) == 0 {
				continue
			}
			for _, o := range at {
				e.Lines = append(e.Lines, fmt.Sprintf("%s:%d", o.File, o.Levels[i]))
			}
		}
		if all = append(all, e); c.status != 0 {
			break
		}
	}
	return all
}

// print writes e for people.
func (e *explanation) print(w io.Writer) error {
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, text)
		}
	}
	verdict := "is recorded"
	switch {
	case e.NoSite:
		verdict = "is not recorded: no site of this server serves the host"
	case e.Capture == nil:
		verdict = "is not recorded: no audit_capture is on its way"
	case !e.Recorded:
		verdict = "is not recorded"
	}
	fmt.Fprintf(&b, "%s %s, host %s, %s\n\n", e.Method, e.URI, e.Host, verdict)
	line("server", e.Server+" on "+strings.Join(e.Listen, " "))
	if c := e.Capture; c != nil {
		c.print(line)
	}
	for _, p := range e.Outer {
		line("inside", p.String()+", whose rules do not hold")
	}
	line("ends", e.End)
	_, err := io.WriteString(w, b.String())
	return err
}

// print hands c to line, line by line.
func (c *explainedRules) print(line func(name, text string)) {
	line("capture", c.place.String())
	for _, l := range c.Levels {
		text := l.Level
		if len(l.Statuses) > 0 {
			text += " on " + strings.Join(l.Statuses, " ")
		}
		if len(l.Lines) > 0 {
			text += " (" + strings.Join(l.Lines, " or ") + ")"
		} else {
			text += " (default)"
		}
		line("level", text)
	}
	if c.most() == capture.None {
		return
	}
	line("bodies", c.bodies())
	line("project", c.Project)
	line("identity", strings.Join(c.Identity, ", then "))
	if c.Teaches {
		line("learn", "from its answer, if that is a 2xx")
	}
	line("preset", c.Preset)
	line("action", c.Action)
	line("fail", c.fail())
	line("policy", c.Policy)
	x := c.Redaction
	line("redaction", x.Mode+" for the default names, and what is added here; found by its look: "+cmp.Or(strings.Join(x.Values, " "), "nothing"))
	for _, added := range []struct {
		name string
		to   []string
	}{{"headers", x.Headers}, {"fields", x.Fields}, {"pointers", x.Pointers}, {"paths", x.Paths}} {
		line("  "+added.name, strings.Join(added.to, " "))
	}
	for _, k := range x.Keep {
		line("  keep", k.Pointer+" on "+cmp.Or(k.Method, "any method")+" "+cmp.Or(k.Path, "any path"))
	}
}

// most is the level that keeps most.
func (c *explainedRules) most() capture.Level {
	most := capture.None
	for _, l := range c.Levels {
		most = min(most, capture.Level(slices.Index(levelNames, l.Level)))
	}
	return most
}

// fail says in words what becomes of a call that cannot be put on record.
func (c *explainedRules) fail() string {
	if c.Fail == failClosed {
		return "closed: without a receipt that is stored the answer is 503"
	}
	return "open: the call goes on, and what is lost is counted"
}

// bodies says in words how much is kept of them.
func (c *explainedRules) bodies() string {
	size := func(n int) string { return humanize.IBytes(uint64(n)) }
	rule := ""
	if len(c.BodyLines) > 0 {
		rule = " (" + strings.Join(c.BodyLines, " or ") + ")"
	}
	text := "up to " + size(c.RequestBody) + " of the request, "
	switch most := c.most(); {
	case c.Bodies == "off":
		return "none: body off" + rule
	case most == capture.Metadata:
		return "none"
	case most == capture.Request:
		text += size(c.StreamBody) + " of that of a stream"
	default:
		text += size(c.ResponseBody) + " of the answer, " + size(c.StreamBody) + " of each direction of a stream"
	}
	if c.Bodies == "on" {
		text += "; binary too: body on" + rule
	}
	return text
}

// String says where the capture stands.
func (p place) String() string {
	if len(p.Lines) > 0 {
		return p.Source + " at " + strings.Join(p.Lines, " or ")
	}
	return p.Source + " at " + p.Config
}
