package e2e_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/auditgate/auditgate/record"
)

// The matrix: each feature of HTTP over each protocol, once through a gateway
// that captures and once through the same program without a capture, in front of
// the same component. What the two ends see must not differ, and the record must
// say what they saw. The result is docs/transparency.md.
func TestCaptureIsTransparent(t *testing.T) {
	m := startMatrix(t)
	all := features()
	t.Run("cell", func(t *testing.T) {
		for _, f := range all {
			for _, p := range protocols {
				if f.absent[p.name] != "" {
					continue
				}
				t.Run(f.name+" over "+p.name, func(t *testing.T) {
					t.Parallel()
					m.in(t).compare(f, p)
				})
			}
		}
	})
	if t.Failed() {
		return
	}
	m.checkCount()
	checkPage(t, "../docs/transparency.md", transparencyPage(all))
}

// feature is a row of the matrix: how the client and the component carry on, and
// what the record says of it beside what holds for all.
type feature struct {
	name  string
	proof string // what a cell shows, for the page
	site  string // of the configuration, where it is not the plain proxy

	absent map[string]string // by protocol: why there is no such cell
	notes  map[string]string // by protocol: what a reader should know of the cell

	client    func(c *cell)
	component func(c *cell, w http.ResponseWriter, r *http.Request) // nil: no call comes to it
	record    func(c *cell, want *wanted)
}

// cell is one exchange of a feature over a protocol. Its client runs on the
// test's goroutine, its component on one of the component's server.
type cell struct {
	*matrix
	feature  *feature
	protocol protocol
	captured bool
	id       string // X-Request-Id

	toComponent, toClient meeting
	handlers              sync.RWMutex // held for reading by what the component runs for the exchange

	informed func()     // called, where it is set, when the client gets a 1xx
	client   clientSeen // owned by the test's goroutine
	sent     []byte     // what the client put on the wire, where the component does not see just that
	begun    string     // the event id of the begin entry, where the client waited for it

	mu        sync.Mutex      // guards component, notes
	component []componentSeen // a call each
	notes     []string
}

// seen is all that an exchange was for its two ends.
type seen struct {
	Client    clientSeen
	Component []componentSeen
	Notes     []string
}

// compare makes the exchange without and with a capture. What was seen is the
// same, and the record is right.
func (m *matrix) compare(f *feature, p protocol) {
	without := m.exchange(f, p, false).seen()
	c := m.exchange(f, p, true)
	if diff := cmp.Diff(without, c.seen(), cmpopts.EquateEmpty()); diff != "" {
		m.t.Errorf("the capture makes a difference (-without +with):\n%s", diff)
	}
	m.t.Logf("both saw %+v", without)
	c.checkRecord()
}

func (m *matrix) exchange(f *feature, p protocol, captured bool) *cell {
	c := &cell{
		matrix: m, feature: f, protocol: p, captured: captured,
		toComponent: make(meeting), toClient: make(meeting),
	}
	c.id = f.name + " " + p.name
	if captured {
		c.id += " captured"
		m.count.Add(1)
	}
	m.cells.Store(c.id, c)
	m.t.Cleanup(c.rest) // where the client has given up
	f.client(c)
	c.rest()
	return c
}

// rest waits until the component has done what it was called for.
func (c *cell) rest() {
	c.handlers.Lock()
	defer c.handlers.Unlock()
}

func (c *cell) seen() seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := seen{c.client, c.component, c.notes}
	s.Client.Header, s.Client.Trailer = c.steady(s.Client.Header), c.steady(s.Client.Trailer)
	for i := range s.Component {
		s.Component[i].Header = c.steady(s.Component[i].Header)
	}
	return s
}

// note takes down what one end has to say of the course of the exchange.
func (c *cell) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notes = append(c.notes, what)
}

// meeting is where one end of an exchange waits for the other: what comes after
// it at one end happens after what came before it at the other.
type meeting chan string

// tell waits until the other end hears.
func (c *cell) tell(m meeting, what string) {
	select {
	case m <- what:
	case <-time.After(patience):
		c.t.Errorf("nobody waits to hear: %s", what)
	}
}

// hear waits until the other end tells just that.
func (c *cell) hear(m meeting, what string) {
	select {
	case told := <-m:
		if told != what {
			c.t.Errorf("heard %q, want %q", told, what)
		}
	case <-time.After(patience):
		c.t.Errorf("waited in vain to hear: %s", what)
	}
}

// awaitBegin waits, where there is a capture, until the call is listed as one in
// progress.
func (c *cell) awaitBegin() {
	if !c.captured {
		return
	}
	r := c.gateway.in(c.t).recordWhen(c.id, func(r *record.Record) bool { return r.Outcome == record.OutcomeInProgress })
	if r.Outcome != record.OutcomeInProgress || r.Success != record.SuccessUnknown {
		c.t.Errorf("the call runs, and its record says %s, success %s", r.Outcome, r.Success)
	}
	c.begun = r.EventID.String()
}
